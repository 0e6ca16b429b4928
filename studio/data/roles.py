"""Which column asks and which answers: guessed from names and contents, and checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from studio.core.data_choice import Roles
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.words import N_
from studio.data.conversations import looks_like_conversation
from studio.data.names import rank
from studio.data.table import Row, Table, cell_text

_LOOKED_AT = 300
_QUESTION_STARTS = ("how", "what", "when", "where", "why", "who", "which", "can", "could", "do", "does", "is", "are")
_QUESTION_ENDS = ("?", "？", "까", "나요", "가요", "까요", "니", "죠?", "주세요", "해줘", "알려줘")


def guess_roles(table: Table) -> Roles:
    """The likeliest roles. Empty where nothing in the table looks like a question with an answer."""
    rows = list(islice(iter(table.rows), _LOOKED_AT))
    talks = [name for name in table.columns if _share(rows, name, looks_like_conversation) > 0.8]
    if talks:
        talk = min(talks, key=lambda name: _place(name, "messages"))
        system = _by_name(table.columns, "system", {talk})
        return Roles(messages=talk, system=system)
    looks = {name: _Look.of(name, rows) for name in table.columns}
    written = [name for name in table.columns if looks[name].is_text]
    named = _guess_by_names(table.columns, written)
    if named is not None:
        return named
    if len(table.columns) == 1:
        only = table.columns[0]
        return Roles(text=only) if rank(only, "text") is not None else Roles()
    if len(written) >= 2:
        return _guess_by_contents(table.columns, written, looks)
    text = _by_name(tuple(written), "text", set())
    return Roles(text=text) if text else Roles()


def has_roles(roles: Roles) -> bool:
    """Whether any column has been given a part."""
    return roles.shape is not None


def _guess_by_names(columns: tuple[str, ...], written: Sequence[str]) -> Roles | None:
    """Alpaca's three columns, or the surest question and answer; None without both."""
    usable = tuple(name for name in columns if name in written) or columns
    answer = _by_name(usable, "answer", set())
    if answer is None:
        answer = _by_name(columns, "answer", set())  # short answers such as yes and no, or numbers
    taken = {answer} if answer else set()
    question = _by_name(usable, "question", taken) or _by_name(columns, "question", taken)
    if question is None or answer is None:
        return None
    taken = {question, answer}
    system = _by_name(columns, "system", taken)
    context = _by_name(columns, "context", taken | ({system} if system else set()))
    return Roles(question=question, answer=answer, context=context, system=system)


def _guess_by_contents(columns: tuple[str, ...], written: Sequence[str], looks: dict[str, _Look]) -> Roles:
    answer = _by_name(tuple(written), "answer", set())
    question = _by_name(tuple(written), "question", set())
    # The two columns with most in them; ids, dates and labels say little.
    rest = sorted(written, key=lambda name: -looks[name].information)
    first, second = sorted(rest[:2], key=columns.index)
    if answer:
        others = [name for name in rest if name != answer]
        return Roles(question=sorted(others[:1], key=columns.index)[0], answer=answer)
    if question:
        return Roles(question=question, answer=next(name for name in rest if name != question))
    asks, replies = looks[first].asking, looks[second].asking
    swap = replies > asks + 0.2 or (abs(replies - asks) <= 0.2 and looks[second].length * 3 < looks[first].length)
    return Roles(question=second, answer=first) if swap else Roles(question=first, answer=second)


def _place(name: str, role: str) -> int:
    found = rank(name, role)
    return 1_000 if found is None else found


def _by_name(columns: Iterable[str], role: str, taken: set[str]) -> str | None:
    ranked = [(place, name) for name in columns if name not in taken and (place := rank(name, role)) is not None]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _share(rows: Sequence[Row], name: str, holds: Callable[[object], bool]) -> float:
    cells = [row.get(name) for row in rows if row.get(name) not in (None, "")]
    return sum(holds(cell) for cell in cells) / len(cells) if cells else 0.0


@dataclass(frozen=True)
class _Look:
    """What the first rows of a column look like. Lengths in characters, shares from 0 to 1."""

    is_text: bool
    length: float
    asking: float
    information: float

    @staticmethod
    def of(name: str, rows: Sequence[Row]) -> _Look:
        texts = [text for row in rows if (text := cell_text(row.get(name)).strip())]
        if not texts:
            return _Look(False, 0.0, 0.0, 0.0)
        length = sum(map(len, texts)) / len(texts)
        letters = sum(any(c.isalpha() for c in text) for text in texts) / len(texts)
        asking = sum(_asks(text) for text in texts) / len(texts)
        distinct = len(set(texts)) / len(texts)
        spaced = sum(" " in text for text in texts) / len(texts)
        foreign = sum(not text.isascii() for text in texts) / len(texts)
        # Codes and file names are one short run of plain letters each, and all different.
        is_text = letters > 0.5 and (spaced > 0.2 or foreign > 0.3 or length > 20 or distinct < 0.9)
        return _Look(is_text, length, asking, distinct * min(length, 200.0))


def _asks(text: str) -> bool:
    end = text.rstrip(" .!~\n")
    return end.endswith(_QUESTION_ENDS) or text.split(maxsplit=1)[0].casefold() in _QUESTION_STARTS


def check_roles(table: Table, roles: Roles) -> None:
    """Raises `ProblemError` when nothing could be learned with these roles."""
    for name in roles.columns():
        if name not in table.columns:
            raise _roles_problem(
                "data.unknown_column",
                N_("The file has no column called {column}."),
                N_("It has: {columns}."),
                N_("Choose the columns again."),
                column=name,
                columns=", ".join(table.columns)[:300],
            )
    if not any((roles.question, roles.answer, roles.messages, roles.text)):
        if len(table.columns) == 1:
            raise _roles_problem(
                "data.one_column",
                N_("The file has only one column, {column}, so there are questions or answers, but not both."),
                N_("The model learns from pairs: what is asked, and what you would answer."),
                N_("Add a column with the answers, or mark this column as plain text to learn its style."),
                column=table.columns[0],
            )
        raise _roles_problem(
            "data.no_roles",
            N_("It isn't clear which column asks and which answers."),
            N_("The columns are: {columns}."),
            N_("Choose the column with the questions and the one with the answers."),
            columns=", ".join(table.columns)[:300],
        )
    if sum(map(bool, (roles.messages, roles.text, roles.question or roles.answer))) > 1:
        raise _roles_problem(
            "data.roles_conflict",
            N_("Whole conversations, plain text, and questions with answers can't be chosen together."),
            N_("An example is one of these three."),
            N_("Keep one of them and clear the others."),
        )
    if not roles.messages and not roles.text:
        _check_pair(table, roles)
    _check_contents(table, roles)


def _check_pair(table: Table, roles: Roles) -> None:
    if not roles.answer:
        raise _roles_problem(
            "data.no_answer_column",
            N_("No column with answers has been chosen."),
            N_("The answers are what the model learns."),
            N_("Choose the column that holds what you would answer."),
        )
    if not roles.question:
        raise _roles_problem(
            "data.no_question_column",
            N_("No column with questions has been chosen."),
            N_("The model has to know what each answer belongs to."),
            N_("Choose the column that holds what is asked, or mark the answers as plain text."),
        )
    if roles.question == roles.answer:
        raise _roles_problem(
            "data.same_column",
            N_("The column {column} can't be question and answer at once."),
            N_("The model would only learn to repeat what it is told."),
            N_("Choose another column for one of the two."),
            column=roles.answer,
        )


def _check_contents(table: Table, roles: Roles) -> None:
    learned = roles.messages or roles.text or roles.answer or ""
    seen: set[str] = set()
    filled = 0
    chosen = [name for name in (roles.question, roles.context, roles.answer, roles.messages, roles.text) if name]
    for row in table.rows:
        if cell_text(row.get(learned)).strip():
            filled += 1
        if len(seen) < 2:
            seen.add("\x1f".join(cell_text(row.get(name)).strip() for name in chosen))
        if filled and len(seen) > 1:
            return
    if not filled:
        raise _roles_problem(
            "data.no_answers",
            N_("The column {column} is empty in every row."),
            N_("What stands there is what the model learns, so there is nothing to learn."),
            N_("Fill it in, or choose another column."),
            column=learned,
        )
    if len(table.rows) > 1:
        raise _roles_problem(
            "data.all_equal",
            N_("All {count} rows are the same."),
            N_("From one example told many times a model only learns to say that one thing."),
            N_("Choose a file with different examples, or other columns."),
            count=len(table.rows),
        )


def _roles_problem(code: str, what: str, why: str, fix: str, **values: str | int) -> ProblemError:
    return problem(code, what, why, fix, remedy=Remedy.choose_columns, **values)
