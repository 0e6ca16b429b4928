"""Every run of every project, listed, searched and sorted at once: an index in SQLite over the run folders.

The folders are the truth. The index can be deleted or damaged at any time; it is compared with them whenever it is
asked, what changed is read again, and where it isn't what was last written it is made anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal, get_args

from studio.core import paths
from studio.core.problems import Problem, Remedy
from studio.core.run_folder import RunFolder
from studio.core.storage import write_text
from studio.core.writer_lock import WriterLock
from studio.runs.project import RUN_FILES, Project, projects
from studio.runs.summary import OUTCOME_TEXT, Curve, RunDetails, RunSummary

Column = Literal["name", "project", "model", "data", "method", "outcome", "best_loss", "started_at", "seconds", "size"]
COLUMNS: tuple[Column, ...] = get_args(Column)
"""By which lists can be sorted."""

_FORMAT = 1
"""Of what stands in the index: to be raised when a column comes to mean something else. Another one is made anew."""

_SUMMARY = tuple(f.name for f in fields(RunSummary) if f.name not in ("run", "project_name", "problem"))
_DETAILS = tuple(f.name for f in fields(RunDetails))
_STORED = ("place", "signature", "problem", *_SUMMARY, *_DETAILS, "words")

_BATCH = 200
"""Runs that are read between two writes: what is done by then isn't lost when the program is ended."""

_ATTEMPTS = 3

_UNFINISHED = " unfinished"

_PATIENCE = 60.0
"""Seconds to wait while another process brings the index up to date."""


_LOOKED_AT = (*RUN_FILES, "data", "checkpoints", "exports", "jobs")
"""What changes when a run does: its journal and recipe, and the folders in which things are added and removed."""

_Found = Mapping[str, int]
"""The signatures of all runs, by their places: `<project>/runs/<run>`."""


def list_runs(
    search: str = "",
    *,
    sort_by: Column = "started_at",
    descending: bool = True,
    project: Project | None = None,
    translate: Callable[[str], str] = str,
    refresh: bool = True,
) -> list[RunSummary]:
    """The runs in which every word of `search` stands: in the names of run, project, model and data, in the outcome as
    `translate` words it, or in a setting (`rank=8`). What isn't known of a run is sorted last.

    Without `refresh` the folders aren't looked at, for a search while somebody types. Nothing that lies in a run's
    folder makes it raise.
    """
    names = {one.folder.name: one.name for one in projects()}
    conditions, values = ["1"], list[str]()
    if project is not None:
        conditions.append("project = ?")
        values.append(project.folder.name)
    for word in search.casefold().split():
        outcomes = [one for one, text in OUTCOME_TEXT.items() if word in f"{one} {translate(text)}".casefold()]
        inside = [folder for folder, name in names.items() if word in name.casefold()]
        conditions.append(f"(instr(words, ?) OR outcome IN ({_marks(outcomes)}) OR project IN ({_marks(inside)}))")
        values += [word, *outcomes, *inside]
    direction = "DESC" if descending else "ASC"
    rows = _rows(
        f"SELECT place, problem, {', '.join(_SUMMARY)} FROM runs WHERE {' AND '.join(conditions)} "
        f"ORDER BY {sort_by} IS NULL, {sort_by} COLLATE NOCASE {direction}, place {direction}",
        values,
        refresh=refresh,
    )
    return list(_summaries(rows, names))


def with_details(runs: Sequence[RunFolder]) -> list[tuple[RunSummary, RunDetails]]:
    """All that the index has of these runs, in their order; of a run outside of all projects, what its folder says."""
    names = {one.folder.name: one.name for one in projects()}
    places = [_place(run) for run in runs]
    rows = _rows(
        f"SELECT {', '.join(_DETAILS)}, place, problem, {', '.join(_SUMMARY)} FROM runs "
        f"WHERE place IN ({_marks(places)})",
        places,
    )
    known = {}
    for settings, fingerprint, versions, losses, held_out_losses, *rest in rows:
        (summary,) = _summaries([tuple(rest)], names)
        known[summary.run] = (
            summary,
            RunDetails(
                settings=json.loads(settings),
                data_fingerprint=fingerprint,
                versions=json.loads(versions),
                losses=_curve(losses),
                held_out_losses=_curve(held_out_losses),
            ),
        )
    return [known.get(run) or _read(run) for run in runs]


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def _summaries(rows: Iterable[tuple[Any, ...]], names: Mapping[str, str]) -> Iterator[RunSummary]:
    above = paths.projects()
    for place, problem, *rest in rows:
        known = dict(zip(_SUMMARY, rest, strict=True))
        yield RunSummary(
            run=RunFolder(above / place),
            project_name=names.get(known["project"], ""),
            problem=_problem(problem) if problem else None,
            **known,
        )


def _problem(text: str) -> Problem:
    known = json.loads(text)
    remedy = known.pop("remedy")
    return Problem(**known, remedy=Remedy(remedy) if remedy else None)


def _curve(text: str) -> Curve:
    return tuple((int(step), float(loss)) for step, loss in json.loads(text))


def _place(run: RunFolder) -> str:
    """Below the folder of all projects, so that the index goes on being right when that is moved."""
    try:
        return run.path.relative_to(paths.projects()).as_posix()
    except ValueError:
        return ""


def _find_runs() -> dict[str, int]:
    """Looks at a few times and sizes of each run, and opens nothing."""
    found = {}
    for project in projects():
        for folder in _inside(project.runs_folder):
            # a dot: half written, or being deleted; SQLite takes no names that are no text
            is_name = not folder.name.startswith(".") and _stored(folder.name) == folder.name
            signature = _signature(folder) if is_name else None
            if signature is not None:
                found[f"{project.folder.name}/{project.runs_folder.name}/{folder.name}"] = signature
    return found


def _inside(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # it isn't there, or nobody may look into it
        return []


def _signature(folder: os.DirEntry[str]) -> int | None:
    """Another number whenever something changed in a run's folder, None for what is no run."""
    seen = {}
    try:
        with os.scandir(folder) as inside:
            for entry in inside:
                if entry.name in _LOOKED_AT:
                    seen[entry.name] = _times(entry)
    except (NotADirectoryError, FileNotFoundError):
        return None
    except OSError as error:  # nobody may look into it, which has to be seen
        return error.errno or 0
    if not any(name in seen for name in RUN_FILES):
        return None
    # the hash of numbers is the same in every process
    return hash((_times(folder), *(seen.get(name, ()) for name in _LOOKED_AT)))


def _times(entry: os.DirEntry[str]) -> tuple[int, ...]:
    try:
        about = entry.stat()
    except OSError:  # a link that leads nowhere
        return ()
    return about.st_mtime_ns, about.st_size


def _rows(statement: str, values: Sequence[str], *, refresh: bool = True) -> list[tuple[Any, ...]]:
    """What the index answers, brought up to date unless it may be as it is. Where it can't be kept on the disk, or is
    damaged again and again while it is asked, one in memory answers that is made for this once."""
    file = paths.home() / "history.sqlite"
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(OSError, sqlite3.Error):
            if refresh or not _is_as_written(file):
                found = _find_runs()
                if not found and not file.exists():
                    return []
                if not _bring_up_to_date(file, found):
                    break
            looked_at = _identity(file)
            with contextlib.closing(_opened_to_read(file)) as index:
                rows = index.execute(statement, values).fetchall()
            if _is_as_written(file) and _identity(file) == looked_at:  # and not one that came in between
                return rows
    with contextlib.closing(_opened(":memory:")) as index:
        for batch in _batches(index, _find_runs()):
            _write(index, batch)
        return index.execute(statement, values).fetchall()


def _bring_up_to_date(file: Path, found: _Found) -> bool:
    """Whether it was done: not where another process has been at it for too long."""
    if _is_as_written(file):
        with contextlib.closing(_opened_to_read(file)) as index:
            if not _changed(index, found) and not _vanished(index, found):
                return True
    lock = WriterLock(file.with_suffix(".lock"))
    deadline = time.monotonic() + _PATIENCE
    while not lock.acquire():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    try:
        if not _is_as_written(file, whole=False):
            for name in (file, file.with_name(file.name + "-journal")):
                name.unlink(missing_ok=True)
        with contextlib.closing(_opened(file)) as index:
            with index:
                index.executemany("DELETE FROM runs WHERE place = ?", [(place,) for place in _vanished(index, found)])
            for batch in _batches(index, found):
                _write(index, batch)
                _note_sum(file, whole=False)
            _note_sum(file, whole=True)
    finally:
        lock.release()
    return True


def _opened(file: Path | str) -> sqlite3.Connection:
    """With SQLite's rollback journal, since its versions until 3.51 may damage a write-ahead log of two connections."""
    index = sqlite3.connect(file, timeout=_PATIENCE)
    try:
        with index:
            index.execute(f"CREATE TABLE IF NOT EXISTS runs ({', '.join(_STORED)}, PRIMARY KEY (place))")
    except sqlite3.Error:
        index.close()
        raise
    return index


def _opened_to_read(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)


def _vanished(index: sqlite3.Connection, found: _Found) -> list[str]:
    return [place for (place,) in index.execute("SELECT place FROM runs") if place not in found]


def _changed(index: sqlite3.Connection, found: _Found) -> list[str]:
    """Places of runs that aren't in the index as they are now. A run without an ending also changes when its process
    comes or goes, which shows in no file."""
    known = {place: told for place, *told in index.execute("SELECT place, signature, outcome FROM runs")}
    return [
        place
        for place, signature in found.items()
        if place not in known or known[place][0] != signature or _came_or_went(place, known[place][1])
    ]


def _came_or_went(place: str, outcome: str) -> bool:
    if outcome not in ("not_started", "running", "silent", "interrupted"):
        return False
    run = RunFolder(paths.projects() / place)
    if not run.is_at_work():
        return outcome in ("running", "silent")
    from studio.runs.follow import job_status

    return job_status(run) != outcome


def _batches(index: sqlite3.Connection, found: _Found) -> Iterator[list[tuple[object, ...]]]:
    changed = _changed(index, found)
    for start in range(0, len(changed), _BATCH):
        yield [_row(place, found[place]) for place in changed[start : start + _BATCH]]


def _write(index: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    with index:
        index.executemany(f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(_STORED))})", rows)


def _row(place: str, signature: int) -> tuple[object, ...]:
    run = RunFolder(paths.projects() / place)
    summary, details = _read(run)
    settings = " ".join(f"{key}={value}" for key, value in details.settings.items())
    starter = "starter model" if summary.model == paths.STARTER_HUB_NAME else ""
    words = (summary.name, run.path.name, summary.model, starter, summary.data, summary.method, settings)
    row = (
        place,
        signature,
        json.dumps(asdict(summary.problem)) if summary.problem is not None else "",
        *(getattr(summary, name) for name in _SUMMARY),
        json.dumps(details.settings, ensure_ascii=False),
        details.data_fingerprint,
        json.dumps(details.versions),
        json.dumps(details.losses),
        json.dumps(details.held_out_losses),
        "\n".join(words).casefold(),
    )
    return tuple(_stored(value) for value in row)


def _read(run: RunFolder) -> tuple[RunSummary, RunDetails]:
    from studio.runs.read_run import read_run  # with recipes and events, while most runs are as the index knows them

    return read_run(run)


def _stored(value: object) -> object:
    """As SQLite can take it, whatever stood in a file that somebody else may have written."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return float(value) if isinstance(value, int) and abs(value) >= 1 << 63 else value


# SQLite notices a damaged page, and not a damaged letter in one: the sum of the whole file tells both.

_checked: dict[Path, int] = {}
"""Files that were found to be as they were written, each with its identity then."""

_TICK = 0.1
"""Seconds. Two times of writing that are nearer may look the same: what was written just now is looked at again."""


def _identity(file: Path) -> int:
    """Another number for another file, another time of writing, or other columns."""
    about = file.stat()
    return hash((about.st_ino, about.st_size, about.st_mtime_ns, _FORMAT, _STORED))


def _is_as_written(file: Path, *, whole: bool = True) -> bool:
    """Whether nothing but this program wrote it; with `whole`, also whether it was written to the end."""
    try:
        now = _identity(file)
        if _checked.get(file) == now:
            return True
        noted = file.with_suffix(".sum").read_text(encoding="utf-8")
        value = _sum(file)
        if noted == value and time.time() - file.stat().st_mtime > _TICK:
            _checked[file] = now
        return noted == value or (not whole and noted == value + _UNFINISHED)
    except (OSError, UnicodeDecodeError):
        return False


def _note_sum(file: Path, *, whole: bool) -> None:
    value = _sum(file)
    write_text(file.with_suffix(".sum"), value if whole else value + _UNFINISHED)


def _sum(file: Path) -> str:
    """Over what the columns are, too: an index with other ones isn't as it was written."""
    value = zlib.crc32(repr((_FORMAT, _STORED)).encode())
    with open(file, "rb") as opened:
        while block := opened.read(1 << 20):
            value = zlib.crc32(block, value)
    return f"{value:08x}"
