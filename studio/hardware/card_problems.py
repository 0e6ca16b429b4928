"""What the driver's error codes mean for a person."""

from __future__ import annotations

from studio.core.problems import Problem, Remedy
from studio.core.translatable import N_
from studio.hardware import nvml
from studio.hardware.nvml import Code, NvmlError

_WORDS: dict[int, tuple[str, str, str, str]] = {
    Code.NOT_SUPPORTED: (
        "card.not_supported",
        N_("This card doesn't tell how its memory is used."),
        N_("Some cards and virtual machines leave this out. Training works all the same."),
        N_("Nothing needs doing. A newer driver may tell more."),
    ),
    Code.NO_PERMISSION: (
        "card.no_permission",
        N_("Your account isn't allowed to look at the graphics card."),
        N_("The computer's owner has limited who may see it, so its memory isn't shown here."),
        N_("Ask whoever looks after this computer to let your account use the NVIDIA card."),
    ),
    Code.DRIVER_NOT_LOADED: (
        "card.driver_not_loaded",
        N_("The NVIDIA driver is installed but isn't running."),
        N_("Until it runs, this computer can't use its NVIDIA card, and training would run on the processor."),
        N_("Restart the computer. If this stays, install the NVIDIA driver again."),
    ),
    Code.GPU_IS_LOST: (
        "card.lost",
        N_("The graphics card no longer answers."),
        N_("It fell off the computer's bus, was unplugged, got too hot, or lost power. What was saved is safe."),
        N_("Restart the computer. If it happens again, check the card's power cable and its cooling."),
    ),
    Code.RESET_REQUIRED: (
        "card.reset_required",
        N_("The graphics card has to be reset before it can be used again."),
        N_("It stopped after a fault. What was saved is safe."),
        N_("Restart the computer. That resets the card."),
    ),
    Code.LIB_RM_VERSION_MISMATCH: (
        "card.version_mismatch",
        N_("The NVIDIA driver was updated while the computer was on."),
        N_("The old half of it still runs, and the two halves don't fit together. Your card and your files are fine."),
        N_("Restart the computer."),
    ),
    Code.FUNCTION_NOT_FOUND: (
        "card.old_driver",
        N_("The NVIDIA driver is too old for this program."),
        N_("It doesn't know how to tell what the card does."),
        N_("Install the newest NVIDIA driver for this card, then restart the computer."),
    ),
}


def card_problem(code: int) -> Problem:
    """The `Problem` for an error code of the driver's library; codes without words of their own keep the number."""
    words = _WORDS.get(code)
    if words is None:
        return Problem(
            code="card.unknown",
            what=N_("The graphics card couldn't be read, and the driver doesn't say why."),
            why=N_("The driver's answer was error {number}. What was saved is safe."),
            fix=N_("Restart the computer. If this stays, install the NVIDIA driver again."),
            values={"number": int(code)},
            remedy=Remedy.try_again,
        )
    name, what, why, fix = words
    again = code in (Code.DRIVER_NOT_LOADED, Code.GPU_IS_LOST, Code.RESET_REQUIRED, Code.NO_PERMISSION)
    return Problem(code=name, what=what, why=why, fix=fix, remedy=Remedy.try_again if again else None)


def card_failure() -> Problem | None:
    """Why no process can compute on this computer's cards before it was restarted: one of them is lost or has to be
    reset, or the driver doesn't fit. None where all of them answer, or there is none."""
    codes = []
    try:
        nvml.open_library()
    except NvmlError as error:
        codes.append(error.code)
    else:
        for index in range(nvml.count()):
            try:
                nvml.memory(nvml.handle(index), version=1)
            except NvmlError as error:
                codes.append(error.code)
        nvml.close_library()
    for code in codes:
        if code in (Code.GPU_IS_LOST, Code.RESET_REQUIRED, Code.LIB_RM_VERSION_MISMATCH):
            return card_problem(code)
    return None
