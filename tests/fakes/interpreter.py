"""A program that, started in place of Python, plays the engine's part: real processes, journals and commands, no model.
The worker and the supervisor of a training stay the real ones."""

from __future__ import annotations

import sys
from pathlib import Path


def stand_in_python(folder: Path, engine: Path) -> str:
    """Write the program into `folder`; set `sys.executable` to it. `engine` is run for everything that is no worker and
    no supervisor, with the same words."""
    script = folder / "stand-in-python"
    supervisor = (
        f"import sys; sys.executable = '{script}'; "
        "from studio.runs.supervisor import main; sys.exit(main(sys.argv[1:]))"
    )
    script.write_text(
        "#!/bin/sh\n"
        f'[ "$2" = studio.worker ] && exec "{sys.executable}" "$@"\n'
        f'[ "$2" = studio.runs.supervisor ] && exec "{sys.executable}" -c "{supervisor}" "$3"\n'
        f'exec "{sys.executable}" "{engine}" "$@"\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    return str(script)
