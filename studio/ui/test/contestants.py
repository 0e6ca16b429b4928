"""Which other models take part in the next test: runs of the project, exports of the run, or any model in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QFileDialog, QWidget

from studio.core.jobs import Contestant, Exam, read_job
from studio.core.run_folder import RunFolder
from studio.dataset.fingerprint import DataFingerprint
from studio.export.made import contestant_at, made_exports
from studio.runs.project import project_of
from studio.ui.controls.layout import Card, FlowWidget, add_all, follow, vbox
from studio.ui.controls.text import button, clear_layout_widget, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL
from studio.ui.state.background import run_in_background

AT_ONCE = 6
"""Models listed at first; the rest come with a button."""


@dataclass(frozen=True)
class Candidate:
    """A model that may take part. `same` says whether its run set the same examples aside, None for an export."""

    contestant: Contestant
    title: str
    same: bool | None = None


@dataclass(frozen=True)
class Candidates:
    """All that may take part, the newest first, and the places of those that took part last time."""

    found: tuple[Candidate, ...]
    last: frozenset[Path]


def candidates_of(run: RunFolder) -> Candidates:
    """Reads the folders of the run and of its neighbours."""
    data = DataFingerprint.read(run)
    found = [
        Candidate(
            Contestant(path=other.path),
            other.path.name,
            bool(data.held_out_sha256) and DataFingerprint.read(other).held_out_sha256 == data.held_out_sha256,
        )
        for other in project_of(run).runs()
        if other != run and other.checkpoints.is_dir() and any(other.checkpoints.iterdir())
    ]
    exports = [
        Candidate(Contestant(path=made.folder, run=run.path), f"{made.folder.parent.name}/{made.folder.name}")
        for made in made_exports(run)
        if made.exported.to != "gguf-adapter"  # llama.cpp can't be asked about it without a file of its base
    ]
    found = [*exports, *sorted(found, key=lambda one: not one.same)]
    last = frozenset(one.path for one in _last_asked(run))
    known = {one.contestant.path for one in found}
    for one in _last_asked(run):
        if one.path not in known and one.path.exists():
            found.append(Candidate(one, one.path.name))
    return Candidates(tuple(found), last)


def _last_asked(run: RunFolder) -> tuple[Contestant, ...]:
    for folder in reversed(run.jobs("exam")):
        try:
            job = read_job(folder)
        except (OSError, ValueError):
            continue
        return job.against if isinstance(job, Exam) else ()
    return ()


class ContestantsCard(Card):
    """A box to tick for each model; those of the last test are ticked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Other models in the same table"), parent)
        self._run: RunFolder | None = None
        self._boxes: dict[Path, tuple[QCheckBox, Contestant]] = {}
        self.words = label(
            tr("Other runs and exports can answer the same questions. What they answered before isn't asked again."),
            "small",
        )
        self._list = vbox(gap=GAP_SMALL)
        self.more = button(tr("Show all"), "link", self._show_all)
        self.more.hide()
        buttons = FlowWidget()
        for one in (
            button(tr("Add a folder\u2026"), "quiet", self._add_folder),
            button(tr("Add a GGUF file\u2026"), "quiet", self._add_file),
        ):
            buttons.flow.addWidget(one)
        add_all(self.body, self.words, self._list, self.more, buttons)

    def show_run(self, run: RunFolder) -> None:
        """List what may take part beside `run`, which is looked for beside the window."""
        if run == self._run:
            return
        self._run = run
        self._clear()

        def found(candidates: Candidates) -> None:
            if run == self._run:
                for one in candidates.found:
                    self.add(one, ticked=one.contestant.path in candidates.last)
                self._fold()

        run_in_background(self, lambda: candidates_of(run), found)

    def chosen(self) -> tuple[Contestant, ...]:
        return tuple(contestant for box, contestant in self._boxes.values() if box.isChecked())

    def add(self, candidate: Candidate, *, ticked: bool) -> None:
        """A box for the candidate, once."""
        place = candidate.contestant.path
        if place in self._boxes:
            self._boxes[place][0].setChecked(ticked)
            return
        notes = {True: tr("same examples set aside"), False: tr("other examples set aside"), None: ""}
        note = notes[candidate.same]
        box = QCheckBox(f"{candidate.title} ({note})" if note else candidate.title)
        box.setToolTip(str(place))
        if candidate.same is False:
            box.setToolTip(tr("What it was trained on isn't asked of it, and that is said."))
        box.setChecked(ticked)
        self._boxes[place] = (box, candidate.contestant)
        self._list.addWidget(box)
        follow(self.more, [made for made, _ in self._boxes.values()])  # made later, the keyboard reaches them in place

    def _clear(self) -> None:
        for box, _ in self._boxes.values():
            clear_layout_widget(box)
        self._boxes = {}
        self.more.hide()

    def _fold(self) -> None:
        hidden = [box for box, _ in list(self._boxes.values())[AT_ONCE:] if not box.isChecked()]
        for box in hidden:
            box.hide()
        self.more.setText(tr("Show {n} more", n=len(hidden)))
        self.more.setVisible(bool(hidden))

    def _show_all(self) -> None:
        for box, _ in self._boxes.values():
            box.show()
        self.more.hide()

    def _add_folder(self) -> None:
        self._take(QFileDialog.getExistingDirectory(self, tr("Choose a run, a model or an add-on")))

    def _add_file(self) -> None:
        place, _ = QFileDialog.getOpenFileName(self, tr("Choose a GGUF file"), "", "GGUF (*.gguf)")
        self._take(place)

    def _take(self, place: str) -> None:
        run = self._run
        if not place or run is None:
            return
        path = Path(place)

        def look() -> Contestant:
            is_run = (path / "recipe.yaml").is_file()
            return Contestant(path=path) if is_run else contestant_at(path, run)

        def found(contestant: Contestant) -> None:
            if run == self._run:
                self.add(Candidate(contestant, path.name), ticked=True)

        run_in_background(self, look, found)
