"""Every fix takes its finding away, touches nothing else, and does the same again when replayed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from studio.core.conversation import Message, ToolCall
from studio.core.recipe.data_choice import Fix
from studio.dataset.examples import Example
from studio.dataset.quality.checks import CHECKS, FIXES
from studio.dataset.quality.fixes import apply_all
from studio.dataset.quality.report import Step
from tests.dataset.conftest import problem_of
from tests.dataset.quality.clean_sets import Numbered, clean, numbered, pair
from tests.dataset.quality.planted import DEFECTS, Planted, plant
from tests.dataset.quality.test_examine import checked, of, rows_of

_BY_CODE = {defect.code: defect for defect in DEFECTS}


def after(rows: list[Numbered], *fixes: Fix) -> tuple[list[Numbered], list[Step]]:
    log: list[Step] = []
    return list(apply_all(iter(rows), fixes, log)), log


def offered(code: str, kind: str) -> tuple[Planted, tuple[str, ...]]:
    planted = plant(kind, 130, 6, [_BY_CODE[code]], 3)
    found = of(checked(planted.examples).report, code)
    assert found is not None and found.fixes
    return planted, found.fixes


@pytest.mark.parametrize("kind", ["english", "korean"])
@pytest.mark.parametrize("code", sorted(_BY_CODE))
def test_each_offered_fix_takes_its_finding_away(code: str, kind: str) -> None:
    planted, fixes = offered(code, kind)
    spoiled = set(planted.rows[code])
    for do in fixes:
        rows, log = after(planted.examples, Fix(do=do))
        report = checked(rows).report
        assert of(report, code) is None, do
        assert not [f.code for f in report.findings if f.severity != "note"], "and brings no other"
        # what had no defect is as it was
        kept = dict(rows)
        for row, example in planted.examples:
            if row not in spoiled and not (code.startswith(("answers.conflict", "duplicates"))):
                assert kept[row] == example
        assert len(log) == 1 and log[0].do == do
        assert log[0].dropped == len(planted.examples) - len(rows)
        assert log[0].changed + log[0].dropped > 0
        assert 0 < len(log[0].excerpts) <= 5
        assert all(change.before != change.after for change in log[0].excerpts)


@pytest.mark.parametrize("do", sorted(FIXES))
def test_a_fix_gives_the_same_again_and_again(do: str) -> None:
    planted = plant("korean", 110, 9, DEFECTS, 2)
    once, first = after(planted.examples, Fix(do=do))
    again, second = after(planted.examples, Fix(do=do))
    assert once == again and first == second
    twice, log = after(once, Fix(do=do))
    assert twice == once and log[0].changed == log[0].dropped == 0


def test_every_fix_is_declared_once_with_its_check_and_is_labelled() -> None:
    declared = [fix.code for check in CHECKS for fix in check.fixes]
    assert len(declared) == len(set(declared)) == len(FIXES)
    assert len({check.code for check in CHECKS}) == len(CHECKS)
    for fix in FIXES.values():
        assert fix.label and fix.help.endswith(".")
    planted = plant("english", 400, 5, DEFECTS, 3)
    offers = {do for found in checked(planted.examples).report.findings for do in found.fixes}
    assert len(offers) > 25 and offers <= FIXES.keys()


@pytest.mark.parametrize(
    "do", ["drop_email", "mask_email", "keep_one", "keep_one_near", "drop_conflicts", "drop_cut_off"]
)
def test_rows_limit_a_fix(do: str) -> None:
    planted = plant("english", 200, 2, DEFECTS, 3)
    everywhere, _ = after(planted.examples, Fix(do=do))
    touched = {row for row, _ in planted.examples} - {row for row, _ in everywhere}
    touched |= {row for row, example in everywhere if dict(planted.examples)[row] != example}
    chosen = tuple(sorted(touched))[:2]
    assert len(chosen) == 2
    some, log = after(planted.examples, Fix(do=do, rows=chosen))
    before = dict(planted.examples)
    assert {row for row in before if row not in dict(some)} | {r for r, e in some if before[r] != e} == set(chosen)
    assert log[0].changed + log[0].dropped == 2


def test_all_fixes_in_a_row_leave_a_clean_set() -> None:
    planted = plant("english", 300, 4, DEFECTS, 2)
    firsts = [found.fixes[0] for found in checked(planted.examples).report.findings if found.fixes]
    rows, log = after(planted.examples, *(Fix(do=do) for do in firsts))
    report = checked(rows).report
    assert not [f.code for f in report.findings if f.severity != "note"]
    assert [step.do for step in log] == firsts
    assert len(rows) == len(planted.examples) - sum(step.dropped for step in log)


def test_of_conflicting_answers_the_longest_or_the_last_stays() -> None:
    rows = numbered(
        [
            pair("How late?", "At six."),
            pair("how  late?", "At six, but on Fridays at noon."),
            pair("How late?", "Never."),
        ]
    )
    assert [e.answer for _, e in after(rows, Fix(do="keep_longest_answer"))[0]] == ["At six, but on Fridays at noon."]
    assert [e.answer for _, e in after(rows, Fix(do="keep_last_answer"))[0]] == ["Never."]
    assert after(rows, Fix(do="drop_conflicts"))[0] == []


def test_masks_speak_the_language_of_the_text() -> None:
    rows = numbered([pair("Who?", "Call +49 170 5556677 now."), pair("누구요?", "010-4821-9937로 전화하세요.")])
    changed, log = after(rows, Fix(do="mask_phone"))
    assert [e.answer for _, e in changed] == ["Call [phone number] now.", "[전화번호]로 전화하세요."]
    assert log[0].changed == 2 and "5556677" in log[0].excerpts[0].before
    assert "[phone number]" in log[0].excerpts[0].after


def test_a_masked_number_in_a_tool_call_leaves_its_json_whole() -> None:
    call = ToolCall(name="pay", arguments='{"card": 4539578763621486, "note": "mail a.b@mail.com", "paid": true}')
    example = Example(messages=(Message(role="user", content="Pay it."), Message(role="assistant", tool_calls=(call,))))
    changed, _ = after([(1, example)], Fix(do="mask_card"), Fix(do="mask_email"))
    arguments = json.loads(changed[0][1].messages[1].tool_calls[0].arguments)
    assert arguments == {"card": "[card number]", "note": "mail [e-mail]", "paid": True}


def test_marks_of_a_chat_format_go_with_what_follows_them() -> None:
    answers = (
        "### Response:\nIt is late.",
        "It is late.<|im_end|>\n<|im_start|>user\nWhy?",
        "Assistant: It is late.",
        "It is late.\nUser: Why?",
    )
    rows = numbered([pair(f"Question {n}?", answer) for n, answer in enumerate(answers)])
    assert {e.answer for _, e in after(rows, Fix(do="strip_role_text"))[0]} == {"It is late."}


def test_an_answer_of_which_nothing_is_left_is_left_out() -> None:
    rows = numbered([pair("What now?", "<|im_end|>"), pair("And now?", "We wait for the train.")])
    kept, log = after(rows, Fix(do="strip_role_text"))
    assert [row for row, _ in kept] == [5] and log[0].dropped == 1 and log[0].changed == 0


_CHATML = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>"


@pytest.mark.parametrize(
    "example",
    [
        Example(text=_CHATML.format("Where is my lamp?", "It comes tomorrow.")),
        Example(text="[INST] Where is my lamp? [/INST] It comes tomorrow."),
        Example(text="### Instruction:\nAnswer.\n\n### Response:\nIt comes tomorrow."),
        pair("Continue.", "Human: Where is my lamp?\nAssistant: It comes tomorrow.\nHuman: Thank you!"),
        pair("Continue.", _CHATML.format("Where is my lamp?", "It comes tomorrow.")),
        Example(
            messages=(
                *pair("Where is it?", "It comes tomorrow.\nUser: And the other?").messages,
                *pair("And the other?", "The day after.").messages,
            )
        ),
    ],
)
def test_role_text_is_not_taken_out_of_conversations(example: Example) -> None:
    rows = [(1, example), *((100 + n, other) for n, other in enumerate(clean("english", 60, 3)))]
    kept, log = after(rows, Fix(do="strip_role_text"))
    assert kept == rows and log[0].changed == log[0].dropped == 0
    found = of(checked(rows).report, "answers.role_text")
    assert found is not None and found.fixes == ("drop_role_text",), "and nobody is offered what does nothing"


def test_questions_about_one_passage_are_not_dropped_as_near_duplicates() -> None:
    passage = " ".join(example.answer for example in clean("english", 4, 9))
    questions = (
        "Who founded the club?",
        "Who painted the sign?",
        "Who wrote the first song?",
        "Who was captain first?",
    )
    about = [pair(f"{passage}\n{question}", "Mira Holt") for question in questions]
    before = [pair(f"{question[:-1]} by the sea? {passage}", "Mira Holt") for question in questions]
    rows = numbered([*about, *before, *clean("english", 80, 2)])
    assert of(checked(rows).report, "duplicates.near") is None
    assert after(rows, Fix(do="keep_one_near"))[0] == rows
    again = numbered([*about, pair(f"{passage.replace('box', 'carton')}\nWho founded the club?", "Mira Holt")])
    assert len(after(again, Fix(do="keep_one_near"))[0]) == 4, "a question that is alike goes"


def test_a_label_is_capped_evenly_over_the_file() -> None:
    texts = clean("english", 200, 8)
    labels = ["payment", "repair"] * 15 + ["delivery"] * 170
    rows = numbered([pair(text.answer, label) for text, label in zip(texts, labels, strict=True)])
    kept, log = after(rows, Fix(do="cap_label"))
    assert rows_of(checked(kept).report, "labels.frequent") == ()
    delivered = [row for row, example in kept if example.answer == "delivery"]
    assert len(delivered) == 30 and log[0].dropped == 140
    assert delivered[0] == rows[30][0] and delivered[-1] == rows[-1][0]


def test_html_is_shown_as_a_browser_would() -> None:
    rows = numbered(
        [pair("What is new?", "<p>Tea &amp; cake.</p><ul><li>One</li><li>Two</li></ul>It&#39;s <b>free</b>.")]
    )
    assert after(rows, Fix(do="strip_html"))[0][0][1].answer == "Tea & cake.\n\nOne\n\nTwo\n\nIt's free."


def test_plain_text_is_fixed_as_well() -> None:
    rows = [(n, Example(text=f"Passage {n} about cafÃ©s and tea.")) for n in range(3)]
    assert [e.text for _, e in after(rows, Fix(do="fix_mojibake"))[0]] == [
        f"Passage {n} about cafés and tea." for n in range(3)
    ]


def test_examples_stream_through_fixes_that_need_no_other_example() -> None:
    taken = 0

    def endless() -> Iterator[Numbered]:
        nonlocal taken
        while True:
            taken += 1
            yield taken, pair(f"Question {taken}?", f"Write to a{taken}@mail.com about it.")

    log: list[Step] = []
    result = apply_all(endless(), [Fix(do="mask_email"), Fix(do="drop_html")], log)
    assert next(result)[1].answer == "Write to [e-mail] about it." and taken < 5000 and log == []


def test_an_unknown_fix_is_refused_at_once() -> None:
    refused = problem_of(lambda: apply_all(iter(()), [Fix(do="polish")], []))
    assert refused.code == "data.unknown_fix" and "polish" in refused.english()


def test_what_fixes_are_called_is_known_without_loading_what_does_them() -> None:
    words = (
        "import sys\n"
        "from studio.dataset.quality.checks import FIXES\n"
        "slow = ('numpy', 'pyarrow', 'rensa', 'phonenumbers', 'stdnum')\n"
        "print(len(FIXES), [name for name in slow if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout
    assert told.strip() == f"{len(FIXES)} []"


def test_personal_data_that_stands_only_in_a_worse_answer_is_found_and_masked() -> None:
    rows = numbered(clean("english", 130, 6))
    spoiled, example = rows[40]
    worse = Message(role="assistant", content="Write to anna.petersen@posteo.de or wait.")
    rows[40] = spoiled, example.model_copy(update={"rejected": worse})
    found = of(checked(rows).report, "personal.email")
    assert found is not None and (found.count, found.rows) == (1, (spoiled,))
    assert "anna.petersen@posteo.de" in found.excerpts[0].shown
    masked, log = after(rows, Fix(do=found.fixes[0]))
    kept = dict(masked)[spoiled].rejected
    assert kept is not None and "anna.petersen" not in kept.content and kept.content.startswith("Write to ")
    assert dict(masked)[spoiled].messages == example.messages
    assert log[0].changed == 1 and "anna.petersen" in log[0].excerpts[0].before
