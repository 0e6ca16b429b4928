"""`studio data`: what is in a file and how it would be read."""

from __future__ import annotations

import argparse
from itertools import islice

from studio.cli.printing import print_json, print_table
from studio.core.data_choice import DataChoice
from studio.core.problems import ProblemError
from studio.data.readers import open_table
from studio.data.roles import check_roles, guess_roles


def show(arguments: argparse.Namespace) -> int:
    """Exit code 0 when the file can be used as it is, 1 when the roles of its columns must be chosen first."""
    choice = DataChoice(
        path=arguments.file,
        sheet=arguments.sheet,
        encoding=arguments.encoding,
        delimiter=arguments.delimiter,
        split=arguments.split,
    )
    table = open_table(choice)
    roles = guess_roles(table)
    unsure = None
    try:
        check_roles(table, roles)
    except ProblemError as error:
        unsure = error.problem
    first = list(islice(table.rows, max(0, arguments.rows)))
    if arguments.json:
        print_json(
            {
                "path": str(table.path),
                "format": table.format,
                "rows": len(table.rows),
                "columns": list(table.columns),
                "encoding": table.encoding,
                "delimiter": table.delimiter,
                "sheet": table.sheet,
                "sheets": list(table.sheets),
                "roles": roles.model_dump(exclude_defaults=True),
                "notes": [note.english() for note in table.notes],
                "problem": {"code": unsure.code, "text": unsure.english()} if unsure else None,
                "first_rows": [{str(k): _cell(v) for k, v in row.items()} for row in first],
            }
        )
        return 1 if unsure else 0
    read_as = [table.format, f"{len(table.rows):,} rows", table.encoding, table.sheet and f"sheet {table.sheet}"]
    print(f"{table.path}: {', '.join(part for part in read_as if part)}")
    for note in table.notes:
        print(note.english())
    chosen = roles.model_dump(exclude_defaults=True)
    print_table(
        [("column", "role"), *((c, next((r for r, n in chosen.items() if n == c), "-")) for c in table.columns)]
    )
    for number, row in enumerate(first, 1):
        print(f"\n{number}.")
        for column in table.columns:
            print(f"  {column}: {_short(row.get(column))}")
    if unsure:
        print("\n" + unsure.english())
    return 1 if unsure else 0


def _cell(value: object) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _short(value: object) -> str:
    text = " ".join(str(value if value is not None else "").split())
    return text if len(text) <= 200 else text[:199] + "…"
