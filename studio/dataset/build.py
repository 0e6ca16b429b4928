"""Building the examples of a stored table: mapping, then fixes, then into the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from json.encoder import encode_basestring
from pathlib import Path

from studio.core.problems import Remedy
from studio.core.recipe.data_choice import DataChoice
from studio.core.storage import cannot_write
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.columns.apply_mapping import iterate_examples, system_turn
from studio.dataset.columns.formats.pairs import is_plain_pair, plain_pairs
from studio.dataset.columns.mapping_checks import check_mapping
from studio.dataset.corrections import read_corrections
from studio.dataset.examples import Example, Skipped
from studio.dataset.quality.report import ExamplesAbout, Step
from studio.dataset.store import (
    LISTED,
    SKIPPED_NAMED,
    StoredRow,
    examples_folder,
    is_stored,
    open_table_at,
    rows_of,
    stored_row,
    write_examples,
)
from studio.dataset.table import Table


def build_examples(table_folder: Path, choice: DataChoice, progress: Callable[[int, int], None]) -> Path:
    """The folder of the examples that `choice` makes of the table stored at `table_folder`, built if they aren't there.

    Raises `ProblemError` for a mapping that doesn't fit and for a disk that is full.
    """
    folder = examples_folder(table_folder, choice)
    if is_stored(folder):
        return folder
    table = open_table_at(table_folder)
    check_mapping(table, choice.mapping)
    builder = _Builder(table, choice)
    steps: list[Step] = []
    corrected = builder.corrections()
    examples: Iterator[StoredRow]
    if choice.fixes:
        from studio.dataset.quality.fixes import apply_all

        examples = builder.counted(apply_all(chain(builder.examples(), corrected), choice.fixes, steps))
    elif is_plain_pair(table, choice.mapping):
        examples = chain(builder.pairs(), builder.counted(corrected))
    else:
        examples = builder.counted(chain(builder.examples(), corrected))

    def about() -> ExamplesAbout:
        return ExamplesAbout(
            skipped=tuple(builder.skipped),
            skipped_count=builder.skipped_count,
            steps=tuple(steps),
            notes=tuple(builder.notes),
            pairs=builder.with_rejected,
            good=builder.good,
            bad=builder.bad,
        )

    with kept_on_disk(folder):
        write_examples(examples, folder, about, lambda done: progress(done, len(table.rows)))
    return folder


class _Builder:
    """The examples of a table, with a count of what was skipped on the way."""

    def __init__(self, table: Table, choice: DataChoice) -> None:
        self._table = table
        self._choice = choice
        self.skipped: list[Skipped] = []
        self.skipped_count = 0
        self.notes: list[Sentence] = []
        self.with_rejected = self.good = self.bad = 0

    def examples(self) -> Iterator[tuple[int, Example]]:
        for row, found in iterate_examples(self._table, self._choice.mapping, self._choice.system_prompt, self.notes):
            if isinstance(found, Skipped):
                self._skip(found)
            else:
                yield row, found

    def corrections(self) -> Iterator[tuple[int, Example]]:
        """What was said of answers in the chat, numbered after the last row."""
        if not self._choice.corrections:
            return
        count, marks = 0, self._choice.mapping.undesirable == "keep"
        file = Path(self._choice.corrections).expanduser()
        found_here = read_corrections(file, self._choice.system_prompt, marks=marks)
        for row, found in enumerate(found_here, len(self._table.rows) + 1):
            if isinstance(found, Skipped):
                self._skip(Skipped(row, found.reason))
            else:
                count += 1
                yield row, found
        self.notes.append(sentence(N_("Examples from the chat, after those of the file: {count}."), count=count))

    def pairs(self) -> Iterator[StoredRow]:
        """The same for two columns of text, written down without making objects of them: three times as quick."""
        system = system_turn(self._choice.system_prompt)
        before = "".join(one.model_dump_json(exclude_defaults=True) + "," for one in system)
        mapping = self._choice.mapping
        for row, pair in plain_pairs(rows_of(self._table, (mapping.question, mapping.answer)), mapping):
            if isinstance(pair, Skipped):
                self._skip(pair)
                continue
            question, answer, thinking = pair  # a stored cell is valid Unicode, so it can be written down as it is
            thought = f',"thinking":{encode_basestring(thinking)}' if thinking else ""
            text = (
                f'{{"messages":[{before}{{"role":"user","content":{encode_basestring(question)}}},'
                f'{{"role":"assistant","content":{encode_basestring(answer)}{thought}}}]}}'
            )
            yield StoredRow(row, question[:LISTED], answer[:LISTED], text)

    def counted(self, examples: Iterable[tuple[int, Example]]) -> Iterator[StoredRow]:
        for row, example in examples:
            self.with_rejected += example.rejected is not None
            self.good += example.good is True
            self.bad += example.good is False
            yield stored_row(row, example)

    def _skip(self, skipped: Skipped) -> None:
        self.skipped_count += 1
        if len(self.skipped) < SKIPPED_NAMED:
            self.skipped.append(skipped)


@contextmanager
def kept_on_disk(folder: Path) -> Iterator[None]:
    """Puts into words what a disk refuses while something is written at `folder`."""
    try:
        yield
    except OSError as error:
        raise cannot_write(folder.parent, error, remedy=Remedy.try_again) from error
