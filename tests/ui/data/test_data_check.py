"""What the data check found, as a person sees it: grade, lines, excerpts, fixes, and what they changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from studio.core.translatable import sentence
from studio.dataset.examples import Skipped
from studio.dataset.quality.checks import FIXES
from studio.dataset.quality.report import ExamplesAbout, Excerpt, Finding, Report, Severity
from studio.ui.data.data_check import LINES, DataCheck, marked, reasons
from studio.worker.protocol import Built, Progress

DO, OTHER = list(FIXES)[:2]


def finding(code: str, severity: Severity, count: int = 3, *, fixes: tuple[str, ...] = ()) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        what=sentence("{n} answers show {code}.", n=count, code=code),
        why=sentence("It would be learned."),
        count=count,
        rows=(4, 9),
        excerpts=(Excerpt(row=4, shown="call 010-1234-5678 <b>now</b>", start=5, end=18),),
        fixes=fixes,
    )


def report(*found: Finding) -> Report:
    return Report(
        examples=148, held_out=15, findings=found, grade="fair", advice=sentence("Leave out the doubles first.")
    )


def built(count: int, skipped: tuple[Skipped, ...] = ()) -> Built:
    about = ExamplesAbout(skipped=skipped, skipped_count=len(skipped), steps=())
    return Built(examples=Path("built"), count=count, about=about)


BUILT = built(148)


@pytest.fixture
def check(qtbot: QtBot) -> DataCheck:
    made = DataCheck()
    qtbot.addWidget(made)
    made.resize(460, 420)
    made.show()
    return made


def test_the_grade_is_a_word_with_one_sentence_of_advice(check: DataCheck) -> None:
    check.show_report(report(), BUILT)
    assert check.grade.text() == "Fair"
    assert check.advice.text() == "Leave out the doubles first."
    assert check.usable.text().startswith("148 examples; 15 of them are set aside")


def test_each_finding_is_a_line_with_a_shape_that_has_a_name(check: DataCheck) -> None:
    check.show_report(report(finding("a", "stop"), finding("b", "warn"), finding("c", "note")), BUILT)
    names = [row.accessibleName() for row in check.rows]
    assert names == [
        "Stops the training: 3 answers show a.",
        "Worth fixing: 3 answers show b.",
        "Good to know: 3 answers show c.",
    ]


def test_at_most_six_lines_until_all_are_asked_for(check: DataCheck) -> None:
    check.show_report(report(*(finding(f"f{n}", "warn") for n in range(9))), BUILT)
    assert len(check.rows) == LINES
    assert check.show_all.text() == "Show all 9"
    check.show_all.click()
    assert len(check.rows) == 9 and not check.show_all.isVisible()


def test_show_opens_the_reason_the_excerpts_and_the_way_to_the_rows(check: DataCheck, qtbot: QtBot) -> None:
    check.show_report(report(finding("a", "warn", count=500)), BUILT)
    (row,) = check.rows
    assert not row.is_open()
    row.show_button.click()
    assert row.is_open()
    assert "010-1234-5678" in row.excerpts.text() and "&lt;b&gt;now" in row.excerpts.text()
    assert row.only_these is not None and row.only_these.text() == "Show only the first 2 of these rows"
    with qtbot.waitSignal(check.rows_wanted) as wanted:
        row.only_these.click()
    assert wanted.args == [row.finding]
    row.show_button.click()
    assert not row.is_open()


def test_what_is_meant_in_an_excerpt_is_underlined_and_nothing_else() -> None:
    html = marked(Excerpt(row=1, shown="call 010-1234 now", start=5, end=13))
    assert 'text-decoration: underline">010-1234</span> now' in html
    assert "underline" not in marked(Excerpt(row=1, shown="the whole"))


def test_fixes_are_buttons_with_plain_labels(check: DataCheck, qtbot: QtBot) -> None:
    check.show_report(report(finding("a", "warn", fixes=(DO, OTHER, "from.a_later_version"))), BUILT)
    (row,) = check.rows
    assert [made.text() for made in row.fixes.values()] == [FIXES[DO].label, FIXES[OTHER].label]
    with qtbot.waitSignal(check.fix_wanted) as wanted:
        row.fixes[DO].click()
    assert wanted.args == [DO]


@pytest.mark.parametrize("width", [300, 900])
def test_no_button_is_cut_off_in_a_narrow_or_a_wide_page(check: DataCheck, width: int, qtbot: QtBot) -> None:
    check.resize(width, 420)
    check.show_report(report(finding("a", "warn", fixes=(DO,))), BUILT)
    (row,) = check.rows
    made = row.fixes[DO]
    qtbot.waitUntil(lambda: made.isVisible() and made.width() >= made.sizeHint().width())
    right = made.mapTo(check, made.rect().topRight()).x()
    assert right <= check.width()


def test_while_the_examples_are_checked_a_quiet_line_counts_and_can_be_cancelled(
    check: DataCheck, qtbot: QtBot
) -> None:
    check.show_report(None, BUILT)
    check.show_progress(Progress(done=50, total=148, text=sentence("Looking for doubles.")), examining=True)
    assert check.progress.isVisible()
    assert "Looking for doubles." in check.progress.words.text() and "50 of 148" in check.progress.words.text()
    with qtbot.waitSignal(check.cancel_wanted):
        check.progress.cancel.click()
    check.show_progress(None, examining=False)
    assert not check.progress.isVisible()


def test_while_a_newer_report_is_waited_for_the_old_one_can_be_read_but_not_pressed(check: DataCheck) -> None:
    check.show_report(report(finding("a", "warn", fixes=(DO,))), BUILT)
    check.show_report(None, built(139), waiting=True)
    assert check.grade.isVisible() and len(check.rows) == 1
    assert not check.rows[0].fixes[DO].isEnabled()
    check.show_report(report(), built(139))
    assert not check.rows
    check.show_report(report(finding("a", "warn", fixes=(DO,))), BUILT)
    check.forget()
    assert not check.rows and not check.grade.isVisible()


def test_a_check_that_was_stopped_can_be_started_again(check: DataCheck, qtbot: QtBot) -> None:
    check.show_report(None, BUILT, waiting=True)
    assert not check.unchecked.isVisible()
    check.show_report(None, BUILT)
    assert check.unchecked.isVisible()
    with qtbot.waitSignal(check.check_wanted):
        check.unchecked.findChildren(QPushButton)[0].click()


def test_notes_of_the_reading_and_rows_left_out_are_said_before_the_check(check: DataCheck) -> None:
    skipped = (Skipped(4, sentence("The answer is empty.")),)
    check.show_report(None, built(10, skipped), (sentence("Two lines above the table were left out."),))
    text = check.notes.text()
    assert "Two lines above" in text and "Row 4: The answer is empty." in text
    assert check.usable.text() == "10 examples can be learned from."


def test_it_says_which_personal_data_was_looked_for_and_which_was_not(check: DataCheck) -> None:
    told = report().model_copy(update={"looked_for": ("email addresses",), "not_looked_for": ("names of people",)})
    check.show_report(told, BUILT)
    assert check.notes.text() == "Looked for: email addresses. Not looked for: names of people."


def test_rows_left_out_are_told_by_reason() -> None:
    empty, odd = sentence("The answer is empty."), sentence("Nobody asks in this conversation.")
    skipped = (*(Skipped(n, empty) for n in range(1, 16)), Skipped(99, odd))
    first, second = reasons(skipped).split("\n")
    assert first == "Rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 3 more: The answer is empty."
    assert second == "Row 99: Nobody asks in this conversation."


def test_the_tab_key_goes_through_the_lines_as_they_are_seen(check: DataCheck) -> None:
    other = QPushButton("made later", check)
    other.show()
    check.show_report(report(finding("a", "warn", fixes=(DO,)), finding("b", "warn", fixes=(OTHER,))), BUILT)
    first, second = check.rows
    wanted = [first.fixes[DO], first.show_button, second.fixes[OTHER], second.show_button]
    chain: list[QWidget] = []
    widget: QWidget | None = first.fixes[DO]
    while widget is not None and len(chain) < len(wanted):
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            chain.append(widget)
        widget = widget.nextInFocusChain()
    assert chain == wanted
