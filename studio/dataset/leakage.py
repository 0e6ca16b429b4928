"""Which of the examples set aside by one run another one was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from studio.core.problems import ProblemError
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.dataset.examples import Example, read_frozen
from studio.dataset.fingerprint import DataFingerprint
from studio.dataset.split import groups_of


def studied(held_out: Sequence[Example], learned: Sequence[Example]) -> frozenset[int]:
    """Positions in `held_out` of what `learned` holds too: the same question or a near duplicate, by the rule that
    keeps both parts of one run apart."""
    if not held_out or not learned:
        return frozenset()
    groups = groups_of([*held_out, *learned])
    known = set(groups[len(held_out) :])
    return frozenset(position for position in range(len(held_out)) if groups[position] in known)


def studied_by(run: RunFolder, held_out_of: RunFolder, held_out: Sequence[Example]) -> frozenset[int]:
    """Positions in `held_out`, the examples that `held_out_of` set aside, that `run` was trained on, or a run whose
    weights it began with. What is no longer there, or came without its examples, counts as not studied. Reads files.
    """
    found: set[int] = set()
    theirs = DataFingerprint.read(held_out_of)
    for one in _lineage(run):
        data = DataFingerprint.read(one)
        same = data.train_sha256 and (data.train_sha256, data.held_out_sha256) == (
            theirs.train_sha256,
            theirs.held_out_sha256,
        )
        if one != held_out_of and not same and one.train_data.is_file():  # both parts of one run are kept apart
            found |= studied(held_out, read_frozen(one.train_data))
    return frozenset(found)


def _lineage(run: RunFolder) -> list[RunFolder]:
    """`run`, the run whose weights it began with, the one before that, and so on."""
    found = [run]
    while True:
        try:
            parent = load(found[-1].recipe).model.parent
        except ProblemError:
            return found
        before = RunFolder(Path(parent).expanduser()) if parent else None
        if before is None or before in found or not before.recipe.is_file():
            return found
        found.append(before)
