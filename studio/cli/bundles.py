"""`studio runs bundle`, `open-bundle`, `open-adapter`, `repeat` and `export-journal`: runs for and from other computers
and other programs."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from studio.cli.choosing import chosen_model, chosen_project, chosen_run, word_for
from studio.cli.preparing import prepared
from studio.cli.printing import print_json
from studio.cli.training import examined, facts, print_trained, train_run
from studio.core.problems import problem
from studio.core.quantities import counted
from studio.core.recipe.recipe import load, with_value
from studio.core.translatable import N_
from studio.dataset.fingerprint import DataFingerprint, needs_questions
from studio.runs.bundle import open_bundle, write_bundle
from studio.runs.create import create_run, repeat_run
from studio.runs.journal_export import export_csv, export_tensorboard
from studio.runs.open_adapter import open_adapter, set_questions
from studio.runs.project import project_of
from studio.worker.client import WorkerClient


def repeat(arguments: argparse.Namespace) -> int:
    """Train once more with the same settings and the examples that were frozen, or with those of `--data`."""
    run, quiet = chosen_run(arguments.run), arguments.json
    model = chosen_model(arguments.model) if arguments.model else None
    if not arguments.data:
        again = repeat_run(run, project_of(run), model=model)
    else:
        file = str(Path(arguments.data).expanduser().absolute())
        recipe = with_value(load(run.recipe), "data.path", file)
        if model is not None:
            recipe = with_value(recipe, "model", model.model_copy(update={"parent": recipe.model.parent}))
        data = examined(recipe, quiet, arguments.anyway)
        again = create_run(project_of(run), data.recipe, data.table, data.examples, facts())
        same = DataFingerprint.read(again).whole == DataFingerprint.read(run).whole
        if not same and not arguments.anyway:
            shutil.rmtree(again.path)
            raise problem(
                "run.other_data",
                N_("The examples in {file} aren't those that {run} learned from."),
                N_("Rows, columns or fixes differ, or other examples were set aside. Results could not be compared."),
                N_("Choose the very same file, or train anyway with --anyway."),
                file=Path(file).name,
                run=run.path.name,
            )
        if same and not quiet:
            print("The examples are the very same.", file=sys.stderr)
    return print_trained(again, train_run(again, quiet), as_json=quiet)


def bundle(arguments: argparse.Namespace) -> int:
    """A run in one file, for another computer."""
    run = chosen_run(arguments.run)
    out = Path(arguments.out or f"{run.path.name}.zip").expanduser().absolute()
    size = write_bundle(run, out, with_data=arguments.with_data, with_adapter=arguments.with_adapter)
    if arguments.json:
        print_json({"bundle": str(out), "size": size})
    else:
        print(f"{out} ({size / 1e6:,.1f} MB)")
    return 0


def open_run_bundle(arguments: argparse.Namespace) -> int:
    """Put the run of a bundle into a project, and say what it needs to be repeated."""
    file = Path(arguments.file).expanduser().absolute()
    model = chosen_model(arguments.model) if arguments.model else None
    opened = open_bundle(file, chosen_project(arguments.project), model)
    told = [one.english() for one in opened.told]
    if arguments.json:
        print_json({"run": str(opened.run.path), "told": told})
    else:
        print("\n".join([str(opened.run.path), *told]))
        words = ["studio", "runs", "repeat", str(opened.run.path)]
        words += [] if opened.note.with_data else ["--data", "FILE"]
        words += [] if opened.model_is_here else ["--model", "FOLDER"]
        print("To train it once more:", shlex.join(words))
    return 0


def open_foreign_adapter(arguments: argparse.Namespace) -> int:
    """An add-on that another program made becomes a run; with `--data`, with questions to test it."""
    quiet = arguments.json
    base = chosen_model(arguments.base) if arguments.base else None
    project = chosen_project(arguments.project)
    opened = open_adapter(Path(arguments.folder), project, base=base, method=arguments.method)
    questions = None
    if arguments.data:
        file = str(Path(arguments.data).expanduser().absolute())
        with WorkerClient() as worker:
            data = prepared(with_value(load(opened.run.recipe), "data.path", file), worker, quiet=quiet)
        questions = set_questions(opened.run, data.recipe, data.table, data.examples)
    told = [one.english() for one in opened.origin.told]
    if quiet:
        print_json({"run": str(opened.run.path), "new": opened.is_new, "told": told, "questions": questions})
        return 0
    print(opened.run.path)
    print("\n".join(told) if opened.is_new else "It was opened before, and is this run.")
    if questions is not None:
        print(f"{counted(questions, 'question')} to test it with.")
    verbs = ("chat", "export --to merged", *(() if needs_questions(opened.run) else ("test",)))
    print("What can be done with it:", ", ".join(f"studio {verb} {word_for(opened.run)}" for verb in verbs))
    return 0


def export_journal(arguments: argparse.Namespace) -> int:
    """The journal as a sheet, or as curves for TensorBoard."""
    run = chosen_run(arguments.run)
    out = Path(arguments.csv or arguments.tensorboard).expanduser().absolute()
    count = export_csv(run, out) if arguments.csv else export_tensorboard(run, out)
    if arguments.json:
        print_json({"out": str(out), "rows" if arguments.csv else "points": count})
    elif arguments.csv:
        print(f"{out} ({counted(count, 'row')})")
    else:
        print(f"{counted(count, 'point')}. To see them: tensorboard --logdir {out}")
    return 0
