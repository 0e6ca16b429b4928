"""`studio queue`: runs that wait for their turn, and starting them."""

from __future__ import annotations

import argparse
import time
from datetime import datetime
from pathlib import Path

from studio.cli.choosing import chosen_project, chosen_recipe, chosen_run, with_flags
from studio.cli.printing import print_json, print_table
from studio.cli.training import examined, facts
from studio.core.problems import problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.run_state import headline
from studio.core.translatable import N_
from studio.hardware.gauge import Gauge
from studio.runs import queue
from studio.runs.create import create_run
from studio.runs.measurements import record
from studio.runs.queue_file import AtOnce, AtTime, Entry, Queue, When, WhenFree, name_of, read_queue
from studio.runs.variants import create_variants, group_of, variants

LOOK_EVERY = 1.0
"""Seconds between two looks at a queue that is waited for."""

STATUS_WORDS: dict[queue.EntryStatus, str] = {
    "waiting": "waiting",
    "held": "held",
    "running": "running",
    "paused": "paused",
    "interrupted": "interrupted, goes on by itself",
    "unusable": "can't be started",
    "ended": "ended",
}


def list_queue(arguments: argparse.Namespace) -> int:
    """What waits, in its order."""
    _print_queue(read_queue(), as_json=arguments.json)
    return 0


def add(arguments: argparse.Namespace) -> int:
    """Put a recipe's run, or several that differ, or a run that is there already, at the end of the queue."""
    when = _when(arguments)
    word = Path(arguments.recipe).expanduser()
    group = ""
    if word.is_dir() or not (word.exists() or word.suffix):
        if arguments.variants:
            raise problem(
                "queue.variants_of_run",
                N_("A run that is there already has its settings."),
                fix=N_("Give a recipe together with --variants."),
            )
        runs = [chosen_run(arguments.recipe)]
    else:
        recipe = chosen_recipe(arguments)
        recipes = variants(recipe, _values(arguments.variants)) if arguments.variants else (recipe,)
        data = examined(recipe, arguments.json, arguments.anyway)
        project = chosen_project(arguments.project or recipe.name or word.stem)
        recipes = tuple(one.model_copy(update={"data": data.recipe.data}) for one in recipes)
        if len(recipes) == 1:
            runs = [create_run(project, recipes[0], data.table, data.examples, facts())]
        else:
            runs, made = create_variants(project, recipes, data.table, data.examples, facts())
            group = made.id
    changed = queue.add(runs, when, group=group, held=arguments.hold, processes=arguments.processes)
    queue.ensure_runner()
    _print_queue(changed, as_json=arguments.json)
    return 0


def edit(arguments: argparse.Namespace) -> int:
    """Change when an entry starts, or settings of a run that wasn't begun yet."""
    run = _chosen(arguments.run).run
    before = load(RunFolder(run).recipe)
    recipe = with_flags(before, arguments)
    if recipe != before:
        queue.edit(run, recipe)
    if arguments.at or arguments.when_free or arguments.at_once:
        queue.reschedule(run, _when(arguments))
    return _changed(arguments)


def move(arguments: argparse.Namespace) -> int:
    queue.move(_chosen(arguments.run).run, arguments.position - 1)
    return _changed(arguments)


def remove(arguments: argparse.Namespace) -> int:
    """Take a run out of the queue; its folder stays."""
    queue.remove(_chosen(arguments.run).run)
    return _changed(arguments)


def hold(arguments: argparse.Namespace) -> int:
    queue.hold(_chosen(arguments.run).run)
    return _changed(arguments)


def release(arguments: argparse.Namespace) -> int:
    queue.release(_chosen(arguments.run).run)
    return _changed(arguments)


def run(arguments: argparse.Namespace) -> int:
    """Go on with the queue. 0 when all that ran is finished, 1 when not, or when nothing waits."""
    if not queue.ensure_runner():
        _print_queue(read_queue(), as_json=arguments.json)
        return 1
    if arguments.detach:
        _print_queue(read_queue(), as_json=arguments.json)
        return 0
    seen = _follow(quiet=arguments.json)
    queue.take_result()  # it is told here
    left = {entry.run: entry for entry in queue.settled(read_queue()).entries}
    outcomes = {path: _outcome(path, left.get(path)) for path in seen if path not in left or not left[path].held}
    for path, one in outcomes.items():
        if one == "finished":
            record(RunFolder(path))
    if arguments.json:
        told = [{"run": str(path), "name": name_of(path), "outcome": one} for path, one in outcomes.items()]
        print_json({"runs": told})
    else:
        print_table([("run", "name", "outcome"), *((p.name, name_of(p), one) for p, one in outcomes.items())])
        for made in _groups([path for path, one in outcomes.items() if one == "finished"]):
            print(f"Compare them: studio runs compare {' '.join(path.name for path in made)}")
    return 0 if all(one == "finished" for one in outcomes.values()) else 1


def _follow(*, quiet: bool) -> list[Path]:
    """Tell what changes until nothing waits or goes on any more; the runs that were in the queue meanwhile. Ctrl-C
    leaves the runner and its runs at work."""
    known: dict[Path, queue.EntryStatus] = {}
    while True:
        now: dict[Path, queue.EntryStatus] = dict.fromkeys(known, "ended")
        now.update({entry.run: queue.status_of(entry) for entry in read_queue().entries})
        for path, status in now.items():
            if known.get(path) != status and not quiet:
                text = headline(RunFolder(path).state()).english() if status == "ended" else STATUS_WORDS[status]
                print(f"{name_of(path)}: {text}", flush=True)
        known = now
        if not any(status in queue.GOING for status in now.values()):
            return list(known)
        queue.ensure_runner()
        time.sleep(LOOK_EVERY)


def _groups(paths: list[Path]) -> list[list[Path]]:
    """Those of the runs that were made to be compared."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        group = group_of(RunFolder(path))
        if group is not None:
            found.setdefault(group.id, []).append(path)
    return [made for made in found.values() if len(made) > 1]


def _outcome(path: Path, entry: Entry | None) -> str:
    if entry is not None:
        return STATUS_WORDS[queue.status_of(entry)]
    ending = RunFolder(path).state().ending
    return ending.type if ending is not None else "failed"


def _changed(arguments: argparse.Namespace) -> int:
    queue.ensure_runner()
    _print_queue(read_queue(), as_json=arguments.json)
    return 0


def _chosen(word: str) -> Entry:
    """An entry by its place counted from 1, or by its run as everywhere. Raises ProblemError."""
    entries = read_queue().entries
    if word.isdecimal() and 1 <= int(word) <= len(entries):
        return entries[int(word) - 1]
    matching = [entry for entry in entries if entry.run.name.startswith(word)]
    if len(matching) == 1:
        return matching[0]
    if word.isdecimal() and len(word) < 5:
        raise problem(
            "queue.no_such_place",
            N_("There is no place {word} in the queue; its last one is {count}."),
            fix=N_("`studio queue list` shows them."),
            word=word,
            count=len(entries),
        )
    return read_queue().entry(chosen_run(word).path)


def _when(arguments: argparse.Namespace) -> When:
    if arguments.at:
        return AtTime(at=queue.next_clock_time(arguments.at, datetime.now()))
    return WhenFree() if arguments.when_free else AtOnce()


def _values(given: list[str]) -> dict[str, list[object]]:
    """From `training.learning_rate=1e-4,2e-4`."""
    found: dict[str, list[object]] = {}
    for one in given:
        key, equals, values = one.partition("=")
        if not equals or not values:
            raise problem(
                "queue.no_variants",
                N_("{given} doesn't say which values of which setting to try."),
                fix=N_("Write it as training.learning_rate=1e-4,2e-4,5e-4."),
                given=one,
            )
        found[key] = [None if value in ("automatic", "auto") else value.strip() for value in values.split(",")]
    return found


def _print_queue(found: Queue, *, as_json: bool) -> None:
    entries = [(entry, queue.status_of(entry), queue.problem_of(entry)) for entry in found.entries]
    cards = Gauge().read().problem if any(status == "waiting" for _, status, _ in entries) else None
    if as_json:
        print_json(
            {
                "entries": [
                    {
                        "run": str(entry.run),
                        "name": name_of(entry.run),
                        "status": status,
                        "when": entry.when.model_dump(mode="json"),
                        "group": entry.group,
                        "problem": {"code": why.code, "text": why.english()} if why is not None else None,
                    }
                    for entry, status, why in entries
                ],
                "ended": [one.model_dump(mode="json", exclude={"type"}) for one in found.ended],
                "set_aside": [one.english() for one in found.set_aside],
                "cards_problem": cards.english() if cards is not None else None,
            }
        )
        return
    if entries:
        rows = [("place", "run", "name", "how it stands", "starts")]
        rows += [
            (str(place), entry.run.name, name_of(entry.run), STATUS_WORDS[status], _when_words(entry))
            for place, (entry, status, _) in enumerate(entries, start=1)
        ]
        print_table(rows)
    else:
        print("Nothing waits. `studio queue add RECIPE` puts a run into the queue.")
    for _, _, why in entries:
        if why is not None:
            print(why.english())
    for one in (*found.set_aside, *([cards] if cards is not None else [])):
        print(one.english())


def _when_words(entry: Entry) -> str:
    match entry.when:
        case AtTime(at=at):
            return f"{at.astimezone():%Y-%m-%d %H:%M}"
        case WhenFree():
            return "when the card is free"
        case AtOnce():
            return "as soon as it can"
