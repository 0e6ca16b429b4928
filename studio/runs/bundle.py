"""A run in one file, from which another computer repeats it: what it learned from and how, what became of it, and only
when asked for, the examples and what was learned."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import shutil
import time
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core.events import EVENT, Crashed
from studio.core.problems import ProblemError, Remedy, other_format, problem
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.recipe.recipe import Recipe, load, to_yaml, with_values
from studio.core.run_folder import TRAINING_STATE, RunFolder, choose_checkpoint
from studio.core.storage import (
    MANIFEST,
    File,
    cannot_write,
    is_intact,
    read_manifest,
    require_new,
    require_room,
    sha256_of,
    staged,
    staged_file,
)
from studio.core.translatable import N_, Sentence, sentence
from studio.models.adapter import ADAPTER_CONFIG, unknown_settings
from studio.models.base_model import base_of_run
from studio.runs.project import Project
from studio.runs.read_run import BUNDLE_NOTE, read_run

FORMAT = 1
"""Of bundles: their note says it."""


class BundleNote(BaseModel):
    """What stands in a bundle's `bundle.json`, and later in the folder of the run that came in it. `run` is the name of
    its folder where the bundle was made, `made_at` seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int
    run: str
    made_at: float
    with_data: bool
    with_adapter: bool
    versions: dict[str, str]


@dataclass(frozen=True)
class OpenedBundle:
    """The run in its new project, and what has to be known or done before it can be repeated here."""

    run: RunFolder
    note: BundleNote
    model_is_here: bool
    told: tuple[Sentence, ...]


_SMALL = 10_000_000
"""Bytes of what is read at once: recipe, note, fingerprints, manifest."""
_LONG = 2_000_000_000
"""Bytes of what is read a line at a time: journal and examples."""

_NOTE, _RECIPE, _JOURNAL = BUNDLE_NOTE, "recipe.yaml", "events.jsonl"
_PARTS = {
    _NOTE: _SMALL,
    _RECIPE: _SMALL,
    _JOURNAL: _LONG,
    "base_model.json": _SMALL,
    "origin.json": _SMALL,
    "data/fingerprint.json": _SMALL,
    "data/train.jsonl": _LONG,
    "data/held_out.jsonl": _LONG,
    "data/rehearsal.jsonl": _LONG,
}
"""What a bundle may hold, with the most bytes each may come to, besides weights."""
_WEIGHTS = re.compile(
    r"(checkpoints/step-\d{1,12}|initial_weights)/[A-Za-z0-9][A-Za-z0-9_.-]{0,120}\.(safetensors|json|jinja|txt|model)"
)
"""Weights and tokenizers, and nothing in a form that can hold code."""
_MOST_PACKED = 200
"""How many times its packed size a part may come to; text seldom shrinks to a tenth."""


def write_bundle(run: RunFolder, out: Path, *, with_data: bool = False, with_adapter: bool = False) -> int:
    """Write the run into the new zip `out`, whole or not at all; its size in bytes.

    The best save point goes in without what only a training needs, and what the run began with where that were the
    weights of another one. Where files lie on this computer doesn't, nor the
    end of a crashed process's log. Raises `ProblemError`.
    """
    require_new(out)
    recipe = load(run.recipe)
    if not run.events.is_file():
        raise problem(
            "bundle.not_started",
            N_("This run was never started, so there is nothing to pass on but its recipe."),
            fix=N_("Save the recipe instead, or train first."),
        )
    files = [path for path in (run.base_fingerprint, run.fingerprint, run.origin) if path.is_file()]
    if with_data:
        files += [run.train_data, run.held_out_data]
        files += [run.rehearsal_data] if run.rehearsal_data.is_file() else []
    checkpoint = choose_checkpoint(run) if with_adapter else None
    note = BundleNote(
        format=FORMAT,
        run=run.path.name,
        made_at=time.time(),
        with_data=with_data,
        with_adapter=with_adapter,
        versions=dict(read_run(run)[1].versions),
    )
    try:
        with staged_file(out) as staging, zipfile.ZipFile(staging, "w", zipfile.ZIP_DEFLATED) as bundle:
            bundle.writestr(_NOTE, note.model_dump_json(indent=1))
            bundle.writestr(_RECIPE, to_yaml(_without_places(recipe)))
            with bundle.open(_JOURNAL, "w", force_zip64=True) as journal, open(run.events, "rb") as lines:
                for line in lines:
                    journal.write(_without_log(line))
            for path in files:
                bundle.write(path, path.relative_to(run.path).as_posix())
            if checkpoint is not None:
                _write_weights(bundle, run, checkpoint)
                if run.initial_weights.is_dir():
                    _write_weights(bundle, run, run.initial_weights)
    except FileNotFoundError as error:
        raise problem(
            "bundle.incomplete",
            N_("The folder of this run isn't complete: {file} is missing."),
            N_("It was copied or moved only in part, or files in it were deleted."),
            N_("Bundle it without the data, or copy the whole folder once more from where it was."),
            file=Path(str(error.filename)).name,
        ) from error
    except OSError as error:
        raise cannot_write(out, error) from error
    return out.stat().st_size


def _without_places(recipe: Recipe) -> Recipe:
    """The recipe with names in place of paths: they tell another computer nothing, and others who works here."""
    values = {"data.path": Path(recipe.data.path).name} if Path(recipe.data.path).is_absolute() else {}
    if recipe.model.source is Source.folder:
        values["model.name"] = Path(recipe.model.name).name
    if recipe.model.parent:
        values["model.parent"] = Path(recipe.model.parent).name
    return with_values(recipe, values)


def _without_log(line: bytes) -> bytes:
    if b'"type":"crashed"' not in line:
        return line
    try:
        event = EVENT.validate_json(line)
    except ValidationError:
        return line
    if isinstance(event, Crashed):
        event = event.model_copy(update={"log_end": ""})
    return event.model_dump_json().encode() + b"\n"


def _write_weights(bundle: zipfile.ZipFile, run: RunFolder, folder: Path) -> None:
    """Uncompressed: weights hardly shrink, and so nothing in it can unpack to more than the bundle's own size."""
    place = folder.relative_to(run.path).as_posix()
    manifest = read_manifest(folder)
    assert manifest is not None
    files = []
    for file in manifest.files:
        name = f"{place}/{file.name}"
        if file.name in TRAINING_STATE or not _WEIGHTS.fullmatch(name):
            continue
        if file.name == ADAPTER_CONFIG:
            config = json.loads((folder / file.name).read_bytes())
            base = Path(str(config["base_model_name_or_path"]))
            config["base_model_name_or_path"] = base.name if base.is_absolute() else str(base)
            told = json.dumps(config, indent=2).encode()
            file = File(name=file.name, size=len(told), sha256=hashlib.sha256(told).hexdigest())
            bundle.writestr(name, told, zipfile.ZIP_STORED)
        else:
            bundle.write(folder / file.name, name, zipfile.ZIP_STORED)
        files.append(file)
    left = replace(manifest, files=tuple(files))
    bundle.writestr(f"{place}/{MANIFEST}", json.dumps(asdict(left), indent=1), zipfile.ZIP_STORED)


def open_bundle(file: Path, project: Project, model: ModelChoice | None = None) -> OpenedBundle:
    """Unpack a bundle as a run of `project`, where it stands in the history with its curves and can be repeated.
    `model` says where its base model is on this computer, if not under the name that it had.

    Nothing in it is trusted: only the parts of a bundle are unpacked, to no more than they may come to, and what is
    damaged is refused whole. Raises `ProblemError`.
    """
    with _opened(file) as bundle:
        parts = _checked_parts(bundle, file)
        note = _read_note(bundle, file)
        require_room(project.runs_folder, sum(part.file_size for part in parts), remedy=Remedy.open_folder)
        name = re.sub(r"[^\w-]+", "-", note.run)[:80].strip("-") or "run"
        place = project.runs_folder / name
        if place.exists():
            place = project.runs_folder / f"{name}-{uuid.uuid4().hex[:4]}"
        try:
            with staged(place, replace=False) as staging:
                for part in parts:
                    target = staging / part.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with bundle.open(part) as packed, open(target, "wb") as unpacked:
                        shutil.copyfileobj(packed, unpacked, 1 << 20)
                _require_sound(RunFolder(staging), file)
                if model is not None:
                    _choose_base(RunFolder(staging), model)
        except OSError as error:
            raise cannot_write(project.runs_folder, error) from error
    return _opened_bundle(RunFolder(place), note)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as bundle:
            yield bundle
    except FileNotFoundError as error:
        raise problem(
            "bundle.missing",
            N_("There is no bundle at {file}."),
            fix=N_("Check the name, or choose the file again."),
            remedy=Remedy.choose_file,
            file=str(file),
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise _damaged(file) from error
    except OSError as error:
        raise problem(
            "bundle.unreadable",
            N_("The bundle {file} can't be read."),
            N_("The computer says: {reason}"),
            N_("Copy it onto this computer, then choose it again."),
            remedy=Remedy.choose_file,
            file=file.name,
            reason=error.strerror or str(error),
        ) from error


def _checked_parts(bundle: zipfile.ZipFile, file: Path) -> list[zipfile.ZipInfo]:
    """What the bundle says that it holds. zipfile unpacks no more of a part than its entry says."""
    parts = bundle.infolist()
    names = [part.filename for part in parts]
    if not {_NOTE, _RECIPE, _JOURNAL} <= set(names):
        raise problem(
            "bundle.no_bundle",
            N_("{file} isn't a bundle of a run."),
            N_("It is a zip file, and recipe, journal or the note that the program puts into bundles aren't in it."),
            N_("Choose a file made with “Bundle for another computer” on the Runs page or by `studio runs bundle`."),
            remedy=Remedy.choose_file,
            file=file.name,
        )
    strange = [part for part in parts if part.filename not in _PARTS and not _WEIGHTS.fullmatch(part.filename)]
    folders = {name.rpartition("/")[0] for name in names if name.startswith("checkpoints/")}
    if strange or len(set(names)) < len(names) or len(folders) > 1:
        raise _strange(file, strange[0].filename if strange else sorted(names)[0])
    large = [
        part
        for part in parts
        if part.file_size
        > min(_PARTS.get(part.filename, part.compress_size), _SMALL + _MOST_PACKED * part.compress_size)
    ]
    if large:
        raise problem(
            "bundle.too_large",
            N_("{part} in {file} would become {size} MB when it is unpacked."),
            N_("Files like that can be made to fill up a computer, so nothing of it was unpacked."),
            N_("Ask where it came from, or have it made once more."),
            remedy=Remedy.choose_file,
            file=file.name,
            part=large[0].filename,
            size=large[0].file_size // 1_000_000,
        )
    return parts


def _most(part: zipfile.ZipInfo) -> int:
    return min(_PARTS.get(part.filename, part.compress_size), _SMALL + _MOST_PACKED * part.compress_size)


def _read_note(bundle: zipfile.ZipFile, file: Path) -> BundleNote:
    try:
        note = BundleNote.model_validate_json(bundle.read(_NOTE))
    except ValidationError as error:
        raise _damaged(file) from error
    if note.format != FORMAT:
        raise other_format("bundle.other_format", note.format, FORMAT)
    return note


def _require_sound(run: RunFolder, file: Path) -> None:
    """Raises `ProblemError` unless recipe and journal can be read and examples and weights are what they were."""
    load(run.recipe)
    run.reader().read_new(thin=b'"type":', thin_to=1)  # its format
    try:
        told = json.loads(run.fingerprint.read_bytes()) if run.fingerprint.exists() else {}
    except (ValueError, RecursionError) as error:
        raise _damaged(file) from error
    for data, key in (
        (run.train_data, "train_sha256"),
        (run.held_out_data, "held_out_sha256"),
        (run.rehearsal_data, "rehearsal_sha256"),
    ):
        if data.exists() and (not isinstance(told, dict) or sha256_of(data) != told.get(key)):
            raise _damaged(file)
    for weights in (*run.checkpoints.glob("*"), *run.path.glob(run.initial_weights.name)):
        manifest = read_manifest(weights)
        names = {path.name for path in weights.iterdir()} - {MANIFEST}
        if manifest is None or {part.name for part in manifest.files} != names or not is_intact(weights, fully=True):
            raise _damaged(file)
        _require_plain_adapter(weights / ADAPTER_CONFIG, file)


def _choose_base(run: RunFolder, model: ModelChoice) -> None:
    """Raises `ProblemError` where it isn't the model that the run was trained on."""
    base_of_run(run, model)
    recipe = load(run.recipe)
    chosen = model.model_copy(update={"parent": recipe.model.parent})
    run.recipe.write_text(to_yaml(recipe.model_copy(update={"model": chosen})), encoding="utf-8")


def _require_plain_adapter(config: Path, file: Path) -> None:
    try:
        told = json.loads(config.read_bytes()) if config.exists() else {}
        strange = unknown_settings(told)
    except (ValueError, RecursionError, AttributeError) as error:
        raise _damaged(file) from error
    if strange:
        raise _strange(file, f"{config.name}: {strange[0]}")


def _strange(file: Path, part: str) -> ProblemError:
    return problem(
        "bundle.strange",
        N_("{file} holds something that no bundle has: {part}."),
        N_("A file like that could harm this computer, so nothing of it was unpacked."),
        N_("Ask where it came from, or have it made once more."),
        remedy=Remedy.choose_file,
        file=file.name,
        part=part[:80],
    )


def _damaged(file: Path) -> ProblemError:
    return problem(
        "bundle.damaged",
        N_("The bundle {file} is damaged."),
        N_("Often a download or a copy was cut short. Nothing of it was unpacked."),
        N_("Copy it once more from where it came from."),
        remedy=Remedy.choose_file,
        file=file.name,
    )


def _opened_bundle(run: RunFolder, note: BundleNote) -> OpenedBundle:
    recipe = load(run.recipe)
    told: list[Sentence] = []
    if note.with_data:
        told.append(sentence(N_("The examples are in the bundle: the run can be repeated with the very same ones.")))
    else:
        told.append(
            sentence(
                N_(
                    "The examples aren't in the bundle: it learned from {data}. Repeat the run with that file, and you "
                    "are told whether the examples are the same."
                ),
                data=recipe.data.path or "?",
            )
        )
    try:
        base_of_run(run, recipe.model)
        model_is_here = True
        told.append(sentence(N_("The base model is on this computer, and it is the same one.")))
    except ProblemError as error:
        model_is_here = False
        told += error.problem.sentences()
    others = [f"{name} {version}" for name, version in note.versions.items() if _installed(name) not in ("", version)]
    if others:
        told.append(
            sentence(
                N_("It was trained with {versions}. Here are other versions, so numbers may differ a little."),
                versions=", ".join(others),
            )
        )
    return OpenedBundle(run, note, model_is_here, tuple(told))


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
