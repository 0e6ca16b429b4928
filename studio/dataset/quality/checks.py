"""Every data check, each declared once: how it is found, what is said about it, and what fixes it.

What shows in one example alone is an `ExampleCheck`; what can only be judged beside all others, a `DatasetCheck`. The
report, the fixes, the command line and the window walk `CHECKS` and `FIXES`. Nothing here takes long to load: long
patterns are kept as texts, which `re` compiles when they are first looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from studio.core.translatable import N_, Sentence, sentence, type_of_value
from studio.dataset.quality import answers, encoding, markup, personal_data, secrets
from studio.dataset.quality.report import Severity, Span

if TYPE_CHECKING:
    from studio.dataset.quality.dataset_statistics import DatasetStatistics, Positions

STOP_UNDER = 10
"""Fewer examples than this teach nothing but themselves."""
WARN_UNDER = 50

_OUT = N_("Leave these out")
_OUT_HELP = N_("These examples won't be learned. The file stays as it is.")
_MASK = N_("Mask")
_TAKE_OUT = N_("Take the marks out")


@dataclass(frozen=True)
class CheckFix:
    """`code` names it in recipes, `label` stands on the button, `help` says in one line what it does.

    Of an `ExampleCheck` `rewrite(text, question)` undoes what was found; without it the example is left out. With
    `pairs_only` nothing is rewritten in plain texts and in conversations of several answers. Of a `DatasetCheck`
    `choose` tells which examples are left out; without it all that were found are. With `near` it needs near duplicates
    and is done once; the others are repeated, since what is usual changes with what was left out.
    """

    code: str
    label: str = _OUT
    help: str = _OUT_HELP
    rewrite: Callable[[str, str], str] | None = None
    pairs_only: bool = False
    choose: Callable[[DatasetStatistics], Positions] | None = None
    near: bool = False


@dataclass(frozen=True)
class ExampleCheck:
    """`detect(text, question)` tells where it is in a text; `hint` is a pattern of RE2 that stands in every such text.
    `one` and `many` say what was found and `why` why it matters; `fixes` begin with the recommended one.

    `harm` is how much a single one does, beside the others 1. With `on_purpose`, the share of examples from which on it
    is taken for what the dataset is about: only noted then. `why_most` is said, and no fix offered, where most have it.
    `made_up` tells what belongs to nobody, such as numbers kept free for examples, which is only noted. `looked_for`
    names what a report promises to look for.
    """

    code: str
    one: str
    many: str
    why: str
    hint: str
    detect: Callable[[str, str], list[Span]]
    fixes: tuple[CheckFix, ...]
    rough_hint: str = ""
    """Stands in every such text too, and is found much faster: other texts aren't searched for `hint`."""
    severity: Severity = "warn"
    looks_at: Literal["whole", "answers"] = "whole"
    harm: float = 1.0
    leak: bool = False
    """Whether it can't be taken back once it was learned: such findings come first, however few."""
    on_purpose: float = 1.1
    why_most: str = ""
    made_up: Callable[[str], bool] | None = None
    looked_for: str = ""


@dataclass(frozen=True)
class DatasetCheck:
    """`detect` tells the positions of the examples concerned. `severity` and `why` may depend on the whole, `values` go
    into the sentences; `shows` is what an excerpt is made of. The rest is as in `ExampleCheck`."""

    code: str
    one: str
    many: str
    why: str | Callable[[DatasetStatistics], Sentence]
    detect: Callable[[DatasetStatistics], Positions]
    severity: Severity | Callable[[DatasetStatistics], Severity] = "warn"
    fixes: tuple[CheckFix, ...] = ()
    shows: Literal["example", "answer", "answer's end", "with the first", "conflict", "rows", "nothing"] = "example"
    values: Callable[[DatasetStatistics], dict[str, type_of_value]] | None = None
    harm: float = 1.0
    leak: bool = False


def _personal(
    code: str,
    one: str,
    many: str,
    looked_for: str,
    detect: Callable[[str], list[Span]],
    mask: tuple[str, str],
    hint: str = personal_data.HINT,
    leak: bool = True,
) -> ExampleCheck:
    """`mask` is what stands in the place of what is masked, in English and in Korean."""
    return ExampleCheck(
        code=f"personal.{code}",
        one=one,
        many=many,
        why=N_(
            "A model can repeat what it has learned to anybody who asks. "
            "Data about people rarely belongs into a training set."
        ),
        hint=hint,
        detect=lambda text, question: detect(text),
        fixes=(
            CheckFix(
                f"mask_{code}",
                _MASK,
                N_("A word in brackets, such as [phone number], will stand in its place."),
                rewrite=lambda text, question: personal_data.masked(text, mask, detect),
            ),
            CheckFix(f"drop_{code}"),
        ),
        harm=3.0,
        leak=leak,
        made_up=personal_data.is_made_up,
        looked_for=looked_for,
    )


CHECKS: tuple[ExampleCheck | DatasetCheck, ...] = (
    _personal(
        "national_number",
        N_("1 example holds a national number, of an identity card, tax, insurance or health."),
        N_("{count:,} examples hold a national number, of an identity card, tax, insurance or health."),
        N_("national numbers (identity, tax, insurance, health) of 46 countries"),
        personal_data.national_ids,
        ("[ID number]", "[주민등록번호]"),
    ),
    _personal(
        "card",
        N_("1 example holds the number of a payment card."),
        N_("{count:,} examples hold the number of a payment card."),
        N_("payment cards"),
        personal_data.cards,
        ("[card number]", "[카드번호]"),
    ),
    _personal(
        "account",
        N_("1 example holds an international bank account number (IBAN)."),
        N_("{count:,} examples hold an international bank account number (IBAN)."),
        N_("international bank accounts (IBAN)"),
        personal_data.accounts,
        ("[account number]", "[계좌번호]"),
    ),
    _personal(
        "passport",
        N_("1 example holds a passport number."),
        N_("{count:,} examples hold a passport number."),
        N_("passport numbers"),
        personal_data.passports,
        ("[passport number]", "[여권번호]"),
    ),
    _personal(
        "phone",
        N_("1 example holds a phone number."),
        N_("{count:,} examples hold a phone number."),
        N_("phone numbers"),
        personal_data.phones,
        ("[phone number]", "[전화번호]"),
        leak=False,
    ),
    _personal(
        "email",
        N_("1 example holds an e-mail address."),
        N_("{count:,} examples hold an e-mail address."),
        N_("e-mail addresses"),
        personal_data.emails,
        ("[e-mail]", "[이메일]"),
        hint="@",
        leak=False,
    ),
    ExampleCheck(
        code="secrets.keys",
        one=N_("1 example holds a password or a secret key."),
        many=N_("{count:,} examples hold a password or a secret key."),
        why=N_(
            "Whoever talks to the model could get it out again. A key that was in a file should be replaced anyway."
        ),
        hint=secrets.HINT,
        rough_hint=secrets.ROUGH_HINT,
        detect=lambda text, question: secrets.secrets(text),
        fixes=(
            CheckFix(
                "mask_secrets",
                _MASK,
                N_("“[secret]” will stand in the place of each password or key."),
                rewrite=lambda text, question: personal_data.masked(text, ("[secret]", "[비밀값]"), secrets.secrets),
            ),
            CheckFix("drop_secrets"),
        ),
        leak=True,
        looked_for=N_("passwords and secret keys"),
    ),
    ExampleCheck(
        code="text.mojibake",
        one=N_("1 example has garbled characters that can be put right."),
        many=N_("{count:,} examples have garbled characters that can be put right."),
        why=N_("The text was stored in one encoding and read in another somewhere. The model would learn to write so."),
        hint=encoding.MOJIBAKE_HINT,
        detect=lambda text, question: encoding.mojibake(text),
        fixes=(
            CheckFix(
                "fix_mojibake",
                N_("Put the characters right"),
                N_("Garbled stretches are read again as they were meant."),
                rewrite=lambda text, question: encoding.without_mojibake(text),
            ),
            CheckFix("drop_mojibake"),
        ),
        harm=4.0,
    ),
    ExampleCheck(
        code="text.lost_characters",
        one=N_("1 example has characters that were lost and can't be restored."),
        many=N_("{count:,} examples have characters that were lost and can't be restored."),
        why=N_("A replacement sign stands where an earlier program couldn't read the text."),
        hint=encoding.LOST.pattern,
        detect=lambda text, question: [found.span() for found in encoding.LOST.finditer(text)],
        fixes=(CheckFix("drop_lost_characters"),),
        harm=4.0,
    ),
    ExampleCheck(
        code="text.placeholder",
        one=N_("1 example has a gap that nobody filled in."),
        many=N_("{count:,} examples have a gap that nobody filled in."),
        why=N_("The model would learn to write the gap itself, such as {{{{name}}}} or [NAME], into its answers."),
        hint=markup.GAP_HINT,
        detect=lambda text, question: markup.gaps(text),
        fixes=(CheckFix("drop_placeholders"),),
        harm=4.0,
        why_most=N_("Most examples have one: write in the file what should stand there."),
    ),
    ExampleCheck(
        code="answers.role_text",
        one=N_("1 answer has marks of a chat format inside, such as the name of the next speaker."),
        many=N_("{count:,} answers have marks of a chat format inside, such as the name of the next speaker."),
        why=N_("The program adds these marks itself. In an answer they teach the model to go on talking for you."),
        hint=markup.ROLE_HINT,
        detect=markup.role_marks,
        fixes=(
            CheckFix(
                "strip_role_text",
                _TAKE_OUT,
                N_("The answer stays, without marks and without what follows them. Conversations stay as they are."),
                rewrite=markup.without_role_marks,
                pairs_only=True,
            ),
            CheckFix("drop_role_text"),
        ),
        looks_at="answers",
        harm=4.0,
    ),
    ExampleCheck(
        code="answers.refusal",
        one=N_("1 answer is a refusal in the words of another model."),
        many=N_("{count:,} answers are refusals in the words of another model."),
        why=N_("They were copied from a chat program. A model learns refusing quickly, also where it could help."),
        hint=answers.REFUSAL_HINT,
        detect=lambda text, question: answers.refusals(text),
        fixes=(CheckFix("drop_refusals"),),
        looks_at="answers",
        harm=3.0,
        on_purpose=0.3,
    ),
    ExampleCheck(
        code="text.html",
        one=N_("1 example has leftover marks of a web page."),
        many=N_("{count:,} examples have leftover marks of a web page."),
        why=N_("Tags such as <br> came along when the text was copied. The model would write them into its answers."),
        hint="[<&]",
        detect=lambda text, question: markup.markup(text),
        fixes=(
            CheckFix(
                "strip_html",
                _TAKE_OUT,
                N_("Tags go, and signs such as &amp; become characters."),
                rewrite=lambda text, question: markup.without_markup(text),
            ),
            CheckFix("drop_html"),
        ),
        harm=2.0,
        on_purpose=0.5,
    ),
    ExampleCheck(
        code="text.unseen",
        one=N_("1 example has characters that can't be seen."),
        many=N_("{count:,} examples have characters that can't be seen."),
        why=N_("Control characters and characters without width change what the model reads, though nobody sees them."),
        hint=encoding.UNSEEN_HINT,
        detect=lambda text, question: encoding.unseen(text),
        fixes=(
            CheckFix(
                "trim_unseen",
                N_("Take them out"),
                N_("The characters go, the visible text stays as it is."),
                rewrite=lambda text, question: encoding.without_unseen(text),
            ),
            CheckFix("drop_unseen"),
        ),
    ),
    DatasetCheck(
        code="size.few",
        severity=lambda statistics: "stop" if len(statistics) < STOP_UNDER else "warn",
        one=N_("There is only 1 example."),
        many=N_("There are only {count:,} examples."),
        why=lambda statistics: sentence(
            N_("Ten is the least that teaches anything; 50 to 100 are the first that help.")
            if len(statistics) < STOP_UNDER
            else N_("The model may pick up a manner from these; from 50 to 100 on it begins to help.")
        ),
        detect=lambda statistics: statistics.all if len(statistics) < WARN_UNDER else statistics.none,
        shows="nothing",
        harm=1000.0,
    ),
    DatasetCheck(
        code="duplicates.exact",
        one=N_("1 example stands twice."),
        many=N_("{count:,} examples are exact copies of earlier ones."),
        why=N_("What stands twice is learned twice as strongly, and counts double when answers are checked."),
        detect=lambda statistics: statistics.exact_copies,
        fixes=(
            CheckFix("keep_one", N_("Keep one of each"), N_("The first of each stays, its exact copies are left out.")),
        ),
        harm=2.0,
    ),
    DatasetCheck(
        code="duplicates.near",
        one=N_("1 example is nearly the same as an earlier one."),
        many=N_("{count:,} examples are nearly the same as earlier ones."),
        why=N_("Both question and answer are nearly the same. They teach little that is new."),
        detect=lambda statistics: statistics.near_copies,
        fixes=(
            CheckFix(
                "keep_one_near",
                N_("Keep one of each"),
                N_("The first of each group stays, those nearly the same are left out."),
                near=True,
            ),
        ),
        shows="with the first",
    ),
    DatasetCheck(
        code="answers.conflict",
        severity=lambda statistics: "note" if statistics.mostly_conflicting else "warn",
        one=N_("1 example asks the same as others but is answered differently."),
        many=N_("{count:,} examples ask the same as others but are answered differently."),
        why=lambda statistics: sentence(
            N_("So many are hardly a mistake: several good answers to one question are fine.")
            if statistics.mostly_conflicting
            else N_("If all answers are right, leave them. If they contradict each other, the model learns a mixture.")
        ),
        detect=lambda statistics: statistics.conflicting,
        fixes=(
            CheckFix(
                "keep_longest_answer",
                N_("Keep the longest answer"),
                N_("Of each question the longest answer stays."),
                choose=lambda statistics: statistics.conflict_losers("longest"),
                near=True,
            ),
            CheckFix(
                "keep_last_answer",
                N_("Keep the last answer"),
                N_("Of each question the answer that stands last stays."),
                choose=lambda statistics: statistics.conflict_losers("last"),
                near=True,
            ),
            CheckFix(
                "drop_conflicts",
                N_("Leave all of them out"),
                N_("Questions with different answers are left out altogether."),
                near=True,
            ),
        ),
        shows="conflict",
        harm=2.0,
    ),
    DatasetCheck(
        code="answers.empty",
        one=N_("1 answer says nothing."),
        many=N_("{count:,} answers say nothing."),
        why=N_("They hold only signs, or a word such as none. The model would learn to answer so."),
        detect=lambda statistics: statistics.empty_answers,
        fixes=(CheckFix("drop_empty_answers"),),
        shows="answer",
        harm=4.0,
    ),
    DatasetCheck(
        code="answers.one_word",
        severity=lambda statistics: "warn" if len(statistics.one_word_answers) <= 0.05 * len(statistics) else "note",
        one=N_("1 answer is a single word, while the others are longer."),
        many=N_("{count:,} answers are a single word, while the others are longer."),
        why=N_("Where such an answer isn't meant, it teaches the model to be curt."),
        detect=lambda statistics: statistics.one_word_answers,
        fixes=(CheckFix("drop_one_word"),),
        shows="answer",
    ),
    DatasetCheck(
        code="answers.cut_off",
        one=N_("1 answer seems to be cut off in mid-sentence."),
        many=N_("{count:,} answers seem to be cut off in mid-sentence."),
        why=N_("Most others end with a sentence's end. The model would learn to stop in the middle."),
        detect=lambda statistics: statistics.broken_off,
        fixes=(CheckFix("drop_cut_off"),),
        shows="answer's end",
        harm=3.0,
    ),
    DatasetCheck(
        code="answers.echo",
        one=N_("1 answer only repeats its question."),
        many=N_("{count:,} answers only repeat their question."),
        why=N_("From these the model learns to say what it was told instead of answering."),
        detect=lambda statistics: statistics.echoes,
        fixes=(CheckFix("drop_echoes"),),
        harm=4.0,
    ),
    DatasetCheck(
        code="text.languages",
        severity=lambda statistics: "note" if statistics.bilingual else "warn",
        one=N_("1 answer is in another language than the rest or than its question."),
        many=N_("{count:,} answers are in another language than the rest or than their question."),
        why=N_("A model that sees languages mixed answers in the wrong one now and then."),
        detect=lambda statistics: statistics.foreign,
        fixes=(CheckFix("drop_other_language"),),
        shows="answer",
        harm=2.0,
    ),
    DatasetCheck(
        code="length.outliers",
        one=N_("1 example is many times as long as the others."),
        many=N_("{count:,} examples are many times as long as the others."),
        why=N_("Such examples are often whole documents by mistake. They take most memory and are cut first."),
        detect=lambda statistics: statistics.too_long,
        fixes=(CheckFix("drop_outliers"),),
    ),
    DatasetCheck(
        code="labels.frequent",
        one=N_("“{answer}” is the answer of {count:,} examples, {percent} % of all."),
        many=N_("“{answer}” is the answer of {count:,} examples, {percent} % of all."),
        why=N_("A model that always says this would be right most of the time, and may learn just that."),
        detect=lambda statistics: statistics.frequent_label[0],
        fixes=(
            CheckFix(
                "cap_label",
                N_("Keep fewer of it"),
                N_("Some of these examples stay, spread over the file."),
                choose=lambda statistics: statistics.surplus_label,
            ),
        ),
        values=lambda statistics: statistics.frequent_label_values(),
    ),
    DatasetCheck(
        code="split.leak",
        one=N_("1 example that is set aside for checking asks what the rest asks, too."),
        many=N_("{count:,} examples that are set aside for checking ask what the rest asks, too."),
        why=N_("Answers that were studied say nothing about what the model has understood."),
        detect=lambda statistics: statistics.leaked,
        shows="rows",
        harm=500.0,
    ),
    DatasetCheck(
        code="split.held_out",
        severity="note",
        one=N_("1 example is set aside for checking. It doesn't also stand in the rest."),
        many=N_("{count:,} examples are set aside for checking. None of them also stands in the rest."),
        why=lambda statistics: sentence(
            N_("{groups:,} groups of the same or nearly the same examples were kept together.")
            if statistics.shared_groups > 1
            else N_("One group of the same or nearly the same examples was kept together.")
            if statistics.shared_groups
            else N_("The model never studies these, so they show whether it really learned."),
            groups=statistics.shared_groups,
        ),
        detect=lambda statistics: statistics.none if len(statistics.leaked) else statistics.held_out,
        shows="rows",
        harm=0.0,
    ),
)

FIXES: Mapping[str, CheckFix] = MappingProxyType({fix.code: fix for check in CHECKS for fix in check.fixes})
"""Every step that a recipe's `Fix` can name."""

LOOKED_FOR = tuple(check.looked_for for check in CHECKS if isinstance(check, ExampleCheck) and check.looked_for)
"""The kinds of personal data that are looked for."""
