"""Following a child process from a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

from studio.cli.progress import Progress
from studio.core.events import Crashed, Failed
from studio.core.problems import ProblemError
from studio.core.run_folder import JobFolder, StateT
from studio.runs.command import end_forcefully, stop
from studio.runs.follow import follow
from studio.runs.start import JobProcess


def follow_to_the_end(
    folder: JobFolder, process: JobProcess, new_state: Callable[[], StateT], *, quiet: bool = False, known: int = 0
) -> StateT:
    """Show a job until it ends, folded into a state of its kind. Raises ProblemError for a job that failed or crashed.

    The first `known` events of its journal, from before it went on, aren't shown again. Ctrl-C once asks it to stop and
    keep what it has; twice ends it by force.
    """
    state = new_state()
    asked, seen = False, 0
    batches = follow(folder, process)
    with Progress(quiet=quiet) as progress:
        while True:
            try:
                for batch in batches:
                    for event in batch:
                        state.apply(event)
                        seen += 1
                        if seen > known:
                            progress.show(event)
                break
            except KeyboardInterrupt:
                if asked:
                    end_forcefully(folder)
                else:
                    print("Stopping; what was learned is kept. Press Ctrl-C again to end at once.", file=sys.stderr)
                    stop(folder)
                asked = True
                batches = follow(folder, process)
                state = new_state()
                progress = Progress(quiet=True)
    if isinstance(state.ending, Failed | Crashed):
        raise ProblemError(state.ending.problem)
    return state
