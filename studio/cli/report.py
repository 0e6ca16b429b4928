"""`studio report`: one page about a run, as HTML or PDF."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from studio.cli.choosing import run_at_step
from studio.cli.printing import print_json
from studio.core.paths import python_environment
from studio.core.problems import Remedy, problem
from studio.core.recipe.recipe import load
from studio.core.storage import cannot_write, staged_file
from studio.core.translatable import N_, Sentence
from studio.export.made import made_exports
from studio.export.report import CONFIDENTIAL, answered_examples, report_html, report_of, suggested


def report(arguments: argparse.Namespace) -> int:
    """Write a new file. Raises ProblemError."""
    run, out = run_at_step(arguments), Path(arguments.out).expanduser().absolute()
    require_new_report(out)
    made = report_of(run, load(run.recipe), [one.exported for one in made_exports(run)])
    if arguments.examples > 0 and made.facts.exam is not None:
        tested = answered_examples(made.facts.exam)
        chosen = [tested[place] for place in suggested(tested, arguments.examples)]
        made = report_of(run, made.facts.recipe, made.exports, chosen)
    html = report_html(made, Sentence.english)
    try:
        with staged_file(out) as staging:
            if out.suffix.lower() == ".pdf":
                print_pdf(html, staging)
            else:
                staging.write_text(html, encoding="utf-8")
    except OSError as error:
        raise cannot_write(out, error) from error
    if made.examples:
        print(CONFIDENTIAL, file=sys.stderr)
    print_json({"report": str(out), "examples": len(made.examples)}) if arguments.json else print(out)
    return 0


def require_new_report(out: Path) -> None:
    """Raises `ProblemError` where a report can't be written to `out`, or something is there."""
    if out.suffix.lower() not in (".html", ".htm", ".pdf"):
        raise problem(
            "report.unknown_form",
            N_("A report is a page of HTML or a PDF."),
            fix=N_("Give a file whose name ends with .html or .pdf."),
        )
    if out.exists():
        raise problem(
            "report.exists",
            N_("There is already something at {place}."),
            N_("What is there is never overwritten, so that nothing of yours is lost."),
            N_("Choose another name."),
            remedy=Remedy.choose_file,
            place=str(out),
        )


def print_pdf(html: str, file: Path) -> None:
    """By Qt, in a process of its own: the command line has none. Raises ProblemError."""
    command = [sys.executable, "-m", "studio.ui.export.report_pdf", str(file)]
    done = subprocess.run(
        command, input=html.encode(), capture_output=True, env=python_environment(), check=False, timeout=120
    )
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise problem(
            "report.not_printed",
            N_("The report couldn't be printed as a PDF."),
            N_("Qt, which prints it, says: {reason}"),
            N_("Write it as HTML, which every browser prints."),
            reason=last[0][:300],
        )
