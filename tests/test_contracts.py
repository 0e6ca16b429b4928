"""What must hold of the code as a whole: who may import whom, how large a file may grow, what is never there."""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "studio").rglob("*.py"))

HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "pandas",
    "peft",
    "bitsandbytes",
    "trl",
    "accelerate",
    "scipy",
    "sklearn",
)
"""What takes seconds and hundreds of megabytes to import, and so stays out of the window and the command line."""

SERVERS = ("socketserver", "http.server", "xmlrpc.server", "wsgiref", "flask", "fastapi", "uvicorn", "aiohttp.web")
TELEMETRY = ("sentry_sdk", "posthog", "segment", "analytics", "opentelemetry", "wandb", "mlflow", "comet_ml", "trackio")
ENDPOINT = "studio/runs/endpoint/server.py"
"""The one place that listens, where a person has switched it on: `tests/runs/test_endpoint.py`."""
LISTENING = ("QTcpServer", "QLocalServer", "QWebSocketServer", "create_server", "start_server", "listen")


def test_the_import_contracts_hold() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout[-3000:] + outcome.stderr[-1000:]


@pytest.mark.parametrize("module", ["studio.ui.app", "studio.ui.main_window", "studio.cli", "studio.__main__"])
def test_a_fresh_interpreter_imports_it_without_torch_and_its_kind(module: str) -> None:
    code = f"import sys, {module}; print(sorted(m for m in sys.modules if m.partition('.')[0] in {HEAVY!r}))"
    outcome = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    assert outcome.stdout.strip() == "[]"


@pytest.mark.parametrize("page", ["data", "train", "test", "chat", "export", "runs", "settings"])
def test_no_page_imports_torch_and_its_kind(page: str) -> None:
    code = f"import sys, studio.ui.{page}.page; print(sorted(m for m in sys.modules if m in {HEAVY!r}))"
    outcome = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    assert outcome.stdout.strip() == "[]"


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_file_serves_or_reports_home(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    listens = path == ROOT / ENDPOINT
    forbidden = {*TELEMETRY} if listens else {*SERVERS, *TELEMETRY}
    imported = {name for name in _imported(tree) if name in forbidden or name.partition(".")[0] in forbidden}
    assert not imported
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    assert not called & set(LISTENING)


def test_no_file_has_two_subjects() -> None:
    """Over 600 lines a file is about more than one thing."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert not {path.relative_to(ROOT).as_posix(): lines for path, lines in lengths.items() if lines > 600}


@pytest.mark.parametrize(("page", "maker"), [("settings", "reference"), ("sizes", "sizes")])
def test_pages_that_are_written_by_a_command_are_as_the_code_says(page: str, maker: str) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", f"import {maker}, sys; sys.stdout.buffer.write({maker}.page().encode())"],
        cwd=ROOT / "packaging",
        capture_output=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr.decode()[-2000:]
    written = (ROOT / "docs" / f"{page}.md").read_bytes()
    assert written == outcome.stdout, f"docs/{page}.md lags behind: run python packaging/{maker}.py"


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md")))])
def test_links_and_pictures_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in t]
    missing = [t for t in targets if not ((ROOT / page).parent / t).exists()]
    assert not missing, "pictures are made by packaging/screenshots.py"


def test_the_readme_names_every_verb_of_the_command_line() -> None:
    from studio.cli.parser import parser

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = next(a.choices for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert not [verb for verb in verbs if f"`studio {verb}" not in readme]


def test_the_readme_names_every_folder_of_the_program() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in (ROOT / "studio").glob("*/__init__.py")}
    assert not [name for name in folders if f"  {name}/" not in readme]


def test_the_map_has_the_folders_of_the_tree_and_no_others() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = re.findall(r"^\| `([a-z_/]+)` \|", page, re.MULTILINE)
    tree = {path.parent.relative_to(ROOT / "studio").as_posix() for path in (ROOT / "studio").rglob("*/__init__.py")}
    assert sorted(drawn) == sorted(tree)


def test_the_files_that_the_documentation_names_are_there() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        named = re.findall(r"`((?:studio|tests|packaging|resources)/[\w./-]+)`", page.read_text(encoding="utf-8"))
        assert not [name for name in named if not (ROOT / name).exists()], page.name
