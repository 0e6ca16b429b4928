"""Recognising plain text, and what only looks like it: lists, records, talks, pieces of a recording."""

from __future__ import annotations

import re
from collections import Counter

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.columns.detection.column_profile import DetectedMapping, TableProfile
from studio.dataset.columns.detection.pairs import MOSTLY, coded, parent_column
from studio.dataset.columns.formats.cells import text_of
from studio.dataset.vocabulary import EXACT, ends_asking, is_about, plain, rank


def detect_text(seen: TableProfile) -> DetectedMapping | None:
    """A column of plain text for continued learning, where nothing else is asked or answered."""
    if seen.table.format == "document":
        column = next(iter(seen.named("text")), seen.columns[-1])
        why = [sentence(N_("It is a document: its passages are learned as plain text."))]
        sure = _reads_as_prose([text_of(row, column) for row in seen.rows])
        if not sure:
            text = N_("Many of its lines aren't sentences of one text; perhaps they are questions, labels or a list.")
            why.append(sentence(text))
        return DetectedMapping(ColumnMapping(text=column), sure, tuple(why))
    if len(seen.columns) == 1:
        only = seen.columns[0]
        if seen.named("text", below=10_000):
            profile = seen.profiles[only]
            # Else names, such as those of labels. Scripts without blanks have letters beyond ASCII.
            words = profile.spaced >= 0.5 or profile.length >= 80 or not "".join(profile.values).isascii()
            speaks = _seems_spoken(seen, only)
            why = [_plain_text(only), *([speaks] if speaks else [])]
            some_ask = profile.length < _LONG and (profile.asking > 0.2 or _ask_by_turns(seen, only))
            return DetectedMapping(ColumnMapping(text=only), words and not some_ask and not speaks, tuple(why))
        if seen.profiles[only].is_text and seen.profiles[only].length >= 200:
            return DetectedMapping(ColumnMapping(text=only), False, (_plain_text(only),))
        return None
    named = [n for n in seen.named("text") if seen.profiles[n].is_text and not seen.profiles[n].is_category]
    if not named:
        return _only_text(seen)
    if (with_code := coded(seen)) is not None:
        return with_code
    others = [n for n in seen.prose({named[0]}) if plain(n) not in ("title", "제목", "subject", "headline", "summary")]
    titles = [n for n in seen.prose({named[0]}) if n not in others]
    if not others and len(titles) == 1 and seen.profiles[titles[0]].ending >= MOSTLY:
        return None  # a list of questions, whose titles ask
    kinds = [
        n for n in seen.columns if n != named[0] and seen.profiles[n].is_category and seen.profiles[n].different > 1
    ]
    marked = [n for n in seen.columns if n != named[0] and seen.profiles[n].is_nested and plain(n) not in _BESIDE_TEXT]
    if not others and not titles:
        # Beside a rating or a kind the texts may have been meant for telling these apart.
        profile, speaks = seen.profiles[named[0]], _seems_spoken(seen, named[0])
        sure = rank(named[0], "text") in range(EXACT) and not kinds and not marked and speaks is None
        sure = sure and parent_column(seen, set()) is None and not (profile.asking > 0.2 and profile.length < _LONG)
        why = [_plain_text(named[0]), *([speaks] if speaks else [])]
        if _are_pieces(seen):
            sure = False
            text = N_("The texts in {column} are pieces with times; each would be learned by itself.")
            why.append(sentence(text, column=named[0]))
        return DetectedMapping(ColumnMapping(text=named[0]), sure, tuple(why))
    if not others and seen.profiles[named[0]].length >= 300:
        return DetectedMapping(ColumnMapping(text=named[0]), not kinds, (_plain_text(named[0]),))
    if not others or seen.profiles[named[0]].length >= 10 * max(seen.profiles[n].length for n in others):
        return DetectedMapping(ColumnMapping(text=named[0]), False, (_plain_text(named[0]),))
    return None


def _only_text(seen: TableProfile) -> DetectedMapping | None:
    """The only column of sentences beside ids, dates and the like, whatever it is called."""
    told = seen.prose()
    rest = [n for n in seen.columns if n not in told and seen.profiles[n].filled > 0 and not is_about(n)]
    if len(told) == 1 and seen.profiles[told[0]].ending >= MOSTLY:
        return None  # questions, which something beside them may answer
    if len(told) != 1 or any(rank(told[0], role) is not None for role in ("question", "answer", "summary")):
        return None
    if any(seen.profiles[n].about < 0.5 and seen.profiles[n].numbers < 0.8 for n in rest):
        return None
    return DetectedMapping(ColumnMapping(text=told[0]), False, (_plain_text(told[0]),))


def _ask_by_turns(seen: TableProfile, column: str) -> bool:
    """Whether only every other text asks, so that each may be answered by the next."""
    texts = [text_of(row, column) for row in seen.rows]
    shares = [sum(map(ends_asking, half)) / max(1, len(half)) for half in (texts[::2], texts[1::2])]
    return len(texts) >= 8 and max(shares) >= 0.25 and min(shares) <= 0.02


def _are_pieces(seen: TableProfile) -> bool:
    """Whether the rows say where in a recording they begin and end."""
    names = {plain(name) for name in seen.columns if seen.profiles[name].numbers > 0.8}
    return any(begin in names and end in names for begin, end in _TIMES)


_TIMES = (("start", "end"), ("begin", "end"), ("starttime", "endtime"), ("start", "duration"), ("시작", "종료"))
_LONG = 300
"""Characters from which on the average text is one in which a few questions are nothing odd."""
_SIGN = r"[^\w\s]{0,4}\s?[:：|>\])]"
_ASKING = re.compile(
    rf"(?:user|human|instruction|question|prompter|prompt|질문|명령어|지시|사용자|고객){_SIGN}", re.IGNORECASE
)
_REPLYING = re.compile(rf"(?:assistant|response|answer|chatbot|bot|gpt|응답|답변|상담사|챗봇){_SIGN}", re.IGNORECASE)


def _seems_spoken(seen: TableProfile, column: str) -> Sentence | None:
    """The doubt where most texts name one who asks and one who answers, in a way that isn't known."""
    texts = [text_of(row, column) for row in seen.rows]
    spoken = sum(bool(_ASKING.search(text)) and bool(_REPLYING.search(text)) for text in texts)
    if spoken < max(3, 0.5 * len(texts)):
        return None
    text = N_("{column} seems to hold questions with answers, or conversations, written out in a way that isn't known.")
    return sentence(text, column=column)


_BESIDE_TEXT = ("meta", "metadata", "attributes", "info")
"""Records that say where a text is from; others, such as marked places in it, are what it was collected for."""
_NUMBERED = re.compile(r"\s*\(?\d{1,3}(?:[.)] ?|[ \t]+)\S")
_LISTED = re.compile(r"\s*(?:\[?\d{1,2}:\d\d\b|[-+*=~#/]|::|[\w가-힣]+:\S)|.*\s@\w+\s*$|\s*[\w\"']+:\s*$")

_RECORDED = re.compile(r"""["']\s?[:=]\s?["'\[{\d]|["']\s?\],\s?[\["']|["'],\s?["'\[]|[\[{]\s?["']""")
_TIGHT = re.compile(r"[^\W\d_][.!?]?[,;|](?=[^\W\d_])")
_LOOSE = re.compile(r"[^\W\d_][,;|]\s")
"""What stands between words in tables and lists, and in sentences. Between figures a comma may be a decimal one."""
_SPECIAL = re.compile(r"<\|\w+\|>|</s>|\[/?INST\]|<(?:start|end)_of_turn>")
"""What only chat templates write."""
_ARROW = re.compile(r"\S (?:->|=>|→|⇒) \S")
_TAG = re.compile(r"</?\w[^<>]{0,300}>")

_IN_PARTS = tuple(
    re.compile(form)
    for form in (
        r"\S(?: {3,}|\t+)\S",
        r"\S (?:\|{1,3}|[-=]>|→|⇒|–|—|-|=|::|//) \S",
        r"\S ([^\w\s]{2,9}) \S.* \1 \S",
        r"^[^\s.?!,][^.?!,:]{0,30}[:：] ?\S",
        r"^\W{0,3}\d{1,4}[-./:]\d",
        r"[?？][\s,;|/:=>-]+\S",
    )
)
"""What stands in nearly each line where lines are records: a gap, a sign, signs that come again, a name, a
date, a question before more."""
_ENDED = re.compile(r"""[.!?…。！？:]["'”’)\]」』》*_]*$|[다요까죠]["'”’)]*$""")
_AROUND_HEADING = re.compile(r"^[#*]+ |(?: :\w+:)+$")
_LONE_QUESTION = re.compile(r"[^.!?。]{1,200}[?？]")


def _reads_as_prose(passages: list[str]) -> bool:
    """Whether most lines are sentences: long, or ended as sentences are, and few of them questions."""
    lines = [line.strip() for passage in passages for line in passage.splitlines() if line.strip()]
    whole = "\n".join(passages)
    if max(len(_RECORDED.findall(whole)), len(_TIGHT.findall(whole)) - len(_LOOSE.findall(whole))) >= 8:
        return False  # records, lists or code
    if sum(bool(_TAG.fullmatch(line)) for line in lines) >= max(2, 0.02 * len(lines)):
        return False
    if len(_SPECIAL.findall(whole)) >= 2 or len(_ARROW.findall(whole)) >= max(6, 0.1 * len(lines)):
        return False
    listed = sum(len(line) < 200 and bool(_LISTED.match(line)) for line in lines)
    asking = sum(bool(_LONE_QUESTION.fullmatch(_AROUND_HEADING.sub("", line))) for line in lines)
    numbered = sum(len(line) < 200 and bool(_NUMBERED.match(line)) for line in lines)
    if numbered >= 0.9 * len(lines) >= 4:
        return False  # a list, of rules or of whatever
    if listed > 0.5 * len(lines) or (asking > 0.25 * len(lines) and len(lines) >= 4):
        return False
    in_parts = max(sum(bool(form.search(line)) for line in lines) for form in _IN_PARTS)
    if len(lines) >= 6 and in_parts >= 0.8 * len(lines):
        return False
    paragraphs = [part.strip() for passage in passages for part in passage.split("\n\n") if part.strip()]
    rows = Counter(part.count("\n") for part in paragraphs)
    if len(paragraphs) >= 8 and rows.most_common(1)[0][0] in (1, 2, 3) and rows.most_common(1)[0][1] == len(paragraphs):
        return False  # blocks of as many lines each are records
    ended = sum(len(part) for part in paragraphs if _ENDED.search(part[-8:]))
    return ended >= 0.6 * sum(map(len, paragraphs))


def _plain_text(column: str) -> Sentence:
    return sentence(N_("{column} is learned as plain text, without questions."), column=column)
