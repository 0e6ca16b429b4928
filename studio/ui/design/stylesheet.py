"""The one stylesheet, written for a palette and text sizes.

Widgets choose a look with dynamic properties: `role` on labels (title, lead, strong, small, term, bad, good), `kind` on
buttons (primary, quiet, link, round, chip, choice, place, heading), `card` on frames (true, problem, notice).
"""

from __future__ import annotations

from studio.core.paths import resources
from studio.ui.design.palette import Colours, Sizes


def stylesheet(c: Colours, s: Sizes) -> str:
    icons = (resources() / "icons" / "window").as_posix()
    return f"""
QToolTip {{ background: {c.surface}; color: {c.text}; border: 1px solid {c.line}; padding: 4px 8px; }}
QMainWindow, QDialog {{ background: {c.window}; }}
QLabel {{ background: transparent; }}
QLabel[role="title"] {{ font-size: {s.title:.2f}pt; font-weight: 600; }}
QLabel[role="lead"] {{ color: {c.muted}; }}
QLabel[role="strong"] {{ font-size: {s.strong:.2f}pt; font-weight: 600; }}
QLabel[role="small"], QLabel[role="term"] {{ font-size: {s.small:.2f}pt; color: {c.muted}; }}
QLabel[role="bad"] {{ color: {c.bad}; }}
QLabel[role="good"] {{ color: {c.good}; }}

QFrame[card="true"] {{ background: {c.surface}; border: 1px solid {c.line}; border-radius: 6px; }}
QFrame[card="problem"] {{ background: {c.surface}; border: 1px solid {c.bad}; border-radius: 6px; }}
QFrame[card="notice"] {{ background: {c.accent_soft}; border: 1px solid {c.accent}; border-radius: 6px; }}
QFrame#sidebar {{ background: {c.sidebar}; border: none; border-right: 1px solid {c.line}; }}
QWidget#strip {{ background: {c.surface}; border-top: 1px solid {c.line}; }}
QFrame[line="true"] {{ background: {c.line}; border: none; max-height: 1px; min-height: 1px; }}

QPushButton, QToolButton {{
  background: {c.surface}; color: {c.text}; border: 1px solid {c.field_line}; border-radius: 6px;
  padding: 5px 14px; min-height: 20px; }}
QPushButton:hover, QToolButton:hover {{ background: {c.hover}; }}
QPushButton:pressed, QToolButton:pressed {{ background: {c.line}; }}
QPushButton:focus, QToolButton:focus {{ border: 2px solid {c.accent}; padding: 4px 13px; }}
QPushButton:disabled, QToolButton:disabled {{ color: {c.muted}; background: {c.window}; border-color: {c.line}; }}
QPushButton[kind="primary"] {{
  background: {c.accent}; color: {c.accent_text}; border: 1px solid {c.accent}; font-weight: 600; padding: 5px 22px; }}
QPushButton[kind="primary"]:hover, QPushButton[kind="primary"]:pressed {{
  background: {c.accent_pressed}; border-color: {c.accent_pressed}; }}
QPushButton[kind="primary"]:focus {{ border: 2px solid {c.text}; padding: 4px 21px; }}
QPushButton[kind="primary"]:disabled {{ background: {c.line}; color: {c.muted}; border-color: {c.line}; }}
QPushButton[kind="quiet"], QToolButton[kind="quiet"] {{
  background: transparent; border: 1px solid transparent; color: {c.text}; padding: 5px 10px; }}
QPushButton[kind="quiet"]:hover, QToolButton[kind="quiet"]:hover {{ background: {c.hover}; }}
QPushButton[kind="quiet"]:focus, QToolButton[kind="quiet"]:focus {{
  border: 2px solid {c.accent}; padding: 4px 9px; }}
QPushButton[kind="quiet"]:checked {{ background: {c.accent_soft}; }}
QPushButton[kind="quiet"]:disabled, QToolButton[kind="quiet"]:disabled {{ color: {c.muted}; }}
QPushButton[kind="link"], QToolButton[kind="link"] {{
  background: transparent; border: 1px solid transparent; color: {c.accent}; padding: 5px 1px; text-align: left; }}
QPushButton[kind="heading"] {{
  background: transparent; border: 1px solid transparent; color: {c.text}; padding: 5px 6px 5px 1px; text-align: left;
  font-size: {s.strong:.2f}pt; font-weight: 600; }}
QPushButton[kind="heading"]:hover {{ background: {c.hover}; }}
QPushButton[kind="heading"]:focus {{ border: 2px solid {c.accent}; padding: 4px 5px 4px 0; }}
QPushButton[kind="link"]:disabled {{ color: {c.muted}; }}
QPushButton[kind="place"] {{
  background: transparent; border: 1px solid transparent; color: {c.muted}; padding: 5px 10px; text-align: left; }}
QPushButton[kind="place"]:hover {{ background: {c.hover}; }}
QPushButton[kind="place"]:checked {{ background: {c.surface}; color: {c.text}; font-weight: 600; }}
QPushButton[kind="place"]:focus {{ border: 2px solid {c.accent}; padding: 4px 9px; }}
QPushButton#project {{ text-align: left; font-weight: 600; padding: 7px 8px 7px 11px; }}
QPushButton#project:focus {{ padding: 6px 7px 6px 10px; }}
QPushButton#elsewhere {{ text-align: left; background: {c.accent_soft}; border: 1px solid {c.accent};
  padding: 5px 11px; font-size: {s.small:.2f}pt; }}
QPushButton#elsewhere:hover {{ background: {c.hover}; }}
QPushButton#elsewhere:focus {{ border: 2px solid {c.accent}; padding: 4px 10px; }}
QPushButton[kind="link"]:hover, QToolButton[kind="link"]:hover {{ text-decoration: underline; }}
QPushButton[kind="link"]:focus, QToolButton[kind="link"]:focus {{
  border: 2px solid {c.accent}; padding: 4px 0; }}
QPushButton[kind="chip"] {{
  background: {c.accent_soft}; color: {c.text}; border: 1px solid {c.accent}; border-radius: 13px; padding: 2px 11px; }}
QPushButton[kind="chip"]:hover {{ background: {c.hover}; }}
QPushButton[kind="chip"]:focus {{ border: 2px solid {c.accent}; padding: 1px 10px; }}
QPushButton[kind="choice"] {{ background: transparent; padding: 2px 10px; border: 1px solid {c.line}; }}
QPushButton[kind="choice"]:hover {{ background: {c.hover}; }}
QPushButton[kind="choice"]:checked {{ background: {c.accent_soft}; border-color: {c.accent}; }}
QPushButton[kind="choice"]:focus {{ border: 2px solid {c.accent}; padding: 1px 9px; }}
QToolButton[kind="round"] {{
  background: transparent; color: {c.muted}; border: 1px solid {c.line}; border-radius: 12px;
  min-width: 22px; max-width: 22px; min-height: 22px; max-height: 22px; padding: 0; font-size: {s.small:.2f}pt; }}
QToolButton[kind="round"]:hover, QToolButton[kind="round"]:checked {{
  background: {c.accent_soft}; color: {c.text}; border-color: {c.accent}; }}
QToolButton[kind="round"]:focus {{ border: 2px solid {c.accent}; padding: 0; min-width: 20px; max-width: 20px;
  min-height: 20px; max-height: 20px; }}
QToolButton[kind="round"]:disabled {{ background: transparent; border-color: transparent; }}
QToolButton[popupMode="1"] {{ padding: 5px 38px 5px 14px; min-height: 20px; max-height: 20px; }}
QToolButton[popupMode="1"]:focus {{ padding: 4px 37px 4px 13px; }}
QFileDialog QToolButton, QFileDialog QToolButton:focus {{
  background: {c.icon_ground}; padding: 2px; min-width: 22px; min-height: 22px; }}
QToolButton::menu-button {{ border: none; border-left: 1px solid {c.line}; width: 26px; margin: 5px 0; }}
QToolButton::menu-arrow {{ image: url({icons}/down-{c.name}.svg); width: 14px; height: 14px; }}
QToolButton::menu-indicator {{ image: none; }}

QAbstractScrollArea {{ border: none; }}
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit, QTextEdit, QTextBrowser {{
  background: {c.surface}; color: {c.text}; border: 1px solid {c.field_line}; border-radius: 6px;
  selection-background-color: {c.accent}; selection-color: {c.accent_text}; }}
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox {{ padding: 5px 8px; min-height: 20px; }}
QLineEdit > QToolButton, QLineEdit > QToolButton:hover {{
  border: none; background: transparent; padding: 0; min-height: 0; }}
QAbstractSpinBox QLineEdit, QAbstractSpinBox QLineEdit:focus {{
  border: none; background: transparent; padding: 0; min-height: 0; }}
QPlainTextEdit, QTextEdit, QTextBrowser {{ padding: 6px; }}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {{
  border: 2px solid {c.accent}; padding: 4px 7px; }}
QPlainTextEdit:focus, QTextEdit:focus, QTextBrowser:focus {{ border: 2px solid {c.accent}; padding: 5px; }}
QLineEdit[wrong="true"], QSpinBox[wrong="true"], QDoubleSpinBox[wrong="true"], QComboBox[wrong="true"] {{
  border-color: {c.bad}; }}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {{
  color: {c.muted}; background: {c.window}; border-color: {c.line}; }}
QComboBox::drop-down {{ border: none; width: 26px; }}
QComboBox::down-arrow {{ image: url({icons}/down-{c.name}.svg); width: 14px; height: 14px; }}
QComboBox QAbstractItemView {{ background: {c.surface}; color: {c.text}; border: 1px solid {c.line}; padding: 4px;
  selection-background-color: {c.accent_soft}; selection-color: {c.text}; outline: none; }}
QComboBox QAbstractItemView::item {{ min-height: 28px; padding: 0 6px; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{ border: none; background: transparent; width: 22px; }}
QAbstractSpinBox::up-arrow {{ image: url({icons}/up-{c.name}.svg); width: 12px; height: 12px; }}
QAbstractSpinBox::down-arrow {{ image: url({icons}/down-{c.name}.svg); width: 12px; height: 12px; }}

QCheckBox, QRadioButton {{ background: transparent; spacing: 8px; min-height: 30px; padding: 0 2px;
  border: 1px solid transparent; border-radius: 6px; }}
QCheckBox:focus, QRadioButton:focus {{ border: 2px solid {c.accent}; padding: 0 1px; min-height: 28px; }}
QCheckBox::indicator, QListView::indicator {{ width: 16px; height: 16px; border: 1px solid {c.field_line};
  border-radius: 4px;
  background: {c.surface}; }}
QCheckBox::indicator:checked, QListView::indicator:checked {{ background: {c.accent}; border-color: {c.accent};
  image: url({icons}/tick-{c.name}.svg); }}
QRadioButton::indicator {{ width: 16px; height: 16px; border: 1px solid {c.field_line}; border-radius: 9px;
  background: {c.surface}; }}
QRadioButton::indicator:checked {{ border: 5px solid {c.accent}; width: 8px; height: 8px; }}

QProgressBar {{ background: {c.line}; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }}
QProgressBar::chunk {{ background: {c.accent}; border-radius: 3px; }}

QScrollArea {{ background: transparent; }}
QScrollArea > QWidget > QWidget#content {{ background: transparent; }}
QTableView, QListView, QTreeView {{ background: {c.surface}; alternate-background-color: {c.window};
  border: 1px solid {c.line}; border-radius: 6px; gridline-color: {c.line};
  selection-background-color: {c.accent_soft}; selection-color: {c.text}; }}
QTableView:focus, QListView:focus, QTreeView:focus {{ border: 2px solid {c.accent}; }}
QTableView::item, QListView::item, QTreeView::item {{ padding: 4px 8px; }}
QHeaderView {{ background: transparent; border: none; }}
QHeaderView::section {{ background: {c.surface}; color: {c.muted}; border: none; border-bottom: 1px solid {c.line};
  padding: 7px 8px; font-size: {s.small:.2f}pt; }}
QTableCornerButton::section {{ background: {c.surface}; border: none; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle {{ background: {c.field_line}; border-radius: 3px; margin: 2px; min-height: 28px; min-width: 28px; }}
QScrollBar::handle:hover {{ background: {c.muted}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QSplitter::handle {{ background: transparent; }}

QTabWidget::pane {{ border: none; border-top: 1px solid {c.line}; }}
QTabBar::tab {{ background: transparent; color: {c.muted}; padding: 7px 14px; border: none;
  border-bottom: 2px solid transparent; min-height: 18px; }}
QTabBar::tab:selected {{ color: {c.text}; border-bottom: 2px solid {c.accent}; }}
QTabBar::tab:hover {{ color: {c.text}; }}
QTabBar::tab:focus {{ background: {c.accent_soft}; }}

QMenu {{ background: {c.surface}; color: {c.text}; border: 1px solid {c.line}; border-radius: 6px; padding: 4px; }}
QMenu::item {{ padding: 7px 24px 7px 12px; border-radius: 4px; }}
QMenu::item:selected {{ background: {c.accent_soft}; }}
QMenu::item:disabled {{ color: {c.muted}; }}
QMenu::separator {{ height: 1px; background: {c.line}; margin: 4px 8px; }}
"""
