"""Ways to train: which weights change, and how the rest is stored.

A method is one class here, and one file in `studio/engine/methods` that does it. What two methods have in common is
declared in a class that both inherit from.
"""

from __future__ import annotations

import re
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

ATTENTION = ("attention",)
"""Target modules: the linear layers of attention."""


@dataclass(frozen=True)
class BaseStorage:
    """How the base model is stored while it is trained on: its linear layers in so many `bits`. `quant_type` and
    `double_quantization` only mean something in 4 bits, and are bitsandbytes' own."""

    bits: Literal[4, 8, 16] = 16
    quant_type: Literal["nf4", "fp4"] = "nf4"
    double_quantization: bool = False


@dataclass(frozen=True)
class MethodMemory:
    """What decides, besides its name and how it stores the base, how much memory a method needs. `rank` 0 is no adapter
    at all; `excluded` are names of modules without one, and `excluded_layers` counts whole layers without any."""

    rank: int = 0
    targets: tuple[str, ...] = ALL_LINEAR
    excluded: tuple[str, ...] = ()
    excluded_layers: int = 0
    dropout: bool = False
    dora: bool = False
    embeddings: bool = False


class MethodSettings(SettingsGroup):
    """What every method has. `title` is its name, the same in every language; `cannot_merge` says in a sentence why
    what it trained can't be combined with the base into one ordinary model, and is empty where it can. `add_on` names
    the kind of add-on that it makes: those of one kind can be switched on one loaded base. Empty where the base itself
    is changed."""

    title: ClassVar[str]
    cannot_merge: ClassVar[str] = ""
    add_on: ClassVar[str] = ""

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

    @property
    def storage(self) -> BaseStorage:
        return BaseStorage()

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


ROOM = N_("Room for new knowledge")
"""What the size of an add-on is called."""


class LoraSettings(MethodSettings):
    """What all methods share that train a LoRA adapter on a base that stays as it is."""

    add_on: ClassVar[str] = "LoRA"

    rank: Annotated[
        int,
        Field(ge=1, le=256),
        Setting(
            ROOM,
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
            N_(
                "all-linear, attention, or names such as q_proj, v_proj. QLoRA matches full training only with all of "
                "them."
            ),
            term="target modules",
        ),
    ] = "all-linear"
    exclude: Annotated[
        str,
        Setting(
            N_("Layers to leave out"),
            N_("Numbers, counted from 0, or names: 0-3, 27, down_proj. Layers without an add-on stay as they are."),
            term="excluded modules",
        ),
    ] = ""
    use_rslora: Annotated[
        bool,
        Setting(
            N_("Same strength at every size"),
            N_("Scales by the root of the rank instead of the rank, so that a large add-on learns as fast."),
            term="rsLoRA",
        ),
    ] = False
    use_dora: Annotated[
        bool,
        Setting(
            N_("Learn size and direction apart"),
            N_("Often a little better with a small rank; slower, and llama.cpp can't take the add-on alone."),
            term="DoRA",
        ),
    ] = False
    loraplus_lr_ratio: Annotated[
        float,
        Field(ge=1.0, le=64.0),
        Setting(
            N_("Faster second half"),
            N_("The second of the two small matrices learns so many times faster. 16 is usual; 1: both the same."),
            term="LoRA+ ratio",
            unit=N_("times"),
        ),
    ] = 1.0
    train_embeddings: Annotated[
        bool,
        Setting(
            N_("Learn the words themselves, too"),
            N_("For a language or signs that the model hardly knows. Much more memory, and a much larger add-on."),
            term="trained embeddings",
        ),
    ] = False

    @property
    def targets(self) -> tuple[str, ...]:
        return _listed(self.target_modules) or ALL_LINEAR

    @property
    def excluded_layers(self) -> frozenset[int]:
        """Numbers of layers without an add-on, counted from 0."""
        spans = (one.split("-") for one in _listed(self.exclude) if _NUMBERS.fullmatch(one))
        return frozenset(number for span in spans for number in range(int(span[0]), int(span[-1]) + 1))

    @property
    def excluded_names(self) -> tuple[str, ...]:
        """Names of modules without an add-on, in whichever layer."""
        return tuple(one for one in _listed(self.exclude) if not _NUMBERS.fullmatch(one))

    def default_values(self) -> dict[str, object]:
        return {"alpha": 2 * self.rank}

    def memory(self) -> MethodMemory:
        return MethodMemory(
            rank=self.rank,
            targets=self.targets,
            excluded=self.excluded_names,
            excluded_layers=len(self.excluded_layers),
            dropout=self.dropout > 0,
            dora=self.use_dora,
            embeddings=self.train_embeddings,
        )

    def form(self) -> dict[str, object]:
        names = ("rank", "alpha", "target_modules", "exclude", "use_rslora", "use_dora", "train_embeddings")
        return {name: getattr(self, name) for name in names}


_NUMBERS = re.compile(r"\d{1,4}(-\d{1,4})?")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


class QLora(LoraSettings):
    """LoRA on a base whose weights are stored in 4 bits."""

    title: ClassVar[str] = "QLoRA"
    choice: ClassVar[str] = N_("On: 4-bit (QLoRA)")

    kind: Literal["qlora"] = "qlora"
    quant_type: Annotated[
        Literal["nf4", "fp4"],
        Setting(
            N_("Kind of 4-bit numbers"),
            N_("NF4 is made for weights and loses less. FP4 is an ordinary number, only very short."),
            term="quantization type",
            named=((N_("NF4"), "nf4"), (N_("FP4"), "fp4")),
        ),
    ] = "nf4"
    double_quantization: Annotated[
        bool,
        Setting(
            N_("Compress the compression constants too"),
            N_("Saves another 0.37 bit for each parameter of the base model."),
            term="double quantization",
        ),
    ] = True
    loftq: Annotated[
        bool,
        Setting(
            N_("Begin with what compressing lost"),
            N_("The add-on begins as what 4 bits leave out of the weights, not as nothing. Helps most with FP4."),
            term="LoftQ",
        ),
    ] = False

    @property
    def storage(self) -> BaseStorage:
        return BaseStorage(4, self.quant_type, self.double_quantization)


class Lora(LoraSettings):
    """LoRA on a base in 16 bits."""

    title: ClassVar[str] = "LoRA"
    choice: ClassVar[str] = N_("Off: 16-bit (LoRA)")

    kind: Literal["lora"] = "lora"
    pissa: Annotated[
        bool,
        Setting(
            N_("Begin with what matters most"),
            N_(
                "The add-on begins as the strongest part of each layer, not as nothing, and learns faster at first. It "
                "is saved as an ordinary one of twice the rank."
            ),
            term="PiSSA",
        ),
    ] = False

    def form(self) -> dict[str, object]:
        return {**super().form(), "pissa": self.pissa}


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
