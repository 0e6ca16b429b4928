"""The words of the command line. Flags for settings are read from the recipe's declarations.

Nothing is imported that a verb's own words don't need: `studio --help` has to answer at once.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from importlib import import_module
from typing import Any

from studio import __version__

MODULES = {
    "test": "exam",
    "chat": "chatting",
    "compare": "comparing",
    **dict.fromkeys(("fetch", "doctor"), "machine"),
    "serve": "serving",
    **dict.fromkeys(("demo", "recipe", "train"), "training"),
    **dict.fromkeys(("runs list", "runs compare"), "history"),
    **dict.fromkeys(
        ("runs bundle", "runs open-bundle", "runs open-adapter", "runs repeat", "runs export-journal"), "bundles"
    ),
    **dict.fromkeys(("runs continue", "runs pause", "runs extend"), "going_on"),
}
FUNCTIONS = {
    "runs list": "list_all",
    "runs show": "show_run",
    "runs stop": "stop_run",
    "runs open-bundle": "open_run_bundle",
    "runs open-adapter": "open_foreign_adapter",
    "runs export-journal": "export_journal",
    "runs continue": "continue_run",
    "runs pause": "pause_run",
    "queue list": "list_queue",
}
"""Where verbs are done, and by what, where that isn't called as they are."""


class _VerbParser(argparse.ArgumentParser):
    """Its flags are added when its verb is called, since those for settings need the whole recipe."""

    add_flags: Callable[[argparse.ArgumentParser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.add_flags is not None:
            add, self.add_flags = self.add_flags, None
            add(self)
        return super().parse_known_args(args, namespace)


def parser() -> argparse.ArgumentParser:
    """The whole command line; each verb sets `verb` to its name, see `run_verb`."""
    top = argparse.ArgumentParser(
        prog="studio",
        description="Fine-tune language models on your own computer. Without words, the window opens.",
    )
    top.add_argument("--version", action="version", version=f"studio {__version__}")
    verbs = top.add_subparsers(required=True, metavar="VERB", parser_class=_VerbParser)
    _add_verb(verbs, "demo", "train the starter model with the sample and compare")
    _add_verb(verbs, "recipe", "print a recipe to start from", _recipe_flags)
    group = verbs.add_parser("data", help="look at data files, check and fix them")
    data = group.add_subparsers(required=True, metavar="VERB")
    _add_verb(data, "show", "count, columns, first rows and the guessed mapping", _data_show_flags, name="data show")
    _add_verb(data, "check", "what is wrong with the examples, and a grade", _data_flags, name="data check")
    _add_verb(data, "fix", "write fixed examples to a new file", _data_fix_flags, name="data fix")
    _add_verb(data, "read", "one example exactly as a model reads it", _data_read_flags, name="data read")
    _add_verb(verbs, "fit", "will a recipe fit this graphics card, or another one", _fit_flags)
    _add_verb(verbs, "train", "train a model as a recipe says", _train_flags)
    _add_verb(verbs, "compare", "train the same data with several methods, and one table of them", _compare_flags)
    _add_verb(verbs, "test", "answer the examples set aside, as the base model and as trained", _test_flags)
    _add_verb(verbs, "chat", "talk with a trained model", _chat_flags)
    _add_verb(verbs, "serve", "let other programs on this computer ask a trained model", _serve_flags)
    _add_verb(verbs, "export", "make a folder that other programs can open", _export_flags)
    _add_verb(verbs, "report", "one page about a run, for somebody else", _report_flags)
    _add_verb(verbs, "upload", "put an export on the Hugging Face Hub", _upload_flags)
    group = verbs.add_parser("runs", help="runs on this computer")
    runs = group.add_subparsers(required=True, metavar="VERB")
    _add_verb(runs, "list", "all runs, newest first", _runs_list_flags, name="runs list")
    _add_verb(runs, "show", "one run in full", _add_run, name="runs show")
    _add_verb(runs, "stop", "stop a run; what was learned is kept", _runs_stop_flags, name="runs stop")
    text = "go on with a run that was paused, stopped or interrupted"
    _add_verb(runs, "continue", text, _continue_flags, name="runs continue")
    _add_verb(runs, "pause", "pause a run: everything is saved and memory is free", _add_run, name="runs pause")
    _add_verb(runs, "extend", "train a run longer, with more passes over its data", _extend_flags, name="runs extend")
    _add_verb(runs, "compare", "two or more runs: results, and what differs", _runs_compare_flags, name="runs compare")
    _add_verb(runs, "recipe", "print a run's recipe, to change it and train again", _add_run, name="runs recipe")
    _add_verb(runs, "repeat", "train once more from the same examples", _runs_repeat_flags, name="runs repeat")
    _add_verb(runs, "bundle", "a run in one file, for another computer", _runs_bundle_flags, name="runs bundle")
    _add_verb(runs, "open-bundle", "a run from another computer", _runs_open_bundle_flags, name="runs open-bundle")
    _add_verb(
        runs, "open-adapter", "an add-on from another program", _runs_open_adapter_flags, name="runs open-adapter"
    )
    _add_verb(runs, "export-journal", "as a sheet or for TensorBoard", _runs_journal_flags, name="runs export-journal")
    _add_verb(runs, "delete", "put a run into the system's bin", _runs_delete_flags, name="runs delete")
    _add_verb(runs, "clean", "remove save points that nothing needs any more", _runs_clean_flags, name="runs clean")
    group = verbs.add_parser("queue", help="runs that wait for their turn")
    queue = group.add_subparsers(required=True, metavar="VERB")
    _add_verb(queue, "list", "what waits, in its order", name="queue list")
    _add_verb(queue, "add", "put a run at the end of the queue", _queue_add_flags, name="queue add")
    _add_verb(queue, "edit", "change a run that waits, or when it starts", _queue_edit_flags, name="queue edit")
    _add_verb(queue, "move", "put a run at another place in the queue", _queue_move_flags, name="queue move")
    _add_verb(queue, "remove", "take a run out of the queue; its folder stays", _add_entry, name="queue remove")
    _add_verb(queue, "hold", "keep a run from being started", _add_entry, name="queue hold")
    _add_verb(queue, "release", "let a held or paused run wait for its turn again", _add_entry, name="queue release")
    _add_verb(queue, "run", "go on with the queue and wait for its end", _queue_run_flags, name="queue run")
    _add_verb(verbs, "fetch", "bring a model or data set onto this computer", _fetch_flags)
    _add_verb(verbs, "doctor", "what this computer has, and what is missing")
    return top


def run_verb(arguments: argparse.Namespace) -> int:
    """Do what the words say, with the exit code. Imports what this verb needs and nothing else."""
    group, _, word = arguments.verb.partition(" ")
    gc.disable()
    module = import_module(f"studio.cli.{MODULES.get(arguments.verb, MODULES.get(group, group))}")
    gc.enable()
    try:
        return int(getattr(module, FUNCTIONS.get(arguments.verb, word or group))(arguments))
    finally:
        gc.freeze()  # else the end of the process looks through all modules once more: a sixth of a small verb's time


def _add_verb(
    verbs: argparse._SubParsersAction[Any],
    word: str,
    text: str,
    add_flags: Callable[[argparse.ArgumentParser], None] | None = None,
    *,
    name: str = "",
) -> None:
    verb: _VerbParser = verbs.add_parser(word, help=text, description=text)
    verb.add_argument("--json", action="store_true", help="answer with one JSON document")
    verb.add_flags = add_flags
    verb.set_defaults(verb=name or word)


def _train_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("recipe", help="a YAML file saved by the window, or written by hand")
    verb.add_argument("--project", default="", help="the project that keeps the run (default: the recipe's name)")
    verb.add_argument(
        "--from",
        dest="parent",
        default="",
        metavar="RUN",
        help="begin with what that run learned, on its base model and with its method",
    )
    verb.add_argument("--dry-run", action="store_true", help="show the first batch as the trainer makes it, and stop")
    verb.add_argument(
        "--baseline",
        action="store_true",
        help="train nothing: how far the model gets as it is, and with the nearest examples in its prompt",
    )
    verb.add_argument("--anyway", action="store_true", help="train although the data check says it would be wrong")
    _add_placement(verb)
    _add_settings(verb)


def _compare_flags(verb: argparse.ArgumentParser) -> None:
    from studio.core.recipe.method import METHODS

    verb.add_argument(
        "recipe", help="a YAML file as for train; or one of a comparison's runs, or: last, to go on with it"
    )
    verb.add_argument(
        "--methods", default="", metavar="NAME,NAME", help=f"two or more of {', '.join(METHODS)}; or: all"
    )
    verb.add_argument(
        "--budget",
        default="examples",
        metavar="BUDGET",
        help="examples: all read the same ones equally often (default); or minutes of training for each, such as 10m",
    )
    verb.add_argument("--project", default="", help="the project that keeps the runs (default: the recipe's name)")
    verb.add_argument(
        "--anyway", action="store_true", help="also what the data check calls wrong, and what doesn't fit the memory"
    )
    verb.add_argument("--detach", action="store_true", help="don't wait for the end")
    verb.add_argument(
        "--out",
        action="append",
        default=[],
        metavar="FILE",
        help="write the table (.csv or .md) or the plot (.svg); may be given several times",
    )
    _add_settings(verb)


def _recipe_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("data", nargs="?", default="", help="a data file to write into it")
    _add_settings(verb)


def _fit_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("recipe", nargs="?", default="", help="a YAML file; not needed with --table")
    verb.add_argument("--gpu-memory", default="", metavar="SIZE", help="another card's memory, such as 12GiB")
    verb.add_argument(
        "--gpu-capability", default="", metavar="X.Y", help="that card's compute capability, such as 8.6, for --trace"
    )
    verb.add_argument("--longest", type=int, default=None, metavar="TOKENS", help="the longest example, if shorter")
    verb.add_argument("--trace", action="store_true", help="go through the training step itself, without a card")
    verb.add_argument("--table", action="store_true", help="the longest context of known models on known cards")
    _add_settings(verb)


def _data_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("file", help="a file, a folder, or a Hub name")
    for flag in ("sheet", "encoding", "delimiter"):
        verb.add_argument(f"--{flag}", default="", help="instead of what would be found out")
    verb.add_argument("--header-row", type=int, default=None, help="row with the column names, 0 for none")
    verb.add_argument("--split", default="train", help="part of a Hub data set (default train)")
    verb.add_argument("--system-prompt", default="", help="instructions before every example")
    verb.add_argument(
        "--mapping",
        action="append",
        default=[],
        metavar="ROLE=COLUMN",
        help="which column plays which role, such as question=Title; may be given several times",
    )


def _data_show_flags(verb: argparse.ArgumentParser) -> None:
    _data_flags(verb)
    verb.add_argument("--rows", type=int, default=3, help="how many rows to show (default 3)")


def _data_fix_flags(verb: argparse.ArgumentParser) -> None:
    _data_flags(verb)
    verb.add_argument("--do", nargs="+", required=True, metavar="CODE", help="fixes, or codes of findings")
    verb.add_argument("--out", required=True, metavar="FILE", help="a new file: .jsonl, .json or .csv")


def _data_read_flags(verb: argparse.ArgumentParser) -> None:
    from studio.core.recipe.recipe import setting_specs

    _data_flags(verb)
    verb.add_argument("--model", default="starter", help="starter, a model's folder or a Hub name (default starter)")
    verb.add_argument("--example", type=int, default=1, metavar="N", help="which one, counted from 1 (default 1)")
    settings = {one.key: one for one in setting_specs()}
    length = settings["training.max_length"].default
    verb.add_argument("--max-length", type=int, default=length, help=f"where it is cut, in tokens (default {length})")
    for flag, key in (
        ("--loss-on", "training.loss_on"),
        ("--truncation", "data.truncation"),
        ("--objective", "objective.kind"),
    ):
        one = settings[key]
        verb.add_argument(flag, choices=one.choices, default=one.default, help=one.setting.label)


def _chat_flags(verb: argparse.ArgumentParser) -> None:
    from studio.chat.memories import MEMORIES

    _add_run_at_step(verb)
    verb.add_argument("--base", action="store_true", help="talk with the base model, as it was before the training")
    verb.add_argument("--ask", default="", metavar="TEXT", help="one question instead of a conversation")
    verb.add_argument("--conversation", default="", metavar="WORD", help="go on with one: its title, its id, or: last")
    verb.add_argument("--list", action="store_true", help="list the conversations of the run's project")
    verb.add_argument("--not-kept", action="store_true", help="keep nothing of what is said")
    memories = "; ".join(f"{one.name}: {one.title}" for one in MEMORIES)
    verb.add_argument("--memory", default="", choices=["", *(one.name for one in MEMORIES)], help=memories)
    verb.add_argument("--amount", type=int, default=None, metavar="N", help="how much it keeps: questions, or tokens")
    verb.add_argument(
        "--examples", type=int, default=0, metavar="N", help="show it the N nearest training examples first"
    )
    verb.add_argument("--show-prompt", action="store_true", help="print what the model reads, on standard error")
    verb.add_argument("--system-prompt", default="", help="instructions that always hold")
    verb.add_argument("--temperature", type=float, default=0.0, help="0 to 2 (default 0: always the likeliest word)")
    verb.add_argument("--seed", type=int, default=None, metavar="N", help="draw the same words again")
    verb.add_argument("--max-tokens", type=int, default=256, help="longest answer in tokens (default 256)")


def _serve_flags(verb: argparse.ArgumentParser) -> None:
    from studio.runs.endpoint.server import PORT

    _add_run_at_step(verb)
    verb.add_argument("--port", type=int, default=PORT, help=f"where to listen (default {PORT}; 0: any that is free)")
    verb.add_argument(
        "--with",
        dest="others",
        action="append",
        default=[],
        metavar="RUN",
        help="another run on the same base model that can be asked, too; may be given several times",
    )


def _export_flags(verb: argparse.ArgumentParser) -> None:
    from studio.export.destinations import DESTINATIONS
    from studio.export.exporters import COMPARED, EXPORTERS

    verb.add_argument("run", nargs="?", default="", help="a run's folder, the beginning of its name, or: last")
    _add_step(verb)
    wanted = verb.add_mutually_exclusive_group(required=True)
    places = "; ".join(f"{one.name}: {one.title.english()}" for one in DESTINATIONS)
    wanted.add_argument("--to", choices=[one.name for one in DESTINATIONS], help=places)
    wanted.add_argument("--list", action="store_true", help="where it can go: sizes, and which programs are here")
    qualities = dict.fromkeys(quality.name for one in EXPORTERS for quality in one.qualities)
    verb.add_argument("--quality", default="", metavar="NAME", help=f"of a GGUF file: {', '.join(qualities)}")
    verb.add_argument("--out", default="", help="a new folder (default: in the run's exports)")
    verb.add_argument("--name", default="", help="what the program will call it (default: the run's name)")
    asked = f"don't ask the result {COMPARED} questions and compare its answers"
    verb.add_argument("--no-check", action="store_true", help=asked)


def _report_flags(verb: argparse.ArgumentParser) -> None:
    _add_run_at_step(verb)
    verb.add_argument("--out", required=True, metavar="FILE", help="a new file: .html or .pdf")
    verb.add_argument(
        "--examples",
        type=int,
        default=0,
        metavar="N",
        help="put so many examples of the test in: whoever gets the report can read them (default 0)",
    )


def _upload_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("folder", help="what `studio export` made")
    verb.add_argument("repository", metavar="owner/name", help="a new repository, or one in which nothing is")
    verb.add_argument("--public", action="store_true", help="everybody may see it (default: only you)")
    verb.add_argument("--anyway", action="store_true", help="also if its check failed, or it has none")
    verb.add_argument("--keep-token", action="store_true", help="keep the access token in this system's own store")


def _runs_stop_flags(verb: argparse.ArgumentParser) -> None:
    _add_run(verb)
    verb.add_argument("--discard", action="store_true", help="don't save what was learned since the last save point")


def _add_placement(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--cards", default="", metavar="N,N", help="graphics cards that share the work, or: all")
    verb.add_argument(
        "--processes", type=int, default=None, metavar="N", help="so many processes share the work, one a card"
    )
    verb.add_argument("--on", default="", metavar="ADDRESS", help="a Ray cluster, such as ray://192.168.0.5:10001")


def _continue_flags(verb: argparse.ArgumentParser) -> None:
    _add_run(verb)
    _add_placement(verb)


def _extend_flags(verb: argparse.ArgumentParser) -> None:
    _add_run(verb)
    _add_placement(verb)
    verb.add_argument("--epochs", type=float, default=1.0, metavar="N", help="how many more passes (default 1)")


def _queue_add_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("recipe", help="a YAML file as for train, or a run that was interrupted, paused or not started")
    verb.add_argument("--project", default="", help="the project that keeps the run (default: the recipe's name)")
    verb.add_argument("--anyway", action="store_true", help="queue it although the data check says it would be wrong")
    verb.add_argument("--hold", action="store_true", help="don't start it before it is released")
    verb.add_argument(
        "--variants",
        action="append",
        default=[],
        metavar="SETTING=VALUE,VALUE",
        help="a run for each value, to be compared, such as training.learning_rate=1e-4,2e-4,5e-4",
    )
    verb.add_argument("--processes", type=int, default=1, metavar="N", help="wait for so many graphics cards")
    _add_when(verb)
    _add_settings(verb)


def _queue_edit_flags(verb: argparse.ArgumentParser) -> None:
    _add_entry(verb)
    _add_when(verb)
    _add_settings(verb)


def _queue_move_flags(verb: argparse.ArgumentParser) -> None:
    _add_entry(verb)
    verb.add_argument("position", type=int, help="its new place, counted from 1")


def _queue_run_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--detach", action="store_true", help="don't wait for the end")


def _add_entry(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "run", help="a place in the queue, counted from 1, or a run's folder or the beginning of its name"
    )


def _add_when(verb: argparse.ArgumentParser) -> None:
    choices = verb.add_mutually_exclusive_group()
    choices.add_argument("--at", default="", metavar="TIME", help="not before, such as 22:00 or '2026-12-01 22:00'")
    choices.add_argument("--when-free", action="store_true", help="when other programs leave the card alone")
    choices.add_argument("--at-once", action="store_true", help="as soon as no other run is on the card (default)")


def _runs_list_flags(verb: argparse.ArgumentParser) -> None:
    from studio.runs.history import COLUMNS

    verb.add_argument("--search", default="", metavar="WORDS", help="only runs in which all of them stand")
    verb.add_argument("--sort", default="started_at", choices=COLUMNS, help="default: started_at")
    verb.add_argument("--ascending", action="store_true", help="the smallest or oldest first")


def _runs_compare_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", nargs="+", help="folders of runs, beginnings of their names, or: last")


def _runs_repeat_flags(verb: argparse.ArgumentParser) -> None:
    _add_run(verb)
    verb.add_argument("--data", default="", metavar="FILE", help="where the examples aren't in the run's folder")
    verb.add_argument("--model", default="", metavar="FOLDER", help="where the base model is, if not where it was")
    verb.add_argument("--anyway", action="store_true", help="train although these are other examples")


def _runs_bundle_flags(verb: argparse.ArgumentParser) -> None:
    _add_run(verb)
    verb.add_argument("--with-data", action="store_true", help="put the examples in: whoever gets it can read them")
    verb.add_argument("--with-adapter", action="store_true", help="put in what was learned, from the best save point")
    verb.add_argument("--out", default="", metavar="FILE", help="a new zip file (default: the run's name, here)")


def _runs_open_bundle_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("file", help="a zip file made by: studio runs bundle")
    verb.add_argument("--project", default="Bundles", help="the project that keeps the run (default: Bundles)")
    verb.add_argument("--model", default="", metavar="FOLDER", help="where its base model is on this computer")


def _runs_open_adapter_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "folder", help="where peft, Unsloth, LLaMA-Factory, TRL or axolotl saved it (adapter_config.json)"
    )
    verb.add_argument("--base", default="", metavar="FOLDER", help="the base model it belongs to, or its Hub name")
    verb.add_argument(
        "--method", choices=("lora", "qlora"), default=None, help="qlora: it was trained on a base in 4 bits"
    )
    verb.add_argument("--data", default="", metavar="FILE", help="questions with answers, to test it with")
    verb.add_argument("--project", default="Add-ons", help="the project that keeps the run (default: Add-ons)")


def _runs_journal_flags(verb: argparse.ArgumentParser) -> None:
    _add_run(verb)
    out = verb.add_mutually_exclusive_group(required=True)
    out.add_argument("--csv", default="", metavar="FILE", help="every event as a row of a new file")
    out.add_argument("--tensorboard", default="", metavar="FOLDER", help="the curves, for several runs in one folder")


def _runs_delete_flags(verb: argparse.ArgumentParser) -> None:
    _add_run(verb)
    verb.add_argument("--forever", action="store_true", help="delete it at once, where the system has no bin")


def _runs_clean_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", nargs="?", default="", help="only of this run (default: of all that are over)")


def _fetch_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("what", choices=["starter", "llama.cpp", "model", "data"])
    verb.add_argument(
        "name",
        nargs="?",
        default="",
        help="the Hub name, for model and data; for llama.cpp a folder that has its packages, if there is no network",
    )
    verb.add_argument("--revision", default="", help="a branch, tag or commit of a model")
    verb.add_argument("--split", default="train", help="part of a data set (default train)")


def _add_run(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", help="a run's folder, the beginning of its name, or: last")


def _test_flags(verb: argparse.ArgumentParser) -> None:
    from studio.evaluation.measures import MEASURES

    _add_run_at_step(verb)
    verb.add_argument(
        "--measure",
        default="",
        choices=[one.name for one in MEASURES],
        help="what the verdict goes by (default: what fits the wanted answers)",
    )
    verb.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="MODEL",
        help="another run, or an export (a folder or a GGUF file), in the same table; may be given several times",
    )
    verb.add_argument(
        "--beside",
        default="",
        metavar="MODEL",
        help="hold all others against this one: base (default), run, prompted, or a part of another one's name",
    )
    verb.add_argument("--general", action="store_true", help="also ask general questions, to see what it forgot")
    verb.add_argument(
        "--memorised",
        action="store_true",
        help="also look for what it knows by heart: passages of training answers, personal numbers that come back",
    )
    _add_in_prompt(verb, "also ask the untrained model with so many examples in its prompt")


def _add_in_prompt(verb: argparse.ArgumentParser, words: str) -> None:
    verb.add_argument("--in-prompt", type=int, choices=range(33), default=0, metavar="N", help=words)


def _add_run_at_step(verb: argparse.ArgumentParser) -> None:
    _add_run(verb)
    _add_step(verb)


def _add_step(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--step", default="", metavar="N", help="use the save point of that step from now on, or: best")


def _add_settings(verb: argparse.ArgumentParser) -> None:
    from studio.core.recipe.recipe import setting_specs

    group = verb.add_argument_group("settings (each replaces what the recipe says)")
    for one in setting_specs():
        kind = " | ".join(one.choices) if one.choices else one.kind.__name__
        short = [f"--{one.group}"] if one.key.endswith(".kind") else []
        group.add_argument(
            *short,
            f"--{one.key}",
            dest=f"setting:{one.key}",
            metavar=kind.upper() if not one.choices else kind,
            help=one.setting.label.replace("%", "%%") + (f" ({one.setting.term})" if one.setting.term else ""),
        )
