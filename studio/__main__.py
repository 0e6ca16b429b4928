"""`python -m studio`: without words the window, with words the command line."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # nothing that happens to be installed joins in


def main() -> int:
    """Exit code 0 when done, 1 for a negative answer, 2 for a problem."""
    if len(sys.argv) > 1 and not sys.argv[1].startswith("--report-start"):
        try:
            from studio import cli

            return cli.main(sys.argv[1:])
        except KeyboardInterrupt:  # while it was still being loaded
            sys.stderr.write("Stopped.\n")
            return 2
    try:
        from studio.ui.app import main as open_window
    except ImportError as error:
        if "studio" in str(error.name or "").split("."):
            raise
        sys.stderr.write(
            f"The window can't be opened: {error}\nRun `python3 packaging/bootstrap.py app` to repair this.\n"
        )
        return 2
    if sys.platform == "linux" and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))):
        sys.stderr.write(
            "There is no screen to open the window on.\n"
            "Without one, use the command line: studio --help shows its words.\n"
        )
        return 2
    return open_window()


if __name__ == "__main__":
    sys.exit(main())
