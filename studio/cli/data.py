"""`studio data`: what is in a file, what is wrong with it, fixes, and what a model would read of it."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from studio.cli.fetching import require_data, require_model
from studio.cli.preparing import Prepared, chosen_data, prepared
from studio.cli.printing import Json, print_json, print_table
from studio.core.problems import problem
from studio.core.quantities import counted
from studio.core.recipe.data_choice import Fix
from studio.core.recipe.recipe import Recipe, with_value
from studio.core.translatable import N_
from studio.dataset.quality.report import Finding
from studio.dataset.table import TableInfo
from studio.tokenization.encoded import Encoded, Piece
from studio.worker.client import WorkerClient
from studio.worker.protocol import EncoderSettings, ExampleRead, Opened, OpenTable, ReadExample

NAMED_ROWS = 12


def show(arguments: argparse.Namespace) -> int:
    """Exit code 0 when the file can be used as it is, 1 when the mapping of its columns must be chosen first."""
    choice = chosen_data(arguments)
    require_data(choice, quiet=arguments.json)
    from studio.dataset.store import open_table_at

    with WorkerClient() as worker:
        opened = worker.ask(OpenTable(choice=choice), Opened)
        first = list(islice(open_table_at(opened.table).rows, max(0, arguments.rows)))
    unsure, table = opened.problem, opened.info
    sure = opened.sure and not table.doubts
    mapping = opened.mapping.model_dump(exclude_defaults=True, mode="json")
    if arguments.json:
        print_json(
            {
                **_table(table, opened.rows),
                "mapping": mapping,
                "sure": sure,
                "why": [one.english() for one in opened.why],
                "problem": {"code": unsure.code, "text": unsure.english()} if unsure else None,
                "first_rows": [{name: _json(row.get(name)) for name in table.columns} for row in first],
            }
        )
        return 1 if unsure else 0
    _print_table(table, opened.rows)
    for why in opened.why:
        print(why.english())
    if not sure:
        print("Please check that this is right; --mapping chooses other columns.")
    print_table([("column", "role"), *((column, _role_of(column, mapping)) for column in table.columns)])
    for number, row in enumerate(first, 1):
        print(f"\n{number}.")
        for column in table.columns:
            print(f"  {column}: {_short(row.get(column))}")
    if unsure:
        print("\n" + unsure.english())
    return 1 if unsure else 0


def check(arguments: argparse.Namespace) -> int:
    """What the data check finds. 0 whatever that is; a file that can't be used raises, which is exit code 2."""
    with WorkerClient() as worker:
        data = prepared(Recipe(data=chosen_data(arguments)), worker, quiet=arguments.json)
    if arguments.json:
        print_json(as_json(data))
        return 0
    _print_table(data.opened.info, data.opened.rows)
    for why in data.opened.why:
        print(why.english())
    for note in data.built.about.notes:
        print(note.english())
    if not data.opened.sure:
        print("Please check that this mapping is right:", data.recipe.data.mapping.model_dump(exclude_defaults=True))
    print(f"\n{counted(data.built.count, 'example')}, {data.report.held_out:,} of them set aside for checking.")
    for finding in data.report.findings:
        mark = {"stop": "x", "warn": "!", "note": "i"}[finding.severity]
        print(f"{mark} {finding.what.english()} {finding.why.english()}")
        if finding.rows:
            rows = ", ".join(map(str, finding.rows[:NAMED_ROWS]))
            print(f"    rows {rows}{', ...' if finding.count > NAMED_ROWS else ''}")
        if finding.fixes:
            print(f"    fix with --do {' or --do '.join(finding.fixes)}")
    print(f"\nGrade: {data.report.grade}. {data.report.advice.english()}")
    print(f"Looked for: {', '.join(data.report.looked_for)}.")
    print(f"Not looked for: {', '.join(data.report.not_looked_for)}.")
    return 0


def fix(arguments: argparse.Namespace) -> int:
    """Apply fixes and write the examples to a new file; the original is never touched."""
    from studio.dataset.export import export_examples

    choice = chosen_data(arguments)
    out = Path(arguments.out).expanduser()
    with WorkerClient() as worker:
        before = prepared(Recipe(data=choice), worker, quiet=arguments.json)
        steps = [Fix(do=_fix_for(code, before.report.findings)) for code in arguments.do]
        fixed = choice.model_copy(update={"mapping": before.recipe.data.mapping, "fixes": tuple(steps)})
        after = prepared(Recipe(data=fixed), worker, quiet=arguments.json)
    escaped = export_examples(after.examples, out)
    if arguments.json:
        print_json(
            {
                "out": str(out.absolute()),
                "before": before.built.count,
                "after": after.built.count,
                "steps": [step.model_dump(exclude={"excerpts"}) for step in after.built.about.steps],
                "escaped_cells": escaped,
                "grade": after.report.grade,
                "findings": [_finding(finding) for finding in after.report.findings],
            }
        )
        return 0
    for step in after.built.about.steps:
        print(f"{step.do}: {step.changed:,} changed, {step.dropped:,} left out")
    print(f"{counted(before.built.count, 'example')} before, {after.built.count:,} after. Grade: {after.report.grade}.")
    if escaped:
        print(f"{escaped:,} cells that begin like a formula got an apostrophe in front.")
    print(out.absolute())
    return 0


def read(arguments: argparse.Namespace) -> int:
    """One example exactly as the trainer hands it to the model."""
    from studio.cli.choosing import chosen_model
    from studio.models.base_model import locate

    model = chosen_model(arguments.model)
    require_model(model, quiet=arguments.json)
    with WorkerClient() as worker:
        recipe = with_value(Recipe(data=chosen_data(arguments)), "objective.kind", arguments.objective)
        data = prepared(recipe, worker, quiet=arguments.json)
        number = arguments.example
        if not 1 <= number <= data.built.count:
            raise problem(
                "data.no_such_example",
                N_("There is no example {number}."),
                N_("There are {count} of them, counted from 1."),
                N_("Choose a number from 1 to {count}."),
                number=number,
                count=data.built.count,
            )
        encoder = EncoderSettings(
            model=locate(model),
            max_length=arguments.max_length,
            loss_on=arguments.loss_on,
            truncation=arguments.truncation,
            pairs=arguments.objective == "dpo",
        )
        shown = worker.ask(
            ReadExample(examples=data.built.examples, position=number - 1, encoder=encoder),
            ExampleRead,
        )
    parts = [_part(one, pieces, shown.limit) for one, pieces in zip(shown.encoded, shown.pieces, strict=True)]
    if arguments.json:
        first = parts[0] if parts else {}
        print_json(
            {
                "example": number,
                "row": data.examples.rows[number - 1],
                "limit": shown.limit,
                **first,
                "parts": parts,
                "adaptations": [one.english() for one in shown.adaptations],
            }
        )
        return 0
    for encoded, pieces in zip(shown.encoded, shown.pieces, strict=True):
        for piece in pieces:
            print(
                {"read": "  ", "learned": "> ", "cut": "x ", "avoided": "< "}[piece.kind]
                + piece.text.replace("\n", "\n  ")
            )
        print(
            f"\n{len(encoded.ids) + encoded.truncated_tokens} tokens, "
            f"{encoded.label_tokens} {_learned(pieces)}, {encoded.truncated_tokens} cut away (x)"
        )
    for adaptation in shown.adaptations:
        print(adaptation.english())
    return 0


def as_json(data: Prepared) -> dict[str, Json]:
    """Everything that is known of a file and its examples."""
    table, about = data.opened.info, data.built.about
    return {
        **_table(table, data.opened.rows),
        "format": data.recipe.data.mapping.format,
        "mapping": data.recipe.data.mapping.model_dump(exclude_defaults=True, mode="json"),
        "sure": data.opened.sure and not table.doubts,
        "why": [one.english() for one in data.opened.why],
        "examples": data.built.count,
        "notes": [note.english() for note in (*table.notes, *about.notes)],
        "held_out": data.report.held_out,
        "skipped": {
            "count": about.skipped_count,
            "rows": [{"row": one.row, "reason": one.reason.english()} for one in about.skipped[:100]],
        },
        "findings": [_finding(finding) for finding in data.report.findings],
        "grade": data.report.grade,
        "advice": data.report.advice.english(),
        "looked_for": list(data.report.looked_for),
        "not_looked_for": list(data.report.not_looked_for),
    }


def _table(table: TableInfo, rows: int) -> dict[str, Json]:
    return {
        "path": str(table.path),
        "format": table.format,
        "rows": rows,
        "columns": list(table.columns),
        "encoding": table.encoding,
        "delimiter": table.delimiter,
        "sheet": table.sheet,
        "sheets": list(table.sheets),
        "notes": [note.english() for note in table.notes],
        "doubts": list(table.doubts),
    }


def _finding(finding: Finding) -> dict[str, Json]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "count": finding.count,
        "rows": list(finding.rows),
        "what": finding.what.english(),
        "why": finding.why.english(),
        "fixes": list(finding.fixes),
        "excerpts": [{"row": one.row, "text": one.shown} for one in finding.excerpts],
    }


def _part(encoded: Encoded, pieces: tuple[Piece, ...], limit: int) -> dict[str, Json]:
    return {
        "text": encoded.text,
        "tokens": len(encoded.ids) + encoded.truncated_tokens,
        "label_tokens": encoded.label_tokens,
        "cut": {"at": limit, "truncated_tokens": encoded.truncated_tokens} if encoded.truncated_tokens else None,
        "ids": list(encoded.ids),
        "labels": list(encoded.labels),
        "pieces": [{"kind": piece.kind, "text": piece.text} for piece in pieces],
    }


def _fix_for(code: str, findings: tuple[Finding, ...]) -> str:
    """A fix by its own name, or the recommended one for a finding's code."""
    from studio.dataset.quality.checks import FIXES  # with every check, which the worker alone needs otherwise

    if code in FIXES:
        return code
    for finding in findings:
        if finding.code == code and finding.fixes:
            return finding.fixes[0]
    raise problem(
        "data.unknown_fix",
        N_("There is nothing called {name} to fix in this file."),
        N_("The data check names what can be fixed; the fixes are: {fixes}."),
        N_("Look with `studio data check` first."),
        name=code,
        fixes=", ".join(FIXES),
    )


def _print_table(table: TableInfo, rows: int) -> None:
    read_as = [table.format, counted(rows, "row"), table.encoding, table.sheet and f"sheet {table.sheet}"]
    print(f"{table.path}: {', '.join(part for part in read_as if part)}")
    for note in table.notes:
        print(note.english())


def _role_of(column: str, mapping: dict[str, object]) -> str:
    for part, named in mapping.items():
        if named == column or (isinstance(named, list) and column in named):
            return part
    return "-"


def _json(value: object) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _learned(pieces: tuple[Piece, ...]) -> str:
    return "made less likely (<)" if any(piece.kind == "avoided" for piece in pieces) else "learned (>)"


def _short(value: object) -> str:
    text = " ".join(str(value if value is not None else "").split())
    return text if len(text) <= 200 else text[:199] + "…"
