"""Stories with numbered lines, as bAbI and Facebook's dialogs are kept: each begins at 1 again, and a line with a tab
asks something and says the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from studio.core.translatable import N_, sentence
from studio.dataset.readers.documents.passages import document_info
from studio.dataset.readers.encodings import Encoding
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows

_LINE = re.compile(r"(?P<number>\d{1,4}) (?P<rest>\S.*)")
_FEWEST = 3
_FACTS = re.compile(r"\d+(?: \d+)*")


@dataclass(frozen=True)
class StoryQuestion:
    """`context` is what was told before it, `before` (question, answer) of the turns before it in a dialog."""

    context: str
    question: str
    answer: str
    before: tuple[tuple[str, str], ...] = ()


def stories_in(lines: Iterable[str]) -> list[StoryQuestion] | None:
    """The questions where all lines are numbered and begin at 1 several times, else None."""
    found: list[StoryQuestion] = []
    told: list[str] = []
    before: list[tuple[str, str]] = []
    expected = stories = 0
    for line in lines:
        if not line.strip():
            continue
        numbered = _LINE.fullmatch(line.rstrip())
        if numbered is None:
            return None
        number = int(numbered["number"])
        if number == 1:
            told, before, stories = [], [], stories + 1
        elif number != expected:
            return None
        expected = number + 1
        cells = [cell.strip() for cell in numbered["rest"].split("\t")]
        if len(cells) < 2:
            told.append(cells[0])
            continue
        is_about_story = len(cells) > 2 and bool(_FACTS.fullmatch(cells[2]))  # the lines that say so
        earlier = () if is_about_story else tuple(before)
        found.append(StoryQuestion("\n".join(told), cells[0], cells[1], earlier))
        before.append((cells[0], cells[1]))
    return found if len(found) >= _FEWEST and stories > 1 else None


def stream_stories(path: Path, stories: list[StoryQuestion], encoding: Encoding) -> TableStream:
    """The questions as rows, with what they are about and the turns before them where there are any."""
    columns = ["question", "answer"]
    columns += ["context"] * any(one.context for one in stories) + ["history"] * any(one.before for one in stories)
    note = sentence(
        N_("{count} {count:question was|questions were} found in stories with numbered lines."), count=len(stories)
    )
    info = document_info(path, "pairs", tuple(columns), [note], encoding)
    rows = (
        {"question": one.question, "answer": one.answer, "context": one.context, "history": _history(one)}
        for one in stories
    )
    info = replace(info, doubts=(*info.doubts, "kind"))
    return stream_rows(info, len(stories), ([row[name] for name in columns] for row in rows))


def _history(one: StoryQuestion) -> str:
    return json.dumps(one.before, ensure_ascii=False) if one.before else ""
