"""Which parts an example of each shape has, how they are called, and what happens when a column gets one."""

from __future__ import annotations

from typing import get_args

from studio.core.recipe.data_choice import ColumnMapping, DatasetFormat
from studio.ui.design.language import tr

PARTS: dict[DatasetFormat, tuple[str, ...]] = {
    "pair": ("question", "answer", "context", "system", "thinking", "history", "tools"),
    "messages": ("messages", "system", "tools"),
    "turns": ("conversation", "speaker", "content", "system"),
    "options": ("question", "options", "answer", "context", "system"),
    "labels": ("question", "label", "context", "system"),
    "text": ("text",),
}
"""The needed parts first; the names of `ColumnMapping`."""
NEEDED: dict[DatasetFormat, int] = {"pair": 2, "messages": 1, "turns": 3, "options": 3, "labels": 2, "text": 1}
"""How many of `PARTS` an example can't do without."""
SHAPES: tuple[DatasetFormat, ...] = get_args(DatasetFormat)
ALL_PARTS = tuple(dict.fromkeys(part for parts in PARTS.values() for part in parts))


def shape_words(shape: DatasetFormat) -> str:
    match shape:
        case "pair":
            return tr("Question and answer")
        case "messages":
            return tr("Whole conversation")
        case "turns":
            return tr("Conversation in rows")
        case "options":
            return tr("Multiple choice")
        case "labels":
            return tr("Text and label")
        case "text":
            return tr("Plain text")


def part_words(part: str) -> str:
    return {
        "question": tr("Question"),
        "question_template": tr("Question"),
        "answer": tr("Answer"),
        "context": tr("Extra context"),
        "system": tr("Standing instructions"),
        "thinking": tr("Thoughts before the answer"),
        "history": tr("Earlier turns"),
        "messages": tr("Conversation"),
        "tools": tr("Tools"),
        "conversation": tr("Number of the conversation"),
        "speaker": tr("Who speaks"),
        "content": tr("What is said"),
        "options": tr("Options"),
        "label": tr("Label"),
        "text": tr("Text"),
    }[part]


def column_of(roles: ColumnMapping, part: str) -> tuple[str, ...]:
    """The columns that play this part, usually one or none."""
    value = getattr(roles, part)
    if isinstance(value, tuple):
        return value
    return (value,) if value else ()


def part_of(roles: ColumnMapping, column: str) -> str:
    """The part that a column plays, "" for none."""
    return next((part for part in ALL_PARTS if column in column_of(roles, part)), "")


def assigned(roles: ColumnMapping, part: str, column: str) -> ColumnMapping:
    """`column` plays `part` from now on; "" as `part` means none.

    A column plays one part. Where it had another, the two columns change places, so that question and answer the
    wrong way round are put right in one move. Options take as many columns as are given to them.
    """
    had = part_of(roles, column)
    if had == part:
        return roles
    changed: dict[str, object] = {}
    if had:
        changed[had] = tuple(c for c in roles.options if c != column) if had == "options" else None
    if part == "options":
        changed["options"] = (*roles.options, column)
    elif part:
        before = column_of(roles, part)
        if had and before and had != "options":
            changed[had] = before[0]
        changed[part] = column
        if part == "question":
            changed["question_template"] = None
    return roles.model_copy(update=changed)


def reshaped(roles: ColumnMapping, shape: DatasetFormat, columns: tuple[str, ...]) -> ColumnMapping:
    """The same columns in another shape, as far as their parts go over. What is missing stays open."""
    kept = {part: getattr(roles, part) for part in PARTS[shape]}
    if "question" in PARTS[shape]:
        kept["question_template"] = roles.question_template
        if not roles.question and not roles.question_template:
            kept["question"] = roles.text or roles.content
    first = PARTS[shape][0]
    if shape in ("messages", "text", "turns") and not kept[first]:
        likely = {"text": roles.answer or roles.question or roles.content, "messages": None, "turns": None}[shape]
        kept[first] = likely
    if shape == "labels" and not kept["label"]:
        kept["label"] = roles.answer
    if shape == "turns" and not kept["content"]:
        kept["content"] = roles.text or roles.answer
    if shape == "pair" and not kept["answer"]:
        kept["answer"] = roles.label or (roles.text if roles.text != kept["question"] else None)
    if shape in ("text", "messages") and not kept[first] and columns:
        kept[first] = columns[0]
    return ColumnMapping.model_validate({part: value for part, value in kept.items() if value})


def is_complete(roles: ColumnMapping, shape: DatasetFormat) -> bool:
    """Whether every needed part has a column."""
    return all(
        column_of(roles, part) or (part == "question" and roles.question_template)
        for part in PARTS[shape][: NEEDED[shape]]
    )


def roles_words(roles: ColumnMapping) -> str:
    """All parts with their columns in one line."""
    said = []
    for part in PARTS[roles.format] if roles.format else ():
        if part == "question" and roles.question_template:
            said.append(f"{part_words(part)}: {roles.question_template}")
        elif named := column_of(roles, part):
            said.append(f"{part_words(part)}: {', '.join(named)}")
    return "  \N{MIDDLE DOT}  ".join(said)
