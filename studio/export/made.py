"""What a run's folder tells of its exports: which were made, when, from which save point, and what their check said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from studio.core.events import Exported
from studio.core.job_states import ExportState
from studio.core.jobs import CheckAdapter, Contestant, ExportGguf, ExportGgufAdapter, Merge, read_job
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.core.storage import size_of, write_text
from studio.core.translatable import Sentence
from studio.export.exporters import EXPORTERS, Exporter
from studio.export.programs.program import HandedOver


@dataclass(frozen=True)
class MadeExport:
    """An export that is still where it was written, with what its job noticed. `asked` says whether its answers were
    to be compared, which they aren't where there are no questions."""

    exported: Exported
    notices: tuple[Sentence, ...] = ()
    asked: bool = True

    @property
    def folder(self) -> Path:
        return Path(self.exported.folder)


def made_exports(run: RunFolder) -> list[MadeExport]:
    """All exports of `run` that are still there, the newest first. Reads the journals of their jobs."""
    found = (made for exporter in EXPORTERS for made in _made_by(exporter, run))
    return sorted(found, key=lambda made: made.exported.at, reverse=True)


def contestant_at(place: Path, run: RunFolder) -> Contestant:
    """The model at `place` for an exam of `run`, with the run that it was exported from, where that can be told: it
    lies in that run's folder, or `run` exported it."""
    within = next((RunFolder(one) for one in place.parents if (one / "recipe.yaml").is_file()), None)
    if within is None and any(made.folder in (place, place.parent) for made in made_exports(run)):
        within = run
    return Contestant(path=place, run=within.path if within is not None else None)


def made_before(run: RunFolder, exporter: Exporter, quality: str) -> MadeExport | None:
    """What needn't be made again: the newest export in that quality and from the save point that counts now which was
    checked, nothing speaking against it. Raises `ProblemError` where there is no save point."""
    wanted = (exporter.name, quality, choose_checkpoint(run, fully=False).name)
    for one in made_exports(run):
        exported = one.exported
        if (exported.to, exported.quality, exported.checkpoint) == wanted and exported.passed and one.asked:
            return one
    return None


def _made_by(exporter: Exporter, run: RunFolder) -> Iterator[MadeExport]:
    told = set()
    for folder in reversed(run.jobs(exporter.name)):
        state = folder.fold(ExportState())
        exported = state.exported
        if exported is None or exported.folder in told or not Path(exported.folder).is_dir():
            continue
        told.add(exported.folder)
        yield MadeExport(exported, tuple(notice.text for notice in state.notices), _asked(folder))
    if exporter.copy is None or not run.exports.is_dir():
        return
    for place in run.exports.glob(f"{exporter.name}*"):  # copies that weren't checked, or not yet
        if str(place) not in told and (place / exporter.marker).is_file():
            changed = place.stat().st_mtime
            copied = Exported(at=changed, to=exporter.name, folder=str(place), size=size_of(place))
            yield MadeExport(copied, asked=False)


def _asked(folder: JobFolder) -> bool:
    try:
        job = read_job(folder)
    except (OSError, ValidationError):
        return False
    return not isinstance(job, Merge | ExportGguf | ExportGgufAdapter | CheckAdapter) or job.compare > 0


def record_handover(run: RunFolder, handed: HandedOver) -> None:
    """Keep in the run's folder that a program has it now. Raises OSError."""
    write_text(_record(run, handed.program), handed.model_dump_json(indent=1))


def handed_over(run: RunFolder, program: str) -> HandedOver | None:
    """What that program was given last, None where that isn't known."""
    try:
        return HandedOver.model_validate_json(_record(run, program).read_bytes())
    except (OSError, ValidationError):
        return None


def _record(run: RunFolder, program: str) -> Path:
    return run.path / "handovers" / f"{program}.json"
