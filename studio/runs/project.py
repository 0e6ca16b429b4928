"""A project is a folder with one draft recipe and the runs made from it."""

from __future__ import annotations

import json
import re
import time
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from studio.core import paths
from studio.core.problems import ProblemError, other_format
from studio.core.run_folder import RunFolder
from studio.core.storage import cannot_write, write_text
from studio.core.yaml_text import parse_yaml

if TYPE_CHECKING:
    from studio.core.recipe.recipe import Recipe

FORMAT = 1
"""Of projects: `project.yaml` says it."""


RUN_FILES = ("recipe.yaml", "events.jsonl")
"""A folder with one of these is a run. Without the recipe it was half copied, which has to be seen."""


@dataclass(frozen=True)
class _About:
    name: str
    format: int | None


_JSON = re.compile(r"""\s*(\{\s*["}]|\[\s*[\[{"])""")
"""How data written as JSON begins. A chat does otherwise: [10:21] Anna ..., [Anna] [10:21] ..."""


@dataclass(frozen=True)
class Project:
    """Everything of one project is under `folder`: `project.yaml`, `draft.yaml`, `own_questions.json` and `runs/`."""

    folder: Path

    @property
    def name(self) -> str:
        """What people call it; the folder's own name where nothing readable was kept."""
        about = self._about()
        return about.name if about is not None else self.folder.name

    def _about(self) -> _About | None:
        try:
            found = parse_yaml((self.folder / "project.yaml").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
            return None
        if not isinstance(found, dict) or not isinstance(found.get("name"), str):
            return None
        version = found.get("format")
        return _About(found["name"], version if isinstance(version, int) else None)

    def require_known_format(self) -> None:
        """Raises `ProblemError` when another version of the program wrote this project in another format."""
        about = self._about()
        if about is not None and about.format != FORMAT:
            raise other_format("project.other_format", about.format, FORMAT)

    def rename(self, name: str) -> None:
        write_text(
            self.folder / "project.yaml", yaml.safe_dump({"format": FORMAT, "name": name.strip()}, allow_unicode=True)
        )

    def load_recipe(self) -> Recipe:
        """The draft. A missing one is a fresh recipe; one that is damaged or too old to be read is set aside, never
        lost, and a fresh one used. Raises `ProblemError` for what a newer version of the program wrote."""
        from studio.core.recipe.recipe import Recipe, load  # a list of runs asks projects for their names alone

        self.require_known_format()
        draft = self.folder / "draft.yaml"
        if not draft.exists():
            return Recipe()
        try:
            return load(draft)
        except ProblemError as error:
            if error.problem.code == "recipe.newer":
                raise
            draft.replace(self.folder / f"draft-set-aside-{uuid.uuid4().hex[:6]}.yaml")
            return Recipe()

    def save_recipe(self, recipe: Recipe) -> None:
        from studio.core.recipe.recipe import to_yaml

        write_text(self.folder / "draft.yaml", to_yaml(recipe))

    @property
    def own_questions_file(self) -> Path:
        """A person's own questions for the blind test: a JSON list of texts."""
        return self.folder / "own_questions.json"

    def own_questions(self) -> tuple[str, ...]:
        """In the order in which they were added; none where the file can't be read."""
        try:
            found = json.loads(self.own_questions_file.read_bytes())
        except (OSError, ValueError):
            return ()
        return tuple(one for one in found if isinstance(one, str) and one) if isinstance(found, list) else ()

    def set_own_questions(self, questions: Sequence[str]) -> None:
        """Raises `ProblemError` where they can't be kept; those from before are there then."""
        try:
            write_text(self.own_questions_file, json.dumps(questions, ensure_ascii=False, indent=1))
        except OSError as error:
            raise cannot_write(self.own_questions_file, error) from error

    def keep_pasted(self, text: str) -> Path:
        """A file of its own for text that was pasted, named so that what it is can be told. Raises OSError."""
        suffix = ".json" if _JSON.match(text) else ".tsv" if "\t" in text.partition("\n")[0] else ".txt"
        file = self.folder / "pasted" / f"pasted-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    @property
    def runs_folder(self) -> Path:
        return self.folder / "runs"

    def runs(self) -> list[RunFolder]:
        """Newest first, by name: names begin with the time of their making."""
        try:
            folders = sorted(self.runs_folder.iterdir(), key=lambda folder: folder.name, reverse=True)
        except OSError:  # there is none, or nobody may look into it
            return []
        # a dot: half written, or being deleted
        return [RunFolder(folder) for folder in folders if not folder.name.startswith(".") and _is_run(folder)]


def _is_run(folder: Path) -> bool:
    try:
        return any((folder / name).exists() for name in RUN_FILES)
    except OSError:  # nobody may look into it
        return True


def project_of(run: RunFolder) -> Project:
    """The project in whose folder the run lies."""
    return Project(run.path.parent.parent)


def projects() -> list[Project]:
    """All projects, the one changed last first."""
    if not paths.projects().is_dir():
        return []
    found = [Project(p) for p in paths.projects().iterdir() if (p / "project.yaml").is_file()]
    return sorted(found, key=_changed, reverse=True)


def create_project(name: str) -> Project:
    """A new, empty project; two may have the same name."""
    from studio.core.recipe.recipe import Recipe

    folder = paths.projects() / f"{slug(name) or 'project'}-{uuid.uuid4().hex[:6]}"
    try:
        folder.mkdir(parents=True)
        project = Project(folder)
        project.rename(name)
        project.save_recipe(Recipe(name=name[:120]))
    except OSError as error:
        raise cannot_write(paths.projects(), error) from error
    return project


def slug(name: str) -> str:
    """A folder name made of letters and digits of any script, at most 40 long."""
    return re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", name)).strip("-").lower()[:40]


def _changed(project: Project) -> float:
    draft = project.folder / "draft.yaml"
    return draft.stat().st_mtime if draft.exists() else 0.0
