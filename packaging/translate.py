"""The window's other languages: what there is to translate, whether it all is, and the compiled catalogue.

    python packaging/translate.py extract    put new literals into the catalogue, empty; drop those that are gone
    python packaging/translate.py compile    write the .mo that the program reads
    python packaging/translate.py check      list what is missing or wrong; 1 when there is something

A literal is what stands inside `N_("...")` or `tr("...")` in studio/, and the labels and descriptions of the presets.
"""

from __future__ import annotations

import ast
import string
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
RESOURCES = ROOT / "resources"
LANGUAGES = tuple(sorted(folder.name for folder in (RESOURCES / "i18n").iterdir() if folder.is_dir()))
MARKERS = ("N_", "tr")


def catalogue_path(language: str) -> Path:
    return RESOURCES / "i18n" / language / "LC_MESSAGES" / "studio.po"


def literals() -> Iterator[tuple[str, str]]:
    """Every literal that a person can read, with the file it stands in. The same one may come more than once."""
    # read from the syntax tree: Babel's own extractor misses calls that stand inside of f-strings
    for file in sorted((ROOT / "studio").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS and node.args:
                literal = node.args[0]
                if isinstance(literal, ast.Constant) and isinstance(literal.value, str) and literal.value:
                    yield literal.value, file.relative_to(ROOT).as_posix()
    for path in sorted((RESOURCES / "presets").glob("*.yaml")):
        preset = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in ("label", "description"):
            yield preset[key], path.relative_to(ROOT).as_posix()


def _empty(language: str | None = None) -> Catalog:
    return Catalog(
        locale=language,
        project="Fine-tuning studio",
        version="",
        msgid_bugs_address="",
        last_translator="",
        language_team="",
        header_comment="# Written by packaging/translate.py; the translations are made by hand.",
        fuzzy=False,
    )


def template() -> Catalog:
    """All literals in order of file, without translations."""
    catalogue = _empty()
    for text, file in literals():
        # `{name}` is filled in by the program; nothing here is a printf format, whatever it looks like
        message = catalogue.add(text, locations=[(file, 0)])
        message.flags.discard("python-format")
    return catalogue


def read(language: str) -> Catalog:
    path = catalogue_path(language)
    if not path.exists():
        return _empty(language)
    with open(path, "rb") as file:
        return read_po(file, locale=language)


def extract(language: str) -> Catalog:
    """Bring the catalogue's list of literals up to date. Translations of unchanged ones stay."""
    old, new = read(language), _empty(language)
    for message in template():
        if message.id:
            known = old.get(message.id)
            new.add(message.id, known.string if known else "", locations=sorted(set(message.locations)))
    new.creation_date = new.revision_date = old.creation_date
    path = catalogue_path(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    for message in new:
        message.flags.discard("python-format")
    with open(path, "wb") as file:
        write_po(file, new, width=110, include_lineno=False)
    return new


def compiled(language: str) -> None:
    with open(catalogue_path(language).with_suffix(".mo"), "wb") as file:
        write_mo(file, read(language))


def placeholders(text: str) -> set[str]:
    """Names and formats in braces: `{size:.1f}` counts as written, so that a translation keeps the format. One that
    chooses between words, `{count:row|rows}`, may be left out where the count itself stands there."""
    parts = [(name, form or "") for _, name, form, _ in string.Formatter().parse(text) if name is not None]
    shown = [(name, form) for name, form in parts if "|" not in form]
    only_chosen = {name for name, form in parts if "|" in form} - {name for name, _ in shown}
    return {f"{name}:{form}" if form else name for name, form in shown} | only_chosen


def faults(language: str) -> list[str]:
    """What is missing or wrong, one line each."""
    known = read(language)
    wanted = dict(literals())
    found = []
    for text, file in wanted.items():
        message = known.get(text)
        translation = message.string if message else ""
        if not isinstance(translation, str) or not translation.strip():
            found.append(f"not translated: {text!r} ({file})")
        elif placeholders(translation) != placeholders(text):
            found.append(f"other placeholders: {text!r} -> {translation!r}")
    found += [f"no longer in the program: {m.id!r}" for m in known if m.id and m.id not in wanted]
    try:
        with open(catalogue_path(language).with_suffix(".mo"), "rb") as file_:
            built = {m.id: m.string for m in read_mo(file_) if m.id}
    except FileNotFoundError:
        return [*found, "not compiled yet"]
    if built != {m.id: m.string for m in known if m.id and m.string}:
        found.append("the compiled catalogue is older than the text: run `python packaging/translate.py compile`")
    return found


def main(words: list[str]) -> int:
    if words not in (["extract"], ["compile"], ["check"]):
        print(__doc__)
        return 2
    status = 0
    for language in LANGUAGES:
        if words == ["extract"]:
            catalogue = extract(language)
            empty = [m for m in catalogue if m.id and not m.string]
            print(f"{language}: {len(catalogue)} literals, {len(empty)} of them not translated yet")
        elif words == ["compile"]:
            compiled(language)
        else:
            lines = faults(language)
            print("\n".join(lines) or f"{language}: all translated")
            status = 1 if lines else status
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
