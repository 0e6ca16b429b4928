"""Answering the desk's questions: reading, making examples, examining, measuring, showing."""

from __future__ import annotations

import shutil
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from studio.core.problems import ProblemError
from studio.core.recipe.defaults import default_validation_split
from studio.core.translatable import N_, sentence
from studio.dataset.build import build_examples, kept_on_disk
from studio.dataset.examples import Example
from studio.dataset.store import StoredExamples, is_stored, open_table_at, table_folder, write_groups, write_table
from studio.dataset.table import Table, cell_text
from studio.worker.protocol import (
    Answer,
    BuildExamples,
    Built,
    Examine,
    ExampleRead,
    FirstRows,
    Measured,
    MeasureLengths,
    Opened,
    OpenTable,
    Progress,
    Question,
    Reader,
    ReadExample,
    ReportReady,
)

if TYPE_CHECKING:
    from studio.tokenization.encoding import Encoder

FIRST_ROWS = 50
LARGE = 4 << 20
"""Bytes of a file from which on its first rows are shown before all of it is read."""
TELL_EVERY = 0.2
"""Seconds between two lines of progress at least."""
KEPT_ENCODERS = 4

Say = Callable[[Answer], None]


class WorkerServer:
    """Answers questions one after another. `say` is called with progress and, at the end, with the answer."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told = 0.0
        self._encoders: OrderedDict[str, Encoder] = OrderedDict()
        self._stored: StoredExamples | None = None

    def answer(self, question: Question) -> None:
        """Raises `ProblemError` for what can be expected to go wrong."""
        match question:
            case OpenTable():
                self._open(question)
            case BuildExamples():
                self._make(question)
            case Examine():
                self._examine(question)
            case ReadExample():
                self._read(question)
            case MeasureLengths():
                self._measure(question)
            case _:
                assert_never(question)

    # Opening

    def _open(self, question: OpenTable) -> None:
        from studio.dataset.columns.detection.detect import detect
        from studio.dataset.columns.mapping_checks import check_mapping
        from studio.dataset.readers.open import first_rows, stream_table

        choice = question.choice
        path = Path(choice.path).expanduser()
        try:
            folder = table_folder(choice)
            known = is_stored(folder)
        except OSError:
            known = False  # the reader says what is wrong with the file
        table = None
        if known:
            try:
                table = open_table_at(folder)
            except (OSError, ValueError):
                shutil.rmtree(folder, ignore_errors=True)  # damaged on the disk: the file is read once more
        if table is None:
            if path.is_file() and path.stat().st_size > LARGE:
                self._say_first(first_rows(choice, FIRST_ROWS))
            self._say(Progress(done=0, total=0, text=sentence(N_("Reading {name}."), name=path.name)))
            stream = stream_table(choice)
            text = sentence(N_("Copying the rows of {name}."), name=path.name)
            folder = table_folder(choice)
            with kept_on_disk(folder):
                write_table(stream, folder, lambda done, total: self._tell(done, total, text))
            table = open_table_at(folder)
        guessed = detect(table)
        chosen = choice.mapping.format is not None
        roles = choice.mapping if chosen else guessed.mapping
        wrong = None
        try:
            check_mapping(table, roles)
        except ProblemError as error:
            wrong = error.problem
        sure = chosen or guessed.sure
        self._say(Opened(table=folder, mapping=roles, sure=sure, why=guessed.why, problem=wrong))

    def _say_first(self, table: Table) -> None:
        rows = tuple(
            tuple(None if row.get(name) is None else cell_text(row.get(name))[:2_000] for name in table.columns)
            for row in islice(iter(table.rows), FIRST_ROWS)
        )
        self._say(FirstRows(name=table.path.name, format=table.format, columns=table.columns, rows=rows))

    # Examples

    def _make(self, question: BuildExamples) -> None:
        rows = N_("Making examples.")
        folder = build_examples(
            question.table, question.choice, lambda done, total: self._tell(done, total, sentence(rows))
        )
        stored = self._examples(folder)
        about = stored.about
        self._say(
            Built(
                examples=folder,
                count=len(stored),
                skipped=about.skipped,
                skipped_count=about.skipped_count,
                steps=about.steps,
                notes=about.notes,
            )
        )

    def _examine(self, question: Examine) -> None:
        from studio.dataset.quality.examine import examine
        from studio.dataset.split import held_out_positions

        stored = self._examples(question.examples)
        share = question.held_out if question.held_out is not None else default_validation_split(len(stored))
        text = sentence(N_("Looking for what could be wrong with the examples."))
        about = stored.about
        examined = examine(
            stored.numbered(),
            len(stored),
            partial(held_out_positions, share=share, seed=question.seed),
            about.skipped,
            lambda done, total: self._tell(done, total, text),
            about.skipped_count,
        )
        with kept_on_disk(question.examples):
            write_groups(question.examples, array("i", examined.groups.tolist()))
        self._say(ReportReady(report=examined.report))

    def _examples(self, folder: Path) -> StoredExamples:
        if self._stored is None or self._stored.folder != folder:
            self._stored = StoredExamples(folder)
        return self._stored

    # Reading as a model

    def _encoder(self, reader: Reader) -> Encoder:
        from studio.tokenization.encoding import Encoder

        key = reader.model_dump_json(exclude={"truncation"})
        if key not in self._encoders:
            self._encoders[key] = Encoder.from_folder(reader.model, reader.max_length, reader.loss_on)
            while len(self._encoders) > KEPT_ENCODERS:
                self._encoders.popitem(last=False)
        self._encoders.move_to_end(key)
        return self._encoders[key]

    def _read(self, question: ReadExample) -> None:
        from studio.tokenization.truncation import truncate

        encoder = self._encoder(question.reader)
        example = self._examples(question.examples)[question.position]
        parts = truncate(encoder, example, question.reader.truncation)
        self._say(
            ExampleRead(
                encoded=parts,
                pieces=tuple(encoder.pieces(part) for part in parts),
                marks=encoder.special_tokens,
                limit=encoder.max_length,
                adaptations=encoder.adaptations,
            )
        )

    def _measure(self, question: MeasureLengths) -> None:
        from studio.tokenization.lengths import measure

        encoder = self._encoder(question.reader)
        stored = self._examples(question.examples)
        count = min(question.most, len(stored))
        positions = array("i", (i * len(stored) // count for i in range(count)))
        text = sentence(N_("Counting word pieces."))

        def counted() -> Iterator[Example]:
            for done, position in enumerate(positions):
                self._tell(done, count, text)
                yield stored[position]

        lengths = measure(encoder, counted())
        self._say(
            Measured(total=tuple(lengths.total), first_label=tuple(lengths.first_label), positions=tuple(positions))
        )

    def _tell(self, done: int, total: int, text: object) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_EVERY:
            self._told = now
            self._say(Progress.model_validate({"done": done, "total": total, "text": text}))
