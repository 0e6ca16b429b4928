"""What has to be known before an export goes to the Hub: whether it is one, what its check said, and whose token signs.

A token is kept by the system's own store (Secret Service, Windows Credential Locker, macOS Keychain) and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from studio.core.events import Exported
from studio.core.problems import Problem, ProblemError, Remedy, problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.export.made import made_exports

TOKEN_VARIABLE = "HF_TOKEN"
"""The environment variable in which the Hub's own programs look for a token first."""

TOKEN_PAGE = "https://huggingface.co/settings/tokens"

_SERVICE, _ACCOUNT = "Fine-Tuning Studio", "huggingface.co"


def require_export(folder: Path) -> None:
    """Raises `ProblemError` unless `folder` is an export: a run's folder, for one, holds the examples."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    weights = {"adapter_config.json", "config.json"} & names or any(name.endswith(".gguf") for name in names)
    if not weights or "README.md" not in names or names & {"recipe.yaml", "data", "optimizer.pt"}:
        raise problem(
            "upload.not_an_export",
            N_("There is no export in {folder}."),
            N_("Only what the program exported is uploaded, lest your examples go along."),
            N_("Export the model first, then give the folder that it made."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
        )


def export_in(folder: Path, runs: Iterable[RunFolder]) -> Exported | None:
    """What one of `runs` knows of the export in `folder`, None where none does. Reads journals."""
    inside = [RunFolder(above) for above in folder.absolute().parents if (above / "recipe.yaml").is_file()]
    for run in (*inside, *runs):
        for made in made_exports(run):
            if made.folder.absolute() == folder.absolute():
                return made.exported
    return None


def doubt(exported: Exported | None) -> Problem | None:
    """Why a person should think twice before others get this, None where its check speaks for it."""
    if exported is not None and exported.checks and exported.passed:
        return None
    if exported is not None and exported.checks:
        what = N_("This export failed its check: it doesn't answer as the model that was trained.")
        fix = N_("Export it in another quality or form, or upload it all the same.")
    else:
        what = N_("Nobody has checked whether this export answers as the model that was trained.")
        fix = N_("Export it with the check first, or upload it all the same.")
    return Problem(
        code="upload.not_passed", what=what, why=N_("Whoever downloads it will take it for that model."), fix=fix
    )


def known_token() -> str:
    """The token that the environment holds, else the one that is kept; "" without. May wait for the system's store."""
    return environment_token() or kept_token()


def environment_token() -> str:
    return os.environ.get(TOKEN_VARIABLE, "").strip()


def kept_token() -> str:
    """The token that a person had kept, "" where there is none, or where there is no store."""
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(_SERVICE, _ACCOUNT) or ""
    except KeyringError:
        return ""


def keep_token(token: str) -> None:
    """Put it into the system's store. Raises `ProblemError` where there is none, or it refuses."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(_SERVICE, _ACCOUNT, token)
    except KeyringError as error:
        raise ProblemError(
            Problem(
                code="hub.token_not_kept",
                what=N_("This computer has no safe place for the access token, so it wasn't kept."),
                why=N_("The computer says: {reason}"),
                fix=N_("Give it again next time, or set the environment variable HF_TOKEN."),
                values={"reason": " ".join(str(error).split())[:300]},
            )
        ) from error


def forget_token() -> None:
    """Remove it from the system's store, if it is there."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.delete_password(_SERVICE, _ACCOUNT)
    except KeyringError:
        return
