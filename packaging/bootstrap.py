"""Sets the program up and runs it, on a machine that has only Python 3.11 or newer.

    python3 packaging/bootstrap.py demo     install, then teach the starter model the sample and show the difference
    python3 packaging/bootstrap.py app      install, then open the window
    python3 packaging/bootstrap.py test     install, then run the tests
    python3 packaging/bootstrap.py check    lint, types, import contracts and tests, as the build server does
    python3 packaging/bootstrap.py bench    install, then measure speed and memory

Words after the command go on to what is run. Only the standard library is used here. This file keeps to words that
an old Python can read, so that it can say what is missing instead of failing on its own syntax.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the whole point of this file
    sys.stderr.write(
        "This program needs Python 3.11 or newer, and this is Python %d.%d.\n"  # noqa: UP031
        "Install a newer one (python.org, or on Debian and Ubuntu: apt-get install python3), then run this again "
        "with it, for instance: python3.11 packaging/bootstrap.py demo\n" % sys.version_info[:2]
    )
    sys.exit(2)

from commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
