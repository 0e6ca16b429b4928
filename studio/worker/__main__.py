"""The worker's process: requests come in on the standard input, replies leave on the standard output."""

from __future__ import annotations

import gc
import os
import sys
import traceback

from studio.core.problems import ProblemError

MOST_MEMORY = 2 << 30
"""Bytes of data that the system refuses beyond; whoever asks ends the process at half of it."""


def main() -> int:
    """Answer until the input ends."""
    _limit_memory()
    # Whatever prints by accident must not end up between the replies.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", newline="\n")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    gc.disable()
    from studio.worker.protocol import REQUEST, Reply, RequestCrashed, RequestRefused
    from studio.worker.server import WorkerServer

    # What was loaded stays, and what a file brings holds no circles: looking through both for something to let go took
    # a tenth of the start and a sixth of the data check.
    gc.freeze()
    gc.set_threshold(100_000)
    gc.enable()

    def say(reply: Reply) -> None:
        out.write(reply.model_dump_json() + "\n")
        out.flush()

    server = WorkerServer(say)
    for line in sys.stdin:
        try:
            server.answer(REQUEST.validate_json(line))
        except ProblemError as error:
            say(RequestRefused(problem=error.problem))
        except BrokenPipeError:
            return 0  # nobody listens any more
        except MemoryError:
            os._exit(137)  # as if the system had killed it: whoever asked has words for that
        except Exception:  # a bug is told like a reply, so that it can be shown with its details
            say(RequestCrashed(traceback=traceback.format_exc()))
    return 0


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return  # Windows: whoever asks watches the memory
    # Private memory, not mapped files: a table on disk may be larger than what may be held.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = MOST_MEMORY if hard == resource.RLIM_INFINITY else min(MOST_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


if __name__ == "__main__":
    sys.exit(main())
