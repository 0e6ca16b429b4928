"""The data check against planted defects, against clean sets, and one by one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial

import pytest

from studio.core.conversation import Message, ToolCall
from studio.core.translatable import N_, sentence
from studio.dataset.examples import Example, Skipped
from studio.dataset.quality.batches import batches
from studio.dataset.quality.checks import FIXES
from studio.dataset.quality.examine import Examined, examine
from studio.dataset.quality.report import Finding, Report
from studio.dataset.split import held_out_positions
from studio.dataset.store import stored_row
from tests.dataset.quality.clean_sets import CLEAN, Numbered, clean, numbered, pair
from tests.dataset.quality.planted import DEFECTS, plant


def checked(rows: Sequence[Numbered], held_out: float = 0.1, skipped: Sequence[Skipped] = ()) -> Examined:
    hold_out = partial(held_out_positions, share=held_out, seed=7)
    return examine(iter(rows), len(rows), hold_out, skipped, lambda done, total: None)


def report_of(*examples: Example, beside: str = "english") -> Report:
    """What is said about these examples among a hundred clean ones; they have the rows 1, 2, ..."""
    first = [(number, example) for number, example in enumerate(examples, start=1)]
    rest = [(1000 + number, example) for number, example in enumerate(clean(beside, 100, 3))]
    return checked([*first, *rest]).report


def of(report: Report, code: str) -> Finding | None:
    return next((found for found in report.findings if found.code == code), None)


def rows_of(report: Report, code: str) -> tuple[int, ...]:
    found = of(report, code)
    return found.rows if found is not None else ()


@pytest.mark.parametrize("kind", ["english", "korean", "chat"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_planted_defect_is_found(kind: str, seed: int) -> None:
    planted = plant(kind, 500, seed, DEFECTS, 4)
    report = checked(planted.examples).report
    missed = {
        code: missing for code, rows in planted.rows.items() if (missing := set(rows) - set(rows_of(report, code)))
    }
    total = sum(len(rows) for rows in planted.rows.values())
    print(f"{kind}, seed {seed}: {len(planted.rows)} kinds, {total} planted, {sum(map(len, missed.values()))} missed")  # noqa: T201 - the figure is wanted
    assert len(planted.rows) >= 15
    assert not missed


@pytest.mark.parametrize("kind", ["english", "korean", "chat"])
def test_what_was_not_planted_is_not_reported(kind: str) -> None:
    planted = plant(kind, 500, 3, DEFECTS, 4)
    spoiled = {row for rows in planted.rows.values() for row in rows}
    report = checked(planted.examples).report
    false = {row for found in report.findings if found.severity != "note" for row in found.rows} - spoiled
    print(f"{kind}: {len(false)} false alarms in {len(planted.examples)} examples")  # noqa: T201 - the figure is wanted
    assert len(false) < 0.01 * len(planted.examples)


@pytest.mark.parametrize("kind", sorted(CLEAN))
def test_clean_sets_raise_no_alarm(kind: str) -> None:
    examples = numbered(clean(kind, 500, 11))
    report = checked(examples).report
    alarms = {row for found in report.findings if found.severity != "note" for row in found.rows}
    print(f"{kind}: {len(alarms)} of {len(examples)} examples, {[f.code for f in report.findings]}")  # noqa: T201 - the figure is wanted
    assert len(alarms) < 0.01 * len(examples)
    assert report.grade == "good"


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(CLEAN))
def test_each_check_alarms_on_less_than_one_in_two_hundred_clean_examples(kind: str) -> None:
    examples = numbered(clean(kind, 4_000, 12))
    alarms = {found.code: found.count for found in checked(examples).report.findings if found.severity != "note"}
    assert all(count < 0.005 * len(examples) for count in alarms.values()), alarms


def test_a_finding_says_how_many_where_and_what_would_fix_it() -> None:
    planted = plant("english", 400, 5, DEFECTS, 3)
    report = checked(planted.examples).report
    by_row = dict(planted.examples)
    for found in report.findings:
        assert found.count >= len(found.rows) > 0
        assert list(found.rows) == sorted(found.rows) and set(found.rows) <= by_row.keys()
        assert len(found.excerpts) <= 5
        assert set(found.fixes) <= FIXES.keys()
        for said in (found.what, found.why):
            assert said.english().endswith(".") and "{" not in said.english().replace("{{name}}", "")
        for shown in found.excerpts:
            assert 0 <= shown.start <= shown.end <= len(shown.shown) and shown.row in by_row
    assert of(report, "personal.email") is not None


def test_the_marked_stretch_is_the_one_that_was_found() -> None:
    report = report_of(pair("Who can help me with this?", "Write to\nsora_kim@naver.com and ask for the second form."))
    found = of(report, "personal.email")
    assert found is not None and found.count == 1
    assert found.what.english() == "1 example holds an e-mail address."
    assert [e.shown[e.start : e.end] for e in found.excerpts] == ["sora_kim@naver.com"]
    assert found.fixes == ("mask_email", "drop_email")


def test_numbers_of_rows_end_and_the_count_goes_on() -> None:
    examples = [
        pair(f"Question number {n} about a thing?", f"Write to person{n}@mail.org about it.") for n in range(450)
    ]
    found = of(checked(numbered(examples)).report, "personal.email")
    assert found is not None and found.count == 450 and len(found.rows) == 200
    assert found.what.english() == "450 examples hold an e-mail address."


def test_addresses_from_instruction_books_are_only_noted() -> None:
    report = report_of(pair("Where do I write to?", "Write to jane@example.com or call 010-1234-5678 today."))
    for code in ("personal.email", "personal.phone"):
        found = of(report, code)
        assert found is not None and found.severity == "note"


def test_the_same_address_everywhere_is_taken_for_ones_own() -> None:
    rest = clean("english", 60, 1)
    own = [pair(f"How do I reach you? {n}", f"Write to help@brightlamps.co.uk, number {n}.") for n in range(20)]
    found = of(checked(numbered([*rest, *own])).report, "personal.email")
    assert found is not None and found.severity == "note" and found.count == 20


def test_personal_data_in_tool_calls_and_thoughts_is_found() -> None:
    call = ToolCall(name="call", arguments='{"number": "+49 170 5556677"}')
    told = Example(
        messages=(
            Message(role="user", content="Call my sister."),
            Message(role="assistant", tool_calls=(call,)),
            Message(role="tool", content="ok"),
            Message(role="assistant", content="I have called her.", thinking="Her address is anna@uni-graz.at, too."),
        )
    )
    report = report_of(told)
    assert rows_of(report, "personal.phone") == (1,) and rows_of(report, "personal.email") == (1,)


def test_questions_that_are_set_aside_do_not_stand_in_the_rest() -> None:
    examples = clean("english", 140, 2)
    twice = [pair(example.question, "Another answer to the same question.") for example in examples[:20]]
    result = checked(numbered([*examples, *twice]), held_out=0.1)
    found = of(result.report, "split.held_out")
    assert found is not None and found.count == result.report.held_out == 16
    assert found.what.english().startswith("16 examples are set aside for checking. None of them also stands")
    assert found.why.english().startswith("20 groups")
    assert result.groups[140:].tolist() == list(range(20))


def test_nothing_is_said_about_a_split_where_none_is_made() -> None:
    assert of(checked(numbered(clean("english", 60, 1)), held_out=0.0).report, "split.held_out") is None


@pytest.mark.parametrize(
    ("count", "severity", "grade"),
    [(0, "stop", "unusable"), (9, "stop", "unusable"), (10, "warn", "fair"), (49, "warn", "fair"), (50, None, "good")],
)
def test_too_few_examples_stop_or_warn(count: int, severity: str | None, grade: str) -> None:
    report = checked(numbered(clean("english", count, 4))).report
    found = of(report, "size.few")
    assert (found.severity if found else None) == severity
    assert report.grade == grade and report.examples == count


def test_rows_that_were_left_out_are_told_with_the_commonest_reason() -> None:
    skipped = [Skipped(n, sentence(N_("The answer is empty."))) for n in (4, 8, 9)]
    skipped.append(Skipped(11, sentence(N_("The question is empty."))))
    found = of(checked(numbered(clean("english", 60, 4)), skipped=skipped).report, "rows.skipped")
    assert found is not None and found.count == 4 and found.rows == (4, 8, 9, 11)
    assert found.why.english() == "The answer is empty."


def test_a_label_that_is_far_too_frequent_is_named() -> None:
    texts = clean("english", 200, 8)
    labels = ["delivery"] * 170 + ["payment", "repair"] * 15
    report = checked(numbered([pair(text.answer, label) for text, label in zip(texts, labels, strict=True)])).report
    found = of(report, "labels.frequent")
    assert found is not None and found.count == 170
    assert found.what.english() == "“delivery” is the answer of 170 examples, 85 % of all."


def test_labels_that_are_merely_uneven_are_fine() -> None:
    texts = clean("english", 200, 8)
    labels = ["yes"] * 130 + ["no"] * 70
    report = checked(numbered([pair(text.answer, label) for text, label in zip(texts, labels, strict=True)])).report
    assert of(report, "labels.frequent") is None


def test_one_sentence_that_answers_everything_is_named() -> None:
    examples = clean("english", 150, 8)
    same = [pair(example.question, "Please call our office, they will know more.") for example in examples[:50]]
    found = of(checked(numbered([*same, *examples[50:]])).report, "labels.frequent")
    assert found is not None and found.count == 50


def test_short_answers_by_design_are_no_flaw() -> None:
    for kind in ("label", "choice"):
        report = checked(numbered(clean(kind, 200, 1))).report
        assert not {"answers.one_word", "answers.empty"} & {found.code for found in report.findings}


def test_contradicting_labels_are_told() -> None:
    examples = clean("label", 200, 1)
    other = pair(examples[7].question, "praise" if examples[7].answer != "praise" else "repair")
    report = checked(numbered([*examples, other])).report
    found = of(report, "answers.conflict")
    assert found is not None and found.count == 2 and found.rows == (17, 403)


def test_the_same_question_under_other_instructions_is_no_contradiction() -> None:
    report = report_of(
        pair("What is the best tea?", "Arr, grog be better than any tea, matey.", "You are a pirate."),
        pair("What is the best tea?", "I would recommend a strong one from Assam.", "You are a butler."),
    )
    assert of(report, "answers.conflict") is None


def test_passages_with_several_questions_are_no_near_duplicates_but_stay_together() -> None:
    passage = " ".join(example.answer for example in clean("english", 5, 9))
    asked = (("What is blue?", "The new colour."), ("Who pays?", "We do, within a week."), ("When?", "After Easter."))
    result = checked(numbered([*(pair(f"{passage}\n{q}", a) for q, a in asked), *clean("english", 80, 2)]))
    assert of(result.report, "duplicates.near") is None
    assert len(set(result.groups[:3].tolist())) == 1


def test_words_around_every_question_do_not_make_examples_alike() -> None:
    before = (
        "You are given a message of a customer. Read it carefully and say which team should answer it.\n\nMessage: "
    )
    after = "\n\nAnswer with the name of one team only: delivery, payment, repair, or praise. Do not explain."
    examples = [pair(before + e.question + after, f"team {n % 7}") for n, e in enumerate(clean("short", 300, 2))]
    assert of(checked(numbered(examples)).report, "duplicates.near") is None


def test_answers_at_exactly_the_same_greatest_length_were_cut() -> None:
    long = [" ".join(example.answer for example in clean("english", 3, seed)) for seed in range(8)]
    cut = [
        pair(f"Tell me everything about number {n}.", text[:400].rstrip(". ")[:398] + "xx")
        for n, text in enumerate(long)
    ]
    report = checked(numbered([*cut, *clean("english", 90, 5)])).report
    found = of(report, "answers.cut_off")
    assert found is not None and found.count == 8


def test_examples_in_two_languages_that_fit_their_questions_are_only_noted() -> None:
    examples = [*clean("english", 190, 1), *clean("korean", 12, 1)]
    found = of(checked(numbered(examples)).report, "text.languages")
    assert found is not None and found.severity == "note" and found.count == 12


def test_translations_are_in_another_language_on_purpose() -> None:
    korean = clean("korean", 5, 1)
    report = report_of(*(pair(f"Translate into Korean: {example.question}", example.answer) for example in korean))
    assert of(report, "text.languages") is None


def test_the_worst_comes_first() -> None:
    report = report_of(
        pair("How do I log in?", "Use the key sk-proj-Zk29vbQwe81LmNpa72XyTr45 for now."),
        *(pair(f"What about number {n}?", "<p>It is on its way.</p><br>Please wait.") for n in range(9)),
    )
    codes = [found.code for found in report.findings if found.severity == "warn"]
    assert codes[0] == "secrets.keys" and "text.html" in codes
    assert [f.severity for f in report.findings] == sorted(
        (f.severity for f in report.findings), key="stop warn note".index
    )


def test_a_set_full_of_defects_is_poor() -> None:
    examples = [pair(f"What about {n}?", f"Dear {{{{name}}}}, number {n} is ready for you.") for n in range(60)]
    report = checked(numbered(examples)).report
    assert report.grade == "poor"
    found = of(report, "text.placeholder")
    assert found is not None and not found.fixes, "leaving out nearly all examples would be no fix"


def test_progress_is_told_and_examples_are_taken_once() -> None:
    rows = numbered(clean("english", 2500, 1))
    told: list[tuple[int, int]] = []
    taken = 0

    def once() -> object:
        nonlocal taken
        for row in rows:
            taken += 1
            yield row

    examine(once(), 2500, lambda groups: [], (), lambda done, total: told.append((done, total)))  # type: ignore[arg-type]
    assert taken == 2500 and told == sorted(told) and told[-1] == (2500, 2500)


@pytest.mark.parametrize("name", ("english", "korean", "chat"))
def test_examples_are_judged_alike_as_objects_and_as_the_json_of_the_store(name: str) -> None:
    rows = [
        *plant(name, 120, 5, DEFECTS, 1).examples,
        (2000, Example(text="Only a text, which nobody asked for.")),
        (2001, Example(messages=(Message(role="system", content="Be brief."), *pair("Where?", "There.").messages))),
        (2002, Example(messages=pair("How?", "So.").messages, tools='[{"name": "look"}]')),
        (2004, Example(messages=(*pair("Who?", "Me.").messages, *pair("You?", "Yes.").messages))),
    ]
    hold_out = partial(held_out_positions, share=0.1, seed=7)
    stored = [(row, stored_row(row, example).example) for row, example in rows]
    told = examine(iter(stored), len(stored), hold_out, (), lambda done, total: None)
    assert told.report == checked(rows).report
    assert told.groups.tolist() == checked(rows).groups.tolist()


def test_a_wrong_guess_of_the_count_does_no_harm() -> None:
    rows = numbered(clean("english", 300, 1))
    assert examine(iter(rows), 10, lambda groups: [], (), lambda done, total: None).report == checked(rows, 0).report


def test_the_report_is_the_same_in_every_process_and_needs_neither_pandas_nor_torch() -> None:
    words = (
        "import sys\n"
        "from tests.dataset.quality.planted import DEFECTS, plant\n"
        "from tests.dataset.quality.test_examine import checked\n"
        "print(checked(plant('english', 120, 5, DEFECTS, 2).examples).report.model_dump_json())\n"
        "print([name for name in ('torch', 'pandas', 'transformers', 'datasets', 'PySide6') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout
    here = checked(plant("english", 120, 5, DEFECTS, 2).examples).report.model_dump_json()
    assert told.splitlines() == [here, "[]"]


@pytest.mark.timeout(60)
def test_long_texts_full_of_marks_are_gone_through_without_getting_stuck() -> None:
    long = "`code` <b>bold</b> {{name}} Assistant: a@b.co 010-4821-9937 sk-1 &amp; as an AI, I can't. Ã© \u200b\n" * 400
    report = checked(numbered([pair(f"{n}?", long + str(n)) for n in range(4)])).report
    assert {"personal.email", "text.placeholder", "text.mojibake"} <= {found.code for found in report.findings}


def test_long_examples_come_in_small_batches() -> None:
    long = Example(text="word " * 100_000)
    sizes = [len(batch.rows) for batch in batches((n, long) for n in range(10))]
    assert sum(sizes) == 10 and max(sizes) == 4
