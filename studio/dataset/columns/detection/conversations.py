"""Recognising conversations: whole ones in a cell, and turns in rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.columns.detection.column_profile import DetectedMapping, TableProfile
from studio.dataset.columns.detection.preferences import LEARNED_FROM_PAIRS
from studio.dataset.columns.formats.cells import nested, text_of
from studio.dataset.columns.formats.conversations import (
    in_turn,
    instructions_of,
    looks_like_conversation,
    looks_like_history,
    speakers_in,
)
from studio.dataset.columns.formats.tools import looks_like_tools
from studio.dataset.columns.formats.turns import SpeakerRoles, order_of, speaker_roles
from studio.dataset.columns.formats.written_conversations import template_turns
from studio.dataset.vocabulary import EXACT, part_of, plain, rank

_REJECTED = ("rejected", "reject", "dispreferred", "nonpreferred", "worse")
_CHOSEN = ("chosen", "preferred")


def share(seen: TableProfile, name: str, holds: Callable[[object], bool]) -> float:
    """The share of filled cells of a column, among the first rows, that fit."""
    cells = [cell for row in seen.rows if (cell := row.get(name)) not in (None, "")]
    return sum(holds(cell) for cell in cells) / len(cells) if cells else 0.0


def tools_column(seen: TableProfile, taken: set[str]) -> str | None:
    """The column with definitions of tools; None without."""
    for name in seen.named("tools", taken):
        if share(seen, name, looks_like_tools) > 0.5:
            return name
    return None


def history_column(seen: TableProfile, taken: set[str]) -> str | None:
    """The column with earlier turns before the question; None without, or where it is always empty."""
    for name in seen.named("history", taken, below=EXACT):
        if share(seen, name, lambda cell: looks_like_history(cell) or looks_like_conversation(cell)) > 0.1:
            return name
    return None


def rejected_column(seen: TableProfile) -> str | None:
    """The column with the worse of two answers, as preferences are kept."""
    return next((name for name in seen.columns if plain(name).startswith(_REJECTED)), None)


_JUDGES = ("label", "accepted", "iscorrect", "correct", "iscorrectanswer", "good", "desirable", "정답여부", "채택여부")
_MARKS = ("train", "trainable", "learn", "loss")
_WEIGHS = ("mask", "masked", "weight", "winner", "preferred", "preference", "better")
_SEEMS_TO_JUDGE = N_("{column} seems to say whether an answer is good; all of them would be learned.")
DESIRABLE = N_("{column} says which answers are good; rows with the others are left out.")
_VERDICT_WORDS = (
    "ok okay nok accept accepted reject rejected ignore ignored approve approved declined good bad "
    "correct incorrect right wrong "
    "pass passed fail failed thumbsup thumbsdown upvote downvote published draft archived retired obsolete deprecated "
    "outdated 채택 미채택 승인 반려 정답 오답 합격 불합격 게시 임시저장 보관 폐기"
)
_VERDICTS = frozenset(_VERDICT_WORDS.split())
_JUDGED = (
    *("liked", "deleted", "hidden", "spam", "resolved", "active", "enabled", "published", "verified"),
    "public",
    "private",
    "internal",
    "safe",
    "harm",
    "toxic",
    "valid",
    "approved",
    "accepted",
    "helpful",
    "correct",
    "hallucinat",
    "flagged",
)
_FEEDBACK = ("feedback", "thumb", "reaction", "vote")
"""What people think of an answer, in whatever words."""
_RATINGS = (
    *("csat", "nps", "satisfaction", "rating", "ratings", "reward", "stars", "helpfulness", "correctness"),
    *("평점", "별점", "만족도", "quality"),
)
_SCORED = ("satisfaction", "csat", "rating", "helpful", "relevance", "quality", "별점", "평점", "만족도")
_CUT_OFF = frozenset(("length", "maxtokens", "contentfilter"))
"""Why a model stopped before it had said all."""
_TICKS = frozenset(["x", "v", "o", "✓", "✔", "☑", "☐", "✗", "✘", "✅", "❌", "●", "○", "◯", "√", "×"])


def judging_column(seen: TableProfile, used: set[str]) -> Sentence | None:
    """The doubt where a column that isn't used holds verdicts (accept, reject) or ratings of what would be learned."""
    rejected = rejected_column(seen)
    verdicts: set[str] = set()
    for name in seen.columns:
        found = seen.profiles[name]
        told = {plain(value) for value in found.values}
        is_verdict = 2 <= found.different <= 4 and bool(told) and told <= _VERDICTS
        is_verdict |= plain(name).endswith(("finishreason", "stopreason")) and bool(told & _CUT_OFF)
        is_rating = plain(name) in _RATINGS and found.numbers > 0.8 and found.different >= 3
        if is_verdict or (found.different == 1 and bool(told) and told <= _VERDICTS):
            verdicts |= told
            is_verdict = is_verdict or len(verdicts) > 1
        is_verdict |= found.is_boolean and found.different == 2 and any(word in plain(name) for word in _JUDGED)
        is_verdict |= found.is_category and 2 <= found.different <= 4 and any(word in plain(name) for word in _FEEDBACK)
        is_verdict |= bool(told) and found.length < 3 and _are_ticks(found.values, found.filled)
        is_rating |= found.numbers > 0.8 and found.different >= 3 and any(word in plain(name) for word in _SCORED)
        is_rating |= found.is_nested and plain(name) in _RATINGS
        if name not in used and name != rejected and (is_verdict or is_rating):
            return sentence(_SEEMS_TO_JUDGE, column=name)
    return None


def _are_ticks(values: Iterable[str], filled: float) -> bool:
    """Whether the cells are ticks or crosses, of two kinds or in some rows only."""
    marks = {value.casefold() for value in values}
    return marks <= _TICKS and (len(marks) > 1 or filled < 1)


def desirable_column(seen: TableProfile, taken: set[str]) -> tuple[str | None, Sentence | None]:
    """The column that says whether an answer is a good one, and the doubt where it only seems to."""
    for name in seen.columns:
        found = seen.profiles[name]
        told = {value.casefold() for value in found.values}
        if name not in taken and plain(name) in _WEIGHS and 2 <= found.different <= 4:
            return None, sentence(_SEEMS_TO_JUDGE, column=name)
        says_both = found.different > 1 or 0 < found.filled < 1  # many are marked only where they are wrong, or right
        if name in taken or plain(name) not in _JUDGES + _MARKS or not found.is_boolean or not says_both:
            continue
        if told == {"true", "false"}:
            return name, None
        return None, sentence(_SEEMS_TO_JUDGE, column=name)
    return None, None


def detect_conversations(seen: TableProfile) -> DetectedMapping | None:
    """Cells that hold whole conversations: messages, conversations, or preferences between two of them."""
    is_pair = bool(seen.named("question", below=EXACT) and seen.named("answer", below=EXACT))
    earlier = seen.named("history", below=EXACT) if is_pair else ()
    shares = {name: share(seen, name, looks_like_conversation) for name in seen.columns if name not in earlier}
    conversations = [name for name in shares if shares[name] > 0.8 and name != _system(seen, set())]
    if not conversations and (found := _lists_in_turn(seen)) is not None:
        return found
    if not conversations:
        mixed = [name for name in shares if shares[name] >= 0.5 and seen.profiles[name].is_nested]
        found = _whole_conversations(seen, mixed) if mixed else None
        text = N_("Not every cell of {column} holds a conversation; what doesn't is left out.")
        return found and DetectedMapping(found.mapping, False, (*found.why, sentence(text, column=mixed[0])))
    written = [
        name for name in conversations if not seen.profiles[name].is_nested and share(seen, name, _is_written) > 0.8
    ]
    if written:
        about = any(seen.named(role, conversations, prose=True) for role in ("question", "answer", "summary"))
        if about or seen.named("label", conversations):
            return None  # a conversation that something is asked or told about
        found = _whole_conversations(seen, conversations)
        if all(share(seen, name, _is_from_template) > 0.95 for name in written):
            text = N_("{column} was written by a chat template; its turns were told apart by the template's own words.")
            return found and DetectedMapping(found.mapping, found.sure, (*found.why, sentence(text, column=written[0])))
        text = N_("{column} is a text in which names say who speaks; its turns were told apart by them.")
        return found and DetectedMapping(found.mapping, False, (*found.why, sentence(text, column=written[0])))
    return _whole_conversations(seen, conversations)


def _lists_in_turn(seen: TableProfile) -> DetectedMapping | None:
    """A column called as conversations are that holds lists without speakers."""
    named = [
        *seen.named("messages", below=EXACT),
        *(n for n in seen.columns if plain(n) in ("data", "utterances", "log")),
    ]
    for name in named:
        if share(seen, name, lambda cell: len(in_turn(cell)) > 1) > 0.8:
            text = N_(
                "Each cell of {column} holds what was said without saying by whom; two were taken to speak in turn."
            )
            return DetectedMapping(ColumnMapping(messages=name), False, (sentence(text, column=name),))
    return None


def _is_written(cell: object) -> bool:
    return isinstance(nested(cell), str)


def _is_from_template(cell: object) -> bool:
    return isinstance(cell, str) and bool(template_turns(cell))


def _whole_conversations(seen: TableProfile, conversations: list[str]) -> DetectedMapping | None:
    chosen = next((name for name in conversations if plain(name).startswith(_CHOSEN)), None)
    rejected = rejected_column(seen)
    if chosen is not None and rejected is not None:
        why = sentence(LEARNED_FROM_PAIRS, better=chosen, worse=rejected)
        if share(seen, chosen, _has_user) > 0.8:
            found = _whole(seen, chosen, True, [why])
            mapping = found.mapping.model_copy(update={"rejected": rejected})
            return DetectedMapping(mapping, found.sure, found.why)
        asked = seen.named("question", {chosen}) or [
            name for name in conversations if name not in (chosen, rejected) and share(seen, name, _has_user) > 0.8
        ]
        if asked:
            system = _system(seen, {chosen, asked[0]})
            mapping = ColumnMapping(question=asked[0], answer=chosen, system=system, rejected=rejected)
            return DetectedMapping(mapping, True, (why,))
    answers = [
        name for name in conversations if rank(name, "answer") is not None and share(seen, name, _has_user) < 0.2
    ]
    if len(answers) == 1:
        asked = list(seen.named("question", answers, below=EXACT))
        if asked:
            mapping = ColumnMapping(
                question=asked[0], answer=answers[0], tools=tools_column(seen, {asked[0], answers[0]})
            )
            text = N_("{question} holds the messages up to the answer, and {answer} the answer.")
            return DetectedMapping(mapping, True, (sentence(text, question=asked[0], answer=answers[0]),))
    order = sorted(conversations, key=lambda name: _place(name, "messages"))
    answered = seen.named("answer", conversations, below=EXACT)
    if len(conversations) == 1 and answered and share(seen, conversations[0], _ends_with_answer) < 0.2:
        mapping = ColumnMapping(
            question=conversations[0], answer=answered[0], tools=tools_column(seen, {conversations[0], answered[0]})
        )
        text = N_("{question} holds the messages up to the answer, and {answer} the answer.")
        return DetectedMapping(
            mapping, len(answered) == 1, (sentence(text, question=conversations[0], answer=answered[0]),)
        )
    why = sentence(N_("Each cell of {column} holds a whole conversation."), column=order[0])
    if len(conversations) > 1:
        text = N_("{names} hold conversations, too; only one of these columns can be learned.")
        return _whole(seen, order[0], False, [why, sentence(text, names=", ".join(order[1:])[:200])])
    found = _whole(seen, order[0], True, [why])
    if rejected is None or not seen.profiles[rejected].is_text:
        return found
    told = sentence(LEARNED_FROM_PAIRS, better=order[0], worse=rejected)
    return DetectedMapping(found.mapping.model_copy(update={"rejected": rejected}), found.sure, (*found.why, told))


def _whole(seen: TableProfile, conversation: str, sure: bool, why: list[Sentence]) -> DetectedMapping:
    tools = tools_column(seen, {conversation})
    if tools:
        why.append(sentence(N_("{column} says which tools there are."), column=tools))
    conversations = [speakers_in(row.get(conversation)) for row in seen.rows]
    strangers = {who for names in conversations for who in names if part_of(who) is None}
    answering = None
    if strangers:
        sure = False
        text = N_("It isn't known whether {names} ask or answer.")
        why.append(sentence(text, names=", ".join(sorted(strangers))[:200]))
        if len(strangers) == 2 and all(
            part_of(who) in (None, "system", "tool") for names in conversations for who in names
        ):
            answering = _usual_second(conversations, strangers)
            text = N_("The names don't say who answers; {name} was taken, who usually speaks second.")
            why.append(sentence(text, name=answering))
    parts = {who: part_of(who) for names in conversations for who in names}
    if answering is None and "user" in parts.values() and "assistant" not in parts.values():
        # A program that calls itself SYSTEM, or one whose name isn't known, beside those who ask.
        others = [who for who in parts if parts[who] is None] or [who for who in parts if parts[who] == "system"]
        later = [who for who in others if any(who in names[1:] for names in conversations)]
        if len(later) == 1:
            sure, answering = False, later[0]
            text = N_("The names don't say who answers; {name} was taken.")
            why.append(sentence(text, name=answering))
    if answering is None and len(parts) == 2 and set(parts.values()) == {"assistant"}:
        # Two who are numbered alike: agent_1 and agent_2.
        sure, answering = False, _usual_second(conversations, parts)
        text = N_("The names don't say who answers; {name} was taken, who usually speaks second.")
        why.append(sentence(text, name=answering))
    desirable, doubt = desirable_column(seen, {conversation})
    if desirable is not None:
        why.append(sentence(DESIRABLE, column=desirable))
    if doubt is not None:
        why.append(doubt)
        sure = False
    mapping = ColumnMapping(
        messages=conversation,
        tools=tools,
        system=_system(seen, {conversation}),
        assistant_speaker=answering,
        desirable=desirable,
    )
    return DetectedMapping(mapping, sure, tuple(why))


def _usual_second(conversations: list[tuple[str, ...]], speakers: Iterable[str]) -> str:
    """Which of these speakers mostly speaks second; the first in the alphabet of several."""
    seconds = Counter(next((who for who in names if who != names[0]), "") for names in conversations if names)
    return max(sorted(speakers), key=lambda name: seconds[name])


def _system(seen: TableProfile, taken: set[str]) -> str | None:
    found = seen.named("system", taken, below=EXACT)
    return found[0] if found and share(seen, found[0], _is_instructions) > 0.8 else None


def _is_instructions(cell: object) -> bool:
    return instructions_of({"": cell}, "")[:1] not in ("{", "[")


def _ends_with_answer(cell: object) -> bool:
    return [part_of(who) for who in speakers_in(cell)][-1:] == ["assistant"]


def _has_user(cell: object) -> bool:
    return any(part_of(who) == "user" for who in speakers_in(cell))


def detect_turns(seen: TableProfile) -> DetectedMapping | None:
    """Rows that are turns: an id of the conversation, a speaker, and what is said."""
    if seen.table.format == "transcript":
        mapping = ColumnMapping(conversation="conversation", speaker="speaker", content="message")
        if set(mapping.columns()) <= set(seen.columns):
            return _of_transcript(seen, mapping)
    spoken_by = [name for name in seen.columns if _is_speaker(seen, name)]
    if not spoken_by:
        return None
    speaker = min(spoken_by, key=lambda name: (-_known(seen, name), _place(name, "speaker")))
    named = _known(seen, speaker) >= 0.9
    said = [
        name
        for name in seen.named("said", {speaker})
        if seen.profiles[name].is_text and not seen.profiles[name].is_category
    ]
    said = said or seen.prose({speaker})
    if not said:
        return None
    answers = [n for n in seen.named("answer", {speaker}) if seen.profiles[n].is_text]
    if answers and seen.named("question", {speaker, *answers}):
        return None  # questions with answers, and who wrote them
    identity = _identity(seen, {speaker, said[0]})
    if identity is None:
        if not named or answers:
            return None
        text = N_("{speaker} says who speaks, but no column says which rows belong to one conversation.")
        return DetectedMapping(
            ColumnMapping(speaker=speaker, content=said[0]), False, (sentence(text, speaker=speaker),)
        )
    if not named and _place(speaker, "speaker") >= EXACT:
        return None
    mapping = ColumnMapping(conversation=identity, speaker=speaker, content=said[0])
    order = order_of(seen.table.rows, mapping)
    speakers = speaker_roles(order)
    text = N_("The rows are turns of conversations: {identity} ties them together, {speaker} says who speaks.")
    why = [sentence(text, identity=identity, speaker=speaker)]
    sure = speakers.is_told and order.conversations < len(seen.table.rows)
    if order.conversations == 1 and _place(identity, "conversation") >= EXACT:
        sure = False
        text = N_("{column} is the same in all rows, so the whole file would be one conversation.")
        why.append(sentence(text, column=identity))
    if not speakers.is_told:
        why.append(_untold(speakers))
        mapping = mapping.model_copy(update={"assistant_speaker": speakers.assistant_speaker or None})
    rivals = [n for n in said[1:] if seen.profiles[n].is_prose and _place(n, "said") < EXACT]
    if rivals and _place(said[0], "said") >= EXACT:
        sure = False
    muddled = _out_of_order(seen, mapping)
    if muddled:
        sure = False
        why.append(
            sentence(N_("The rows aren't in the order of {column}; they are read as they stand."), column=muddled)
        )
    return DetectedMapping(mapping, sure, tuple(why))


def _of_transcript(seen: TableProfile, mapping: ColumnMapping) -> DetectedMapping:
    why = [sentence(N_("The names in front of what is said were taken for the speakers."))]
    speakers = speaker_roles(order_of(seen.table.rows, mapping))
    if not speakers.is_told:
        why.append(_untold(speakers))
        mapping = mapping.model_copy(update={"assistant_speaker": speakers.assistant_speaker or None})
    return DetectedMapping(mapping, False, tuple(why))


def _untold(speakers: SpeakerRoles) -> Sentence:
    if not speakers.assistant_speaker:
        return sentence(N_("It can't be told who of the speakers answers."))
    text = N_("The names don't say who answers; {name} was taken, who usually speaks second.")
    return sentence(text, name=speakers.assistant_speaker)


def _is_speaker(seen: TableProfile, name: str) -> bool:
    found = seen.profiles[name]
    if not found.filled or found.length > 40 or found.is_nested or found.about > 0.5 or found.filled < 0.8:
        return False
    if found.different > max(3, 0.5 * len(seen.rows)):
        return False
    return _place(name, "speaker") < EXACT or (_known(seen, name) >= 0.9 and found.different >= 2)


def _known(seen: TableProfile, name: str) -> float:
    """The share of cells with a known speaker's name, 0 unless both sides speak."""
    parts = [part_of(text_of(row, name)) for row in seen.rows]
    if not {"user", "assistant"} <= set(parts):
        return 0.0
    return sum(part is not None for part in parts) / len(parts)


def _identity(seen: TableProfile, taken: set[str]) -> str | None:
    for name in seen.named("conversation", taken):
        if _comes_again(seen, name):
            return name
    order = {n for n in seen.columns if _place(n, "order") < EXACT}
    for name in seen.columns:
        short = plain(name)
        is_id = short in ("id", "no", "번호", "아이디", "idx") or short.endswith(("id", "번호", "아이디"))
        if name not in taken and name not in order and is_id and _comes_again(seen, name):
            return name
    return None


def _comes_again(seen: TableProfile, name: str) -> bool:
    """Whether the values of an id stand in several rows each, or only in the first of several (merged cells)."""
    found = seen.profiles[name]
    if found.is_nested or not found.filled:
        return False
    if found.filled < 0.7:
        return bool(text_of(seen.rows[0], name))
    return found.different < len(seen.rows) and (found.distinct <= 0.7 or len(seen.rows) < 8)


def _out_of_order(seen: TableProfile, mapping: ColumnMapping) -> str | None:
    """A column that counts the turns, where the rows don't follow it."""
    for name in seen.named("order", set(mapping.columns()), below=EXACT):
        before: dict[str, float] = {}
        numbers: list[tuple[str, float]] = []
        for row in seen.rows:
            try:
                numbers.append((text_of(row, mapping.conversation), float(text_of(row, name))))
            except ValueError:
                break
        else:
            for identity, number in numbers:
                if number < before.get(identity, number):
                    return name
                before[identity] = number
    return None


def _place(name: str, role: str) -> int:
    found = rank(name, role)
    return 10_000 if found is None else found
