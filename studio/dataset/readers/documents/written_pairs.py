"""Questions and answers written below each other, as in "Q: ..." and "A: ..." or 질문 and 답변."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from studio.core.translatable import N_, sentence
from studio.dataset.readers.documents.passages import Block, document_info
from studio.dataset.readers.encodings import Encoding
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows
from studio.dataset.vocabulary import asks

_BEFORE = r"^[\s\[【<(*#>\-•]{0,8}"
_BEHIND = r"\s?\d{0,5}[\s\]】>)*]{0,6}[:：.)\]】|][\s*]*"
_ASKING = r"(?:Q|Question|User|Human|질문|질의|문의|물음|문제|문)"
_REPLYING = r"(?:A|Answer|Reply|Assistant|Bot|답변|응답|정답|대답|답)"
_HEADING = r"|^(?:#{1,6} *|\*\*)%s ?\d{0,5}(?:\*\*)?\s*$|^%s ?\d{1,5}\s*$"
_QUESTION = re.compile(_BEFORE + _ASKING + _BEHIND + _HEADING % (_ASKING, _ASKING), re.IGNORECASE)
_ANSWER = re.compile(_BEFORE + _REPLYING + _BEHIND + _HEADING % (_REPLYING, _REPLYING), re.IGNORECASE)
_OPTION = re.compile(r"^\s*\(?B[.)]")
_FEWEST = 2
_NUMBER = re.compile(r"\s*\(?\d{1,4}[.)]\s+")
_NUMBERED = re.compile(r"^(?:Q|질문|문)\s?\d{0,4}[.):：]\s*")
_CHOICE = re.compile(r"\s*(?:\(?[A-Ha-h][.)]|[①-⑩]|\(?[가-하][.)])\s*\S")
_RIGHT = re.compile(
    r"\s*[\[(*]*(?:(?:correct |right )?answer|ans|key|정답|답)\s?[\])*]*\s*[:：.)]\s*(?=\S)", re.IGNORECASE
)


def begins_part(line: str) -> bool:
    """Whether a question or an answer begins in this line."""
    return bool(_QUESTION.match(line) or _ANSWER.match(line))


def pairs_in(lines: Iterable[str]) -> list[tuple[str, str]] | None:
    """(question, answer) pairs where most of the text is made of them, else None. Either may be ""."""
    kept = list(lines)
    return _marked(kept) or _exam(kept) or _starred(kept)


_LABEL = re.compile(r"[\[【]?(?P<label>[^\W\d_]\w*(?: [^\W\d_]\w*)?)\s?(?:[\]】]\s?[:：]?|[:：])\s*(?=\S)")


def _label_above(lines: list[str]) -> str:
    """The label that stands above each question ("Context:"): before the first one, and about as often as they are."""
    place = next((number for number, line in enumerate(lines) if _QUESTION.match(line)), 0)
    first = next((found["label"] for line in lines[:place] if (found := _LABEL.match(line))), "")
    labels = [found["label"] for line in lines if (found := _LABEL.match(line))]
    times = labels.count(first)
    return first if first and times >= max(_FEWEST, 0.5 * sum(bool(_QUESTION.match(line)) for line in lines)) else ""


def _marked(lines: list[str]) -> list[tuple[str, str]] | None:
    found: list[tuple[list[str], list[str]]] = []
    above = _label_above(lines)
    context: list[str] = []
    before = options = answers = 0
    part: list[str] | None = None
    for line in lines:
        options += bool(_OPTION.match(line))
        if above and (label := _LABEL.match(line)) and label["label"] == above:
            part = context = [line[label.end() :]]
        elif match := _QUESTION.match(line):
            part = [line[match.end() :], *(["", *context] if context else [])]
            context = []
            found.append((part, []))
        elif (match := _ANSWER.match(line)) and found:
            answers += 1
            part = found[-1][1]
            part.append(line[match.end() :])
        elif part is None:
            before += bool(line.strip())
            if before > 20:
                return None
        else:
            part.append(line)
    answered = sum(bool("".join(answer).strip()) for _, answer in found)
    # "A." before "B." is an option, and a few marks in a long text are no list of questions.
    if len(found) < _FEWEST or answered < 0.7 * len(found) or options > 0.3 * answers or before > 2 * len(found):
        return None
    return [("\n".join(question).strip(), "\n".join(answer).strip()) for question, answer in found]


def pairs_under_headings(blocks: Iterable[Block]) -> list[tuple[str, str]] | None:
    """(question, answer) where the headings of a document ask and what stands under them answers, else None."""
    found: list[tuple[int, str, list[str]]] = []
    above = 0
    for block in blocks:
        if block.kind == "heading":
            found.append((block.level, " ".join(block.text.lstrip("# ").split()), []))
        elif found:
            found[-1][2].append(block.text)
        else:
            above += 1
    asking = [part for part in found if part[1].endswith(("?", "？")) or _NUMBERED.match(part[1])]
    levels = {level for level, _, _ in asking}
    if len(asking) < 3 or len(levels) != 1 or above > len(asking):
        return None
    level = levels.pop()
    same = [part for part in found if part[0] == level]
    under = sum(bool(texts) for other, _, texts in found if other != level)
    if len(asking) < 0.8 * len(same) or under > 0.5 * len(asking):
        return None
    pairs = [(_NUMBERED.sub("", question), "\n\n".join(texts).strip()) for _, question, texts in same]
    return pairs if sum(bool(answer) for _, answer in pairs) >= 0.7 * len(pairs) else None


def _exam(lines: Iterable[str]) -> list[tuple[str, str]] | None:
    """Questions with options below each, and a line that says which is right; else None. They are numbered, marked as
    questions, or (as Moodle's Aiken form has them) known by their options alone."""
    found: list[tuple[list[str], list[str]]] = []
    lettered: list[int] = []
    begun = 0
    for line in lines:
        if not line.strip():
            continue
        if match := _RIGHT.match(line):
            if not found or found[-1][1]:
                return None
            found[-1][1].append(line[match.end() :].strip())
        elif not found or found[-1][1]:
            match = _NUMBER.match(line) or _QUESTION.match(line)
            begun += match is not None
            found.append(([line[match.end() :] if match else line], []))
            lettered.append(0)
        else:
            lettered[-1] += bool(_CHOICE.match(line))
            found[-1][0].append(line)
    if len(found) < _FEWEST or not all(answer for _, answer in found):
        return None
    if begun not in (0, len(found)) or (begun == 0 and min(lettered) < 2):
        return None  # explanations and the like
    if 0 < sum(lettered) < 2 * len(found):
        return None
    return [("\n".join(question), answer[0]) for question, answer in found]


_STAR = re.compile(
    r"^\s*(?:\*\s*(?=\(?[A-Ha-h][.)])|\(?[A-Ha-h][.)]\s*\*)|(?:\*|✓|✔|\((?:correct|right)\)|\(정답\))\s*$",
    re.IGNORECASE,
)
_KEY = re.compile(r"\s*(?:answer key|answers?|key|정답|답안|해답)\s*[:：]?\s*", re.IGNORECASE)
_KEY_LINE = re.compile(r"\s*(?P<number>\d{1,4})\s*[.):]\s*\(?(?P<letter>[A-Ha-h①-⑧])\)?\s*")


def _starred(lines: list[str]) -> list[tuple[str, str]] | None:
    """Questions with lettered options below each, the right one of which bears a star, or whose letters stand in a key
    under all of them; else None."""
    found: list[tuple[list[str], list[str], list[str]]] = []
    numbers: list[str] = []
    key: dict[str, str] | None = None
    for line in lines:
        if not line.strip():
            continue
        if found and _KEY.fullmatch(line):
            key = {}
        elif key is not None:
            told = _KEY_LINE.fullmatch(line)
            if told is None:
                return None
            key[told["number"]] = told["letter"].upper()
        elif _CHOICE.match(bare := _STAR.sub("", line)) and found:
            found[-1][1].append(bare.strip())
            if bare != line:
                found[-1][2].append(bare.strip())
        elif not found or found[-1][1]:
            match = _NUMBER.match(line) or _QUESTION.match(line)
            numbers.append(match.group().strip(" ().") if match else str(len(found) + 1))
            found.append(([line[match.end() :] if match else line], [], []))
        else:
            found[-1][0].append(line)
    if len(found) < _FEWEST or any(len(options) < 2 for _, options, _ in found):
        return None
    pairs: list[tuple[str, str]] = []
    for number, (question, options, right) in zip(numbers, found, strict=True):
        lettered = [option for option in options if key and option.lstrip("(")[:1].upper() == key.get(number)]
        answer = "\n".join(right or lettered)
        if not answer:
            return None
        pairs.append(("\n".join([*question, *options]), answer))
    return pairs


_MARKS = ("?", "？")
_LONGEST_QUESTION = 300


def guessed_pairs(lines: Iterable[str]) -> list[tuple[str, str]] | None:
    """(question, answer) where only question marks tell which lines ask: blocks of two lines, or questions each in a
    line of its own with the answer below; else None. A person has to confirm it."""
    lines = list(lines)
    ruled = _between_rules(lines) or _answers_below(lines)
    if ruled is not None:
        return ruled
    blocks: list[list[str]] = [[]]
    for line in lines:
        if _RULE.fullmatch(line.strip()):
            continue
        if line.strip():
            blocks[-1].append(line.strip())
        elif blocks[-1]:
            blocks.append([])
    blocks = [block for block in blocks if block]
    twos = [(block[0], block[1]) for block in blocks if len(block) == 2]
    if len(twos) >= 5 and len(twos) >= 0.9 * len(blocks):
        asking = sum(any(mark in question for mark in _MARKS) or asks(question) for question, _ in twos)
        if asking >= 0.6 * len(twos):
            return _unmarked(twos)
    kept = [line for block in blocks for line in block]
    found = _labelled(blocks) or _around_marks(blocks) or _below_questions(kept) or _parted_lines(kept)
    return _unmarked(found) if found else None


_RULE = re.compile(r"([-=*#~_+])\1{2,}")


def _between_rules(lines: list[str]) -> list[tuple[str, str]] | None:
    """Texts with one kind of rule between question and answer, and another between one pair and the next."""
    parts: list[list[str]] = [[]]
    rules: list[str] = []
    for line in lines:
        if _RULE.fullmatch(line.strip()):
            rules.append(line.strip())
            parts.append([])
        else:
            parts[-1].append(line)
    kinds = rules[:2]
    if len(parts) < 2 * _FEWEST_LINES or len(parts) % 2 or len(set(kinds)) != 2:
        return None
    texts = ["\n".join(part).strip() for part in parts]
    if rules != [kinds[place % 2] for place in range(len(rules))] or not all(texts):
        return None
    return list(zip(texts[::2], texts[1::2], strict=True))


_NUMBERED_LINE = re.compile(r"\s*\(?(?P<number>\d{1,4})[.)]\s+(?P<text>\S.*)")


def _answers_below(lines: list[str]) -> list[tuple[str, str]] | None:
    """Numbered questions, and below a heading such as "Answers" as many numbered answers; else None."""
    kept = [line.strip() for line in lines if line.strip()]
    keys = [place for place, line in enumerate(kept) if _KEY.fullmatch(line.strip("#* "))]
    if len(keys) != 1:
        return None
    sides: list[dict[str, str]] = []
    for side in (kept[: keys[0]], kept[keys[0] + 1 :]):
        found = [match for line in side if (match := _NUMBERED_LINE.fullmatch(line)) is not None]
        if len(found) < max(_FEWEST_LINES, len(side) - 3) or len({match["number"] for match in found}) < len(found):
            return None
        sides.append({match["number"]: match["text"] for match in found})
    asked, told = sides
    return [(asked[number], told[number]) for number in asked] if asked.keys() == told.keys() else None


_LEADING = re.compile(
    r"\s*(?:\d{1,4}\s+)?(?:[^\W\d_]{1,20}(?:\.? [^\W\d_]{1,10}){0,2}\.?\s?\d{0,4}\s?[:：.)](?:\s+|$)"
    r"|[^\w\s\"'“‘(\[¿¡<$]{1,3}\s?)"
)
"""What may stand before each question, or each answer: a number, a label with a colon, a sign."""


def _leading(text: str) -> str:
    """The mark before a text, with its numbers all the same."""
    found = _LEADING.match(text)
    return re.sub(r"\s+", " ", re.sub(r"\d+", "0", found.group())) if found else ""


def _unmarked(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs without what stands before all of the questions, or before all of the answers."""
    sides: list[list[str]] = []
    for side in zip(*pairs, strict=True):
        found = [_LEADING.match(text) for text in side]
        same = all(found) and len({_leading(text) for text in side}) == 1
        cut = [one.end() if same and one else 0 for one in found]
        sides.append([text[at:] for text, at in zip(side, cut, strict=True)])
    return list(zip(*sides, strict=True))


def _labelled(blocks: list[list[str]]) -> list[tuple[str, str]] | None:
    """Blocks that begin by turns with one label and another ("INTERROGATORY NO. 3:" and "ANSWER:"), else None."""
    texts = ["\n".join(block) for block in blocks]
    marks = [_leading(text) for text in texts]
    if len(texts) < 2 * _FEWEST_LINES or len(texts) % 2 or len(set(marks)) != 2:
        return None
    if not all(":" in mark or "：" in mark for mark in marks[:2]) or marks != [marks[0], marks[1]] * (len(marks) // 2):
        return None
    return list(zip(texts[::2], texts[1::2], strict=True))


def _around_marks(blocks: list[list[str]]) -> list[tuple[str, str]] | None:
    """Blocks in which a line of nothing but a question mark stands between both sides, as note programs write cards."""
    found = [block.index("?") for block in blocks if "?" in block[1:-1]]
    if len(found) < _FEWEST_LINES or len(found) < 0.8 * len(blocks):
        return None
    cards = [(block, block.index("?")) for block in blocks if "?" in block[1:-1]]
    return [("\n".join(block[:at]), "\n".join(block[at + 1 :])) for block, at in cards]


_BETWEEN = ("::", " >> ", " -> ", " → ", " => ", " ⇒ ", " = ", " | ", " – ", " — ", " - ")
_FEWEST_LINES = 5


def _parted_lines(lines: list[str]) -> list[tuple[str, str]] | None:
    """Both sides of each line where one sign stands once in nearly all of them, as on cards for learning words."""
    lines = [line for line in lines if not line.startswith("#")]  # headings
    if lines and all(line.startswith(("- ", "* ", "• ")) for line in lines):
        lines = [line[2:] for line in lines]
    for mark in _BETWEEN:
        parted = [tuple(side.strip() for side in line.split(mark)) for line in lines if line.count(mark) == 1]
        whole = [(sides[0], sides[1]) for sides in parted if all(sides)]
        if len(whole) >= max(_FEWEST_LINES, 0.95 * len(lines)) and len({asked for asked, _ in whole}) > 0.8 * len(
            whole
        ):
            return whole
    return None


def _below_questions(lines: list[str]) -> list[tuple[str, str]] | None:
    found: list[tuple[str, list[str]]] = []
    above = 0
    for line in lines:
        if line.endswith(_MARKS) and len(line) <= _LONGEST_QUESTION:
            found.append((line, []))
        elif found:
            found[-1][1].append(line)
        else:
            above += 1
    if sum(bool(_CHOICE.match(line)) for _, answer in found for line in answer) > len(found):
        return None  # options to choose from
    answered = [(question, "\n".join(answer)) for question, answer in found if answer]
    if len(answered) < 4 or len(answered) < 0.8 * len(found) or above > 0.5 * len(found):
        return None
    return answered if len(found) >= 0.15 * len(lines) else None


_PART = re.compile(rf"(?:{_ASKING}|{_REPLYING})\s?\d{{0,5}}\s?[:：.)]?", re.IGNORECASE)
_MOST_ROWS = 20_000


def with_pairs_below(stream: TableStream) -> TableStream:
    """A sheet whose rows are by turns a question and an answer, marked as such in the cell or in one before it: the
    pairs; other tables as they are."""
    if len(stream.columns) > 2 or stream.format not in ("xlsx", "csv", "tsv") or stream.count > _MOST_ROWS:
        return stream
    if stream.columns != tuple(f"column {number}" for number in range(1, len(stream.columns) + 1)):
        return stream
    batches = list(stream.batches)
    columns = [[cell or "" for batch in batches for cell in batch.column(name).to_pylist()] for name in stream.columns]
    if len(columns) == 2:
        if not all(_PART.fullmatch(first.strip()) for first in columns[0] if first.strip()):
            return replace(stream, batches=iter(batches))
        cells = [
            f"{first.strip(' :：.)')}: {told}" if first.strip() else told for first, told in zip(*columns, strict=True)
        ]
    else:
        cells = columns[0]
    lines = [line for cell in cells for line in cell.splitlines()]
    pairs, guessed = pairs_in(lines), None
    if pairs is None and len(columns) == 1:
        pairs = guessed = guessed_pairs(lines)
    if pairs is None:
        return replace(stream, batches=iter(batches))
    made = stream_pairs(stream.path, pairs, guessed=guessed is not None)
    doubts = tuple(doubt for doubt in stream.doubts if doubt not in ("header", "delimiter"))
    notes, doubts = (*stream.notes, *made.notes), tuple(dict.fromkeys((*doubts, *made.doubts)))
    info = replace(stream.info, format=made.format, columns=made.columns, notes=notes, doubts=doubts)
    return stream_rows(info, len(pairs), pairs)


def stream_pairs(
    path: Path, pairs: list[tuple[str, str]], encoding: Encoding | None = None, guessed: bool = False
) -> TableStream:
    """The pairs as rows of two columns."""
    note = sentence(
        N_("{count} {count:question and answer|questions and answers} were found below each other."), count=len(pairs)
    )
    info = document_info(path, "pairs", ("question", "answer"), [note], encoding)
    if guessed:
        text = N_("Only question marks or signs in the lines tell what is asked.")
        info = replace(info, notes=(*info.notes, sentence(text)), doubts=(*info.doubts, "kind"))
    return stream_rows(info, len(pairs), pairs)
