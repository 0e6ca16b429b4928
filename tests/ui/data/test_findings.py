"""What the doctor found, as a person sees it: grade, lines, excerpts, repairs, and what they changed."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from studio.core.translatable import sentence
from studio.dataset.examples import Skipped
from studio.dataset.quality.fixes import FIXES
from studio.dataset.quality.report import Excerpt, Finding, Report, Severity
from studio.ui.data.excerpts import marked
from studio.ui.data.findings import LINES, Findings, reasons

DO, OTHER = list(FIXES)[:2]


def finding(code: str, severity: Severity, count: int = 3, *, repairs: tuple[str, ...] = ()) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        what=sentence("{n} answers show {code}.", n=count, code=code),
        why=sentence("It would be learned."),
        count=count,
        rows=(4, 9),
        excerpts=(Excerpt(row=4, shown="call 010-1234-5678 <b>now</b>", start=5, end=18),),
        fixes=repairs,
    )


def report(*found: Finding) -> Report:
    return Report(examples=148, held_out=15, findings=found, grade="fair", advice=sentence("Repair the doubles first."))


@pytest.fixture
def findings(qtbot: QtBot) -> Findings:
    made = Findings()
    qtbot.addWidget(made)
    made.resize(460, 420)
    made.show()
    return made


def test_the_grade_is_a_word_with_one_sentence_of_advice(findings: Findings) -> None:
    findings.show_report(report(), 148, (), ())
    assert findings.grade.text() == "Fair"
    assert findings.advice.text() == "Repair the doubles first."
    assert findings.usable.text().startswith("148 examples; 15 of them are set aside")


def test_each_finding_is_a_line_with_a_shape_that_has_a_name(findings: Findings) -> None:
    findings.show_report(report(finding("a", "stop"), finding("b", "warn"), finding("c", "note")), 148, (), ())
    names = [row.accessibleName() for row in findings.rows]
    assert names == [
        "Stops the training: 3 answers show a.",
        "Worth repairing: 3 answers show b.",
        "Good to know: 3 answers show c.",
    ]


def test_at_most_six_lines_until_all_are_asked_for(findings: Findings) -> None:
    findings.show_report(report(*(finding(f"f{n}", "warn") for n in range(9))), 148, (), ())
    assert len(findings.rows) == LINES
    assert findings.show_all.text() == "Show all 9"
    findings.show_all.click()
    assert len(findings.rows) == 9 and not findings.show_all.isVisible()


def test_show_opens_the_reason_the_excerpts_and_the_way_to_the_rows(findings: Findings, qtbot: QtBot) -> None:
    findings.show_report(report(finding("a", "warn", count=500)), 148, (), ())
    (row,) = findings.rows
    assert not row.is_open()
    row.show_button.click()
    assert row.is_open()
    assert "010-1234-5678" in row.excerpts.text() and "&lt;b&gt;now" in row.excerpts.text()
    assert row.only_these is not None and row.only_these.text() == "Show only the first 2 of these rows"
    with qtbot.waitSignal(findings.rows_wanted) as wanted:
        row.only_these.click()
    assert wanted.args == [row.finding]
    row.show_button.click()
    assert not row.is_open()


def test_what_is_meant_in_an_excerpt_is_underlined_and_nothing_else() -> None:
    html = marked(Excerpt(row=1, shown="call 010-1234 now", start=5, end=13))
    assert 'text-decoration: underline">010-1234</span> now' in html
    assert "underline" not in marked(Excerpt(row=1, shown="the whole"))


def test_repairs_are_buttons_with_plain_labels(findings: Findings, qtbot: QtBot) -> None:
    findings.show_report(report(finding("a", "warn", repairs=(DO, OTHER, "from.a_later_version"))), 148, (), ())
    (row,) = findings.rows
    assert [made.text() for made in row.repairs.values()] == [FIXES[DO].label, FIXES[OTHER].label]
    with qtbot.waitSignal(findings.repair_wanted) as wanted:
        row.repairs[DO].click()
    assert wanted.args == [DO]


@pytest.mark.parametrize("width", [300, 900])
def test_no_button_is_cut_off_in_a_narrow_or_a_wide_page(findings: Findings, width: int, qtbot: QtBot) -> None:
    findings.resize(width, 420)
    findings.show_report(report(finding("a", "warn", repairs=(DO,))), 148, (), ())
    (row,) = findings.rows
    made = row.repairs[DO]
    qtbot.waitUntil(lambda: made.isVisible() and made.width() >= made.sizeHint().width())
    right = made.mapTo(findings, made.rect().topRight()).x()
    assert right <= findings.width()


def test_while_the_doctor_looks_a_quiet_line_counts_and_can_be_cancelled(findings: Findings, qtbot: QtBot) -> None:
    findings.show_report(None, 148, (), ())
    findings.show_progress((50, 148, sentence("Looking for doubles.")), examining=True)
    assert findings.progress.isVisible()
    assert "Looking for doubles." in findings.progress.words.text() and "50 of 148" in findings.progress.words.text()
    with qtbot.waitSignal(findings.cancel_wanted):
        findings.progress.cancel.click()
    findings.show_progress(None, examining=False)
    assert not findings.progress.isVisible()


def test_while_a_newer_report_is_waited_for_the_old_one_can_be_read_but_not_pressed(findings: Findings) -> None:
    findings.show_report(report(finding("a", "warn", repairs=(DO,))), 148, (), ())
    findings.show_report(None, 139, (), (), waiting=True)
    assert findings.grade.isVisible() and len(findings.rows) == 1
    assert not findings.rows[0].repairs[DO].isEnabled()
    findings.show_report(report(), 139, (), ())
    assert not findings.rows
    findings.show_report(report(finding("a", "warn", repairs=(DO,))), 148, (), ())
    findings.forget()
    assert not findings.rows and not findings.grade.isVisible()


def test_a_doctor_who_was_stopped_can_be_asked_again(findings: Findings, qtbot: QtBot) -> None:
    findings.show_report(None, 148, (), (), waiting=True)
    assert not findings.look.isVisible()
    findings.show_report(None, 148, (), ())
    assert findings.look.isVisible()
    with qtbot.waitSignal(findings.look_wanted):
        findings.look.findChildren(QPushButton)[0].click()


def test_notes_of_the_reading_and_rows_left_out_are_said_before_the_doctor_has_looked(findings: Findings) -> None:
    skipped = (Skipped(4, sentence("The answer is empty.")),)
    findings.show_report(None, 10, (sentence("Two lines above the table were left out."),), skipped)
    text = findings.notes.text()
    assert "Two lines above" in text and "Row 4: The answer is empty." in text
    assert findings.usable.text() == "10 examples can be learned from."


def test_rows_left_out_are_told_by_reason() -> None:
    empty, odd = sentence("The answer is empty."), sentence("Nobody asks in this conversation.")
    skipped = (*(Skipped(n, empty) for n in range(1, 16)), Skipped(99, odd))
    first, second = reasons(skipped).split("\n")
    assert first == "Rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 3 more: The answer is empty."
    assert second == "Row 99: Nobody asks in this conversation."


def test_the_tab_key_goes_through_the_lines_as_they_are_seen(findings: Findings) -> None:
    other = QPushButton("made later", findings)
    other.show()
    findings.show_report(
        report(finding("a", "warn", repairs=(DO,)), finding("b", "warn", repairs=(OTHER,))), 148, (), ()
    )
    first, second = findings.rows
    wanted = [first.repairs[DO], first.show_button, second.repairs[OTHER], second.show_button]
    chain: list[QWidget] = []
    widget: QWidget | None = first.repairs[DO]
    while widget is not None and len(chain) < len(wanted):
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            chain.append(widget)
        widget = widget.nextInFocusChain()
    assert chain == wanted
