"""Every verb of the window without the window.

Exit codes: 0 done, 1 a negative answer (no better, something missing), 2 a problem. With `--json` the answer is one
JSON document on standard output; sentences for people go to standard error.
"""

from __future__ import annotations

import sys

from studio.cli.parser import parser, run_verb


def main(argv: list[str]) -> int:
    """Run one verb. Never raises for what can be expected to go wrong."""
    arguments = parser().parse_args(argv)
    from studio.core.problems import ProblemError  # not before a call for help was answered

    try:
        return run_verb(arguments)
    except ProblemError as error:
        from studio.cli.printing import print_problem

        print_problem(error.problem, as_json=arguments.json)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 0
