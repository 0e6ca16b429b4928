"""The words of the command line. Flags for settings are read from the recipe's declarations."""

from __future__ import annotations

import argparse

from studio import __version__
from studio.cli import data, fit, jobs, machine, training
from studio.core.recipe.recipe import setting_specs


def parser() -> argparse.ArgumentParser:
    """The whole command line; each verb sets `verb` to the function that does it."""
    top = argparse.ArgumentParser(
        prog="studio",
        description="Fine-tune language models on your own computer. Without words, the window opens.",
    )
    top.add_argument("--version", action="version", version=f"studio {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="answer with one JSON document")
    verbs = top.add_subparsers(required=True, metavar="VERB")

    verb = verbs.add_parser("demo", parents=[common], help="teach the starter model with the sample and compare")
    verb.set_defaults(verb=training.demo)

    verb = verbs.add_parser("train", parents=[common], help="teach a model as a recipe says")
    verb.add_argument("recipe", help="a YAML file saved by the window, or written by hand")
    verb.add_argument("--project", default="", help="the project that keeps the run (default: the recipe's name)")
    verb.add_argument("--dry-run", action="store_true", help="show the first batch as the trainer makes it, and stop")
    verb.add_argument("--anyway", action="store_true", help="train although the doctor says that it would be wrong")
    _add_settings(verb)
    verb.set_defaults(verb=training.train)

    verb = verbs.add_parser("recipe", parents=[common], help="print a recipe to start from")
    verb.add_argument("data", nargs="?", default="", help="a data file to write into it")
    _add_settings(verb)
    verb.set_defaults(verb=training.recipe)

    verb = verbs.add_parser("fit", parents=[common], help="will a recipe fit this graphics card, or another one")
    verb.add_argument("recipe", nargs="?", default="", help="a YAML file; not needed with --table")
    verb.add_argument("--gpu-memory", default="", metavar="SIZE", help="another card's memory, such as 12GiB")
    verb.add_argument(
        "--gpu-capability", default="", metavar="X.Y", help="that card's compute capability, such as 8.6, for --trace"
    )
    verb.add_argument("--longest", type=int, default=None, metavar="TOKENS", help="the longest example, if shorter")
    verb.add_argument("--trace", action="store_true", help="go through the training step itself, without a card")
    verb.add_argument("--table", action="store_true", help="the longest context of known models on known cards")
    _add_settings(verb)
    verb.set_defaults(verb=fit.fit)

    group = verbs.add_parser("data", help="look at data files").add_subparsers(required=True, metavar="VERB")
    verb = group.add_parser("show", parents=[common], help="count, columns, first rows and the guessed roles")
    _add_data(verb)
    verb.add_argument("--rows", type=int, default=3, help="how many rows to show (default 3)")
    verb.set_defaults(verb=data.show)
    verb = group.add_parser("check", parents=[common], help="what is wrong with the examples, and a grade")
    _add_data(verb)
    verb.set_defaults(verb=data.check)
    verb = group.add_parser("repair", parents=[common], help="write repaired examples to a new file")
    _add_data(verb)
    verb.add_argument("--do", nargs="+", required=True, metavar="CODE", help="repairs, or codes of findings")
    verb.add_argument("--out", required=True, metavar="FILE", help="a new file: .jsonl, .json or .csv")
    verb.set_defaults(verb=data.repair)
    verb = group.add_parser("read", parents=[common], help="one example exactly as a model reads it")
    _add_data(verb)
    verb.add_argument("--model", default="starter", help="starter, a model's folder or a Hub name (default starter)")
    verb.add_argument("--example", type=int, default=1, metavar="N", help="which one, counted from 1 (default 1)")
    settings = {one.key: one for one in setting_specs()}
    length = settings["training.max_length"].default
    verb.add_argument("--max-length", type=int, default=length, help=f"where it is cut, in tokens (default {length})")
    for flag, key in (("--learn-from", "training.loss_on"), ("--too-long", "data.truncation")):
        one = settings[key]
        verb.add_argument(flag, choices=one.choices, default=one.default, help=one.setting.label)
    verb.set_defaults(verb=data.read)

    group = verbs.add_parser("runs", help="runs on this computer").add_subparsers(required=True, metavar="VERB")
    verb = group.add_parser("list", parents=[common], help="all runs, newest first")
    verb.set_defaults(verb=training.list_runs)
    verb = group.add_parser("show", parents=[common], help="one run in full")
    _add_run(verb)
    verb.set_defaults(verb=training.show_run)
    verb = group.add_parser("stop", parents=[common], help="stop a run; what was learned is kept")
    _add_run(verb)
    verb.add_argument("--discard", action="store_true", help="don't save what was learned since the last save point")
    verb.set_defaults(verb=training.stop_run)

    verb = verbs.add_parser("test", parents=[common], help="answer the examples set aside, before and after")
    _add_run(verb)
    verb.set_defaults(verb=jobs.check)

    verb = verbs.add_parser("chat", parents=[common], help="talk with a taught model")
    _add_run(verb)
    verb.add_argument("--base", action="store_true", help="talk with the model as it was before")
    verb.add_argument("--ask", default="", metavar="TEXT", help="one question instead of a conversation")
    verb.add_argument("--instructions", default="", help="standing instructions")
    verb.add_argument("--creativity", type=float, default=0.0, help="0 to 2 (default 0: always the likeliest word)")
    verb.add_argument("--length", type=int, default=256, help="longest answer in tokens (default 256)")
    verb.set_defaults(verb=jobs.chat)

    verb = verbs.add_parser("export", parents=[common], help="make a folder that other programs can open")
    _add_run(verb)
    verb.add_argument("--to", required=True, choices=["adapter", "merged"], help="the add-on, or one combined model")
    verb.add_argument("--out", default="", help="a new folder (default: in the run's exports)")
    verb.set_defaults(verb=jobs.export)

    verb = verbs.add_parser("fetch", parents=[common], help="bring a model or data set onto this computer")
    verb.add_argument("what", choices=["starter", "model", "data"])
    verb.add_argument("name", nargs="?", default="", help="the Hub name, for model and data")
    verb.add_argument("--revision", default="", help="a branch, tag or commit of a model")
    verb.add_argument("--split", default="train", help="part of a data set (default train)")
    verb.set_defaults(verb=machine.fetch)

    verb = verbs.add_parser("doctor", parents=[common], help="what this computer has, and what is missing")
    verb.set_defaults(verb=machine.doctor)
    return top


def _add_run(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", help="a run's folder, the beginning of its name, or: last")


def _add_data(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("file", help="a file, a folder, or a Hub name")
    for flag in ("sheet", "encoding", "delimiter"):
        verb.add_argument(f"--{flag}", default="", help="instead of what would be found out")
    verb.add_argument("--header-row", type=int, default=None, help="row with the column names, 0 for none")
    verb.add_argument("--split", default="train", help="part of a Hub data set (default train)")
    verb.add_argument("--instructions", default="", help="standing instructions before every example")
    verb.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="PART=COLUMN",
        help="which column plays which part, such as question=Title; may be given several times",
    )


def _add_settings(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("settings (each replaces what the recipe says)")
    for one in setting_specs():
        kind = " | ".join(one.choices) if one.choices else one.kind.__name__
        group.add_argument(
            f"--{one.key}",
            dest=f"setting:{one.key}",
            metavar=kind.upper() if not one.choices else kind,
            help=one.setting.label.replace("%", "%%") + (f" ({one.setting.term})" if one.setting.term else ""),
        )
