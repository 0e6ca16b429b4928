"""`python -m studio`: without words the window, with words the command line."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

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
    missing = _missing_for_x11()
    if missing:  # Qt would end the process with a message that names neither the package nor the command
        sys.stderr.write(
            f"The window can't be opened: system libraries are missing ({', '.join(missing)}).\n"
            "Run this once, then try again (other systems have these Debian packages under their own names):\n"
            f"  sudo apt-get install -y {' '.join(missing)}\n"
        )
        return 2
    return open_window()


def _missing_for_x11() -> list[str]:
    """Debian packages of the libraries that Qt needs to open the window by X11; empty where it goes another way."""
    platform = os.environ.get("QT_QPA_PLATFORM", "")
    by_x11 = platform.startswith("xcb") or (not platform and not os.environ.get("WAYLAND_DISPLAY"))
    if sys.platform != "linux" or not by_x11:
        return []
    from studio.core.qt_libraries import QT_LIBRARIES, can_be_loaded, missing_libraries

    spec = importlib.util.find_spec("PySide6")
    plugin = Path(spec.origin).parent / "Qt/plugins/platforms/libqxcb.so" if spec is not None and spec.origin else None
    if plugin is None or not plugin.exists() or can_be_loaded(str(plugin)):
        return []
    return missing_libraries(QT_LIBRARIES)


if __name__ == "__main__":
    sys.exit(main())
