"""Ways to train: which weights change, and how the rest is stored.

A method is one class here, and one file in `studio/engine/methods` that does it. What two methods have in common is
declared in a class that both inherit from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from studio.core.problems import Problem, Remedy
from studio.core.recipe.settings import Setting, SettingsGroup
from studio.core.translatable import N_

MethodName = Literal["full", "lora", "lora-8bit", "qlora"]
"""Methods whose memory can be estimated: those of a recipe by their `kind`, and others that people ask about."""

ALL_LINEAR = ("all-linear",)
"""Target modules: every linear layer but the head."""


@dataclass(frozen=True)
class MethodMemory:
    """What decides, besides its name, how much memory a method needs. `rank` 0 is no adapter at all."""

    rank: int = 0
    targets: tuple[str, ...] = ALL_LINEAR
    double_quantization: bool = False
    dropout: bool = False


class MethodSettings(SettingsGroup):
    """What every method has. `title` is its name, the same in every language; `cannot_merge` says in a sentence why
    what it trained can't be combined with the base into one ordinary model, and is empty where it can."""

    title: ClassVar[str]
    cannot_merge: ClassVar[str] = ""

    compute_dtype: Annotated[
        Literal["bfloat16", "float16", "float32"] | None,
        Setting(
            N_("Number format for computing"),
            N_("Weights are stored small and computed large. Automatic: what is fast on this machine."),
            term="compute dtype",
            named=((N_("bfloat16"), "bfloat16"), (N_("float16"), "float16"), (N_("float32"), "float32")),
        ),
    ] = None

    def default_values(self) -> dict[str, object]:
        """What None means in each of its automatic settings, as far as that follows from the others."""
        return {}

    def memory(self) -> MethodMemory:
        return MethodMemory()

    def form(self) -> dict[str, object]:
        """The settings that decide the form and the weight of what is trained: another run of the same method can go
        on from it where these are the same."""
        return {}

    def merge_refusal(self) -> Problem | None:
        """Why what this method trained can't be merged into its base, None where it can."""
        if not self.cannot_merge:
            return None
        return Problem(
            code="method.cannot_merge",
            what=N_("What was trained with {method} can't be combined with its base model."),
            why=self.cannot_merge,
            fix=N_("Export the add-on instead, or train with LoRA."),
            remedy=Remedy.see_settings,
            values={"method": self.title},
        )


class LoraSettings(MethodSettings):
    """What all methods share that train a LoRA adapter on a base that stays as it is."""

    rank: Annotated[
        int,
        Field(ge=1, le=256),
        Setting(
            N_("Room for new knowledge"),
            N_("Small learns a style, large learns many facts."),
            level="more",
            term="LoRA rank",
            named=((N_("Small"), 8), (N_("Medium"), 16), (N_("Large"), 64)),
        ),
    ] = 16
    alpha: Annotated[
        int | None,
        Field(ge=1, le=1024),
        Setting(
            N_("Weight of what is learned"),
            N_("The add-on is scaled by this divided by the rank. Automatic: twice the rank."),
            term="LoRA alpha",
        ),
    ] = None
    dropout: Annotated[
        float,
        Field(ge=0.0, le=0.5),
        Setting(
            N_("Random forgetting while learning"),
            N_("Leaves out a share of the add-on at each step, which can help very small data."),
            term="LoRA dropout",
            unit=N_("share"),
        ),
    ] = 0.0
    target_modules: Annotated[
        str,
        Setting(
            N_("Layers that learn"),
            N_("all-linear, or names such as q_proj, v_proj. QLoRA matches full training only with all of them."),
            term="target modules",
        ),
    ] = "all-linear"

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.target_modules.split(",") if name.strip()) or ALL_LINEAR

    def default_values(self) -> dict[str, object]:
        return {"alpha": 2 * self.rank}

    def memory(self) -> MethodMemory:
        return MethodMemory(self.rank, self.targets, dropout=self.dropout > 0)

    def form(self) -> dict[str, object]:
        return {"rank": self.rank, "alpha": self.alpha, "target_modules": self.target_modules}


class QLora(LoraSettings):
    """LoRA on a base whose weights are stored in 4 bits."""

    title: ClassVar[str] = "QLoRA"
    choice: ClassVar[str] = N_("On: 4-bit (QLoRA)")

    kind: Literal["qlora"] = "qlora"
    double_quantization: Annotated[
        bool,
        Setting(
            N_("Compress the compression constants too"),
            N_("Saves another 0.37 bit for each parameter of the base model."),
            term="double quantization",
        ),
    ] = True

    def memory(self) -> MethodMemory:
        return MethodMemory(self.rank, self.targets, self.double_quantization, self.dropout > 0)


class Lora(LoraSettings):
    """LoRA on a base in 16 bits."""

    title: ClassVar[str] = "LoRA"
    choice: ClassVar[str] = N_("Off: 16-bit (LoRA)")

    kind: Literal["lora"] = "lora"


def _default_kind(tree: object) -> object:
    return {"kind": "qlora", **tree} if isinstance(tree, dict) else tree


Method = Annotated[
    QLora | Lora,
    Field(discriminator="kind"),
    BeforeValidator(_default_kind),
    Setting(
        N_("Memory saver"),
        N_("4-bit fits a larger model at a very small loss of quality."),
        level="simple",
        term="quantization",
    ),
]
