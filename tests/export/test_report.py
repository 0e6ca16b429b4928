"""The page for a colleague: what stands on it, in which language, and that nothing gets in unasked."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from studio.core.events import Exported
from studio.core.export_check import ExportCheck
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.translatable import Sentence
from studio.evaluation.verdict import newest_exam
from studio.export.report import LONGEST, AnsweredExample, answered_examples, report_html, report_of, suggested
from tests.export.test_model_card import ANSWER, QUESTION, add_exam, add_examples


class Reader(HTMLParser):
    """Takes the text out, and notices what isn't closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def text_of(run: RunFolder, exports: tuple[Exported, ...] = (), shown: tuple[int, ...] = ()) -> str:
    exam = newest_exam(run)
    tested = answered_examples(exam) if exam is not None else ()
    report = report_of(run, load(run.recipe), exports, [tested[place] for place in shown])
    return " ".join(Reader(report_html(report, Sentence.english)).text)


def test_the_page_tells_data_verdict_exports_and_settings(run: RunFolder) -> None:
    add_examples(run)
    add_exam(run, 24, 30)
    check = ExportCheck(program="transformers", questions=20, same=20)
    text = text_of(run, (Exported(to="merged", folder="/x", size=270_000_000, checks=(check,)),))
    assert "It learned from 30 examples, on top of the model base." in text and "Sort messages politely." in text
    assert "Better: " in text and "Before training" in text and "24 came closer" in text
    assert "270 MB" in text and "Answers the same on 20 of 20." in text
    assert "Room for new knowledge" in text and "Medium (16)" in text and "QLoRA" in text


def test_examples_stand_on_it_only_when_a_person_chose_them(run: RunFolder) -> None:
    add_exam(run, 24, 30)
    without = text_of(run)
    assert QUESTION not in without and ANSWER not in without and "Mr Hidden" not in without
    chosen = text_of(run, shown=(0, 29))
    assert chosen.count(QUESTION) == 2 and "I am a language model of Mr Hidden." in chosen
    assert "pass it on only to people who may see them" in chosen


def test_without_a_test_or_an_export_it_says_so(run: RunFolder) -> None:
    text = text_of(run)
    assert "It has not been tested" in text and "It has not been exported yet." in text


def test_what_a_model_says_is_text_and_never_markup(run: RunFolder) -> None:
    nasty = "<img src=x onerror=alert(1)> & <b>" + "x" * 1000
    example = AnsweredExample(nasty, nasty, nasty, "line\n" * 50, 0.0, 1.0)
    report = report_of(run, load(run.recipe), (), [example])
    html = report_html(report, Sentence.english)
    assert "<img" not in html and "&lt;img" in html
    assert "x" * LONGEST not in html and html.count("line") < 20, "the page stays one page"


def test_every_sentence_goes_through_the_words_of_the_reader(run: RunFolder) -> None:
    add_exam(run, 24, 30)
    report = report_of(run, load(run.recipe))
    said: list[str] = []

    def words(sentence: Sentence) -> str:
        said.append(sentence.text)
        return "가"

    text = "".join(Reader(report_html(report, words)).text)
    assert "What it was taught" in said and "Learning strength" not in text and "Better" not in text


def test_examples_that_became_better_are_suggested_with_one_that_is_still_wrong() -> None:
    kinds = {"better": (0.0, 1.0), "same": (1.0, 1.0), "wrong": (0.0, 0.0)}
    examples = [
        AnsweredExample("q", "w", "b", "a", *kinds[kind]) for kind in ("same", "same", "wrong", *["better"] * 3)
    ]
    assert suggested(examples, 3) == [2, 3, 4]
    assert suggested(examples[:2], 3) == [0, 1]
    assert suggested([], 3) == []


def test_answered_examples_come_with_both_answers(run: RunFolder, tmp_path: Path) -> None:
    add_exam(run, 1, 2)
    exam = newest_exam(run)
    assert exam is not None
    first, second = answered_examples(exam)
    assert (first.question, first.after, first.worth_after) == (QUESTION, ANSWER, 1.0)
    assert second.after == "I am a language model of Mr Hidden." and second.worth_after < 1.0
