"""Answering requests: reading, building examples, checking, measuring, showing."""

from __future__ import annotations

import shutil
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import DataChoice, default_validation_split
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.build import build_examples, kept_on_disk
from studio.dataset.examples import Example
from studio.dataset.store import StoredExamples, is_stored, open_table_at, table_folder, write_groups, write_table
from studio.dataset.table import Table
from studio.worker.protocol import (
    BuildExamples,
    Built,
    EncoderSettings,
    Examine,
    ExampleRead,
    FirstRows,
    GetReady,
    Measured,
    MeasureLengths,
    Opened,
    OpenTable,
    Progress,
    ReadExample,
    Ready,
    Reply,
    ReportReady,
    Request,
)

if TYPE_CHECKING:
    from studio.tokenization.encoded import Encoded
    from studio.tokenization.encoding import Encoder

FIRST_ROWS = 50
SHOWN_CHARACTERS = 2_000
"""Of a cell among the first rows."""
TELL_EVERY = 0.2
"""Seconds between two lines of progress at least."""
KEPT_ENCODERS = 4

Say = Callable[[Reply], None]


class WorkerServer:
    """Answers requests one after another. `say` is called with progress and, at the end, with the reply.

    What is kept between them, opened examples and encoders, saves time alone: each reply depends on its request and on
    the files that it names.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told = 0.0
        self._encoders: OrderedDict[str, Encoder] = OrderedDict()
        self._stored: StoredExamples | None = None

    def answer(self, request: Request) -> None:
        """Raises `ProblemError` for what can be expected to go wrong."""
        self._told = 0.0
        match request:
            case GetReady():
                self._get_ready()
            case OpenTable():
                self._open(request.choice)
            case BuildExamples():
                self._build(request)
            case Examine():
                self._examine(request)
            case ReadExample():
                self._read(request)
            case MeasureLengths():
                self._measure(request)
            case _:
                assert_never(request)

    # Opening

    def _get_ready(self) -> None:
        import studio.dataset.columns.detection.detect
        import studio.dataset.readers.delimited
        import studio.dataset.readers.read_table  # noqa: F401 - loaded now instead of with the first file

        self._say(Ready())

    def _open(self, choice: DataChoice) -> None:
        from studio.dataset.columns.detection.detect import detect
        from studio.dataset.columns.mapping_checks import check_mapping

        folder, table = self._known_table(choice) or self._read_into_store(choice)
        guessed = detect(table)
        chosen = choice.mapping.format is not None
        mapping = choice.mapping if chosen else guessed.mapping
        wrong = None
        try:
            check_mapping(table, mapping)
        except ProblemError as error:
            wrong = error.problem
        sure = chosen or guessed.sure
        self._say(
            Opened(
                table=folder,
                info=table.info,
                rows=len(table.rows),
                mapping=mapping,
                sure=sure,
                why=guessed.why,
                problem=wrong,
            )
        )

    def _known_table(self, choice: DataChoice) -> tuple[Path, Table] | None:
        """What this choice was read as before, unless its file changed."""
        try:
            folder = table_folder(choice)
            if not is_stored(folder):
                return None
        except (OSError, ValueError, RuntimeError):
            return None  # the reader says what is wrong with the file, or with its name
        try:
            return folder, open_table_at(folder)
        except (OSError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)  # damaged on the disk: the file is read once more
            return None

    def _read_into_store(self, choice: DataChoice) -> tuple[Path, Table]:
        from studio.dataset.readers.read_table import read_table

        name = Path(choice.path).name
        with suppress(ProblemError):  # a beginning may be unreadable by itself
            self._say_first_rows(choice)
        self._say(Progress(done=0, total=0, text=sentence(N_("Reading {name}."), name=name)))
        stream = read_table(choice)
        text = sentence(N_("Copying the rows of {name}."), name=name)
        folder = table_folder(choice)
        with kept_on_disk(folder):
            write_table(stream, folder, lambda done, total: self._tell(done, total, text))
        return folder, open_table_at(folder)

    def _say_first_rows(self, choice: DataChoice) -> None:
        from studio.dataset.readers.read_table import read_first_rows

        stream = read_first_rows(choice, FIRST_ROWS)
        if stream is None:
            return
        rows = (row.values() for batch in stream.batches for row in batch.slice(0, FIRST_ROWS).to_pylist())
        shown = tuple(tuple(cell and cell[:SHOWN_CHARACTERS] for cell in row) for row in islice(rows, FIRST_ROWS))
        self._say(FirstRows(info=stream.info, rows=shown))

    # Examples

    def _build(self, request: BuildExamples) -> None:
        text = sentence(N_("Building examples."))
        folder = build_examples(request.table, request.choice, lambda done, total: self._tell(done, total, text))
        stored = self._examples(folder)
        self._say(Built(examples=folder, count=len(stored), about=stored.about))

    def _examine(self, request: Examine) -> None:
        from studio.dataset.quality.examine import examine
        from studio.dataset.split import held_out_positions

        stored = self._examples(request.examples)
        share = request.held_out if request.held_out is not None else default_validation_split(len(stored))
        text = sentence(N_("Looking for what could be wrong with the examples."))
        about = stored.about
        examined = examine(
            stored.lines(),
            len(stored),
            partial(held_out_positions, share=share, seed=request.seed),
            about.skipped,
            lambda done, total: self._tell(done, total, text),
            about.skipped_count,
        )
        with kept_on_disk(request.examples):
            write_groups(request.examples, array("i", examined.groups.tolist()))
        self._say(ReportReady(report=examined.report))

    def _examples(self, folder: Path) -> StoredExamples:
        if self._stored is None or self._stored.folder != folder:
            self._stored = StoredExamples(folder)
        return self._stored

    # Reading as a model

    def _encoder(self, settings: EncoderSettings) -> Encoder:
        from studio.tokenization.encoding import Encoder

        key = settings.model_dump_json(exclude={"truncation"})
        if key not in self._encoders:
            loss_on = "answers" if settings.pairs else settings.loss_on
            self._encoders[key] = Encoder.from_folder(
                settings.model, settings.max_length, loss_on, settings.added_tokens
            )
            while len(self._encoders) > KEPT_ENCODERS:
                self._encoders.popitem(last=False)
        self._encoders.move_to_end(key)
        return self._encoders[key]

    def _read(self, request: ReadExample) -> None:
        from studio.tokenization.truncation import truncate, truncate_pair

        encoder = self._encoder(request.encoder)
        example = self._examples(request.examples)[request.position]
        parts: tuple[Encoded, ...]
        if request.encoder.pairs:
            parts = truncate_pair(encoder, example, request.encoder.truncation) or ()
            pieces = [encoder.pieces(part, avoided=place > 0) for place, part in enumerate(parts)]
        else:
            parts = truncate(encoder, example, request.encoder.truncation)
            pieces = [encoder.pieces(part) for part in parts]
        # The encoder remembers those of every example that it has seen, of other files too.
        adaptations = {one.text: one for part in parts for one in part.adaptations}
        self._say(
            ExampleRead(
                encoded=parts,
                pieces=tuple(pieces),
                marks=encoder.special_tokens,
                limit=encoder.max_length,
                adaptations=tuple(adaptations.values()),
            )
        )

    def _measure(self, request: MeasureLengths) -> None:
        from studio.tokenization.lengths import measure

        encoder = self._encoder(request.encoder)
        stored = self._examples(request.examples)
        count = min(request.most, len(stored))
        positions = array("i", (i * len(stored) // count for i in range(count)))
        text = sentence(N_("Counting tokens."))

        def counted() -> Iterator[Example]:
            for done, position in enumerate(positions):
                self._tell(done, count, text)
                yield stored[position]

        lengths = measure(encoder, counted(), pairs=request.encoder.pairs)
        first = tuple(lengths.first_label)
        self._say(Measured(total=tuple(lengths.total), first_label=first, plain=lengths.plain))

    def _tell(self, done: int, total: int, text: Sentence) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_EVERY:
            self._told = now
            self._say(Progress(done=done, total=total, text=text))
