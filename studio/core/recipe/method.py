"""Ways to train: which weights change, and how the rest is stored.

A method is one class here, and one file in `studio/engine/methods` that does it. What two methods have in common is
declared in a class that both inherit from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field

from studio.core.problems import Problem, Remedy
from studio.core.recipe.settings import Level, Setting, SettingsGroup
from studio.core.translatable import N_

MethodName = Literal["qlora", "lora", "lora-8bit", "full", "prompt", "prefix", "bottleneck"]
"""Methods by their `kind`."""

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
    at all; `excluded` are names of modules without one, and `excluded_layers` counts whole layers without any.
    `virtual_tokens` stand before each example; `added` counts the parts of a layer that another, of width `rank`, is
    put behind. `recomputes` is whether what a layer keeps can be computed a second time instead."""

    rank: int = 0
    targets: tuple[str, ...] = ALL_LINEAR
    excluded: tuple[str, ...] = ()
    excluded_layers: int = 0
    dropout: bool = False
    dora: bool = False
    embeddings: bool = False
    virtual_tokens: int = 0
    added: int = 0
    recomputes: bool = True


class MethodSettings(SettingsGroup):
    """What every method has.

    `title` is its name, the same in every language. `advice` says in a sentence or two for whom it is. `cannot_merge`
    says in a sentence why what it trained can't be combined with the base into one ordinary model, and is empty where
    it can; `cannot_add` why what it trained is no add-on. `add_on` names the kind of add-on that it makes: those of one
    kind can be switched on one loaded base; empty where they can't. `learning_rates` are the usual ones for models of
    less than a billion parameters, and for others.
    """

    title: ClassVar[str]
    advice: ClassVar[str]
    cannot_merge: ClassVar[str] = ""
    add_on: ClassVar[str] = ""
    cannot_add: ClassVar[str] = ""
    learning_rates: ClassVar[tuple[float, float]] = (5e-4, 2e-4)

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

    @property
    def streams_layers(self) -> bool:
        """Whether the base's layers stay in the computer's memory and only come to be computed."""
        return False

    @property
    def new_words(self) -> tuple[str, ...]:
        """Words that are added to the tokenizer, as one token each."""
        return ()

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

    def add_on_refusal(self) -> Problem | None:
        """Why what this method trained is no add-on to its base, None where it is."""
        if not self.cannot_add:
            return None
        return Problem(
            code="method.no_add_on",
            what=N_("What was trained with {method} is no add-on."),
            why=self.cannot_add,
            fix=N_("Export it as one model."),
            values={"method": self.title},
        )


class FrozenBaseSettings(MethodSettings):
    """What methods share that leave the base as it is, so that it need not lie where it is computed."""

    layer_streaming: Annotated[
        bool | None,
        Setting(
            N_("Base model in the computer's memory"),
            N_(
                "Only two of its layers are on the card at a time. Fits much larger models, and takes longer. "
                "Automatic: only where nothing else fits."
            ),
            term="layer streaming, CPU offload",
        ),
    ] = None

    def default_values(self) -> dict[str, object]:
        return {"layer_streaming": False}

    @property
    def streams_layers(self) -> bool:
        return bool(self.layer_streaming)


class StoredBaseSettings(FrozenBaseSettings):
    """What methods share that train something of their own on a base that stays as it is, stored in 16 or 4 bits."""

    base: Annotated[
        Literal["16-bit", "4-bit"],
        Setting(
            N_("How the base model is stored"),
            N_("4-bit fits a larger model at a very small loss of quality."),
            level="more",
            term="quantization",
            named=((N_("In 16 bits"), "16-bit"), (N_("In 4 bits"), "4-bit")),
        ),
    ] = "16-bit"

    @property
    def storage(self) -> BaseStorage:
        return BaseStorage(4, double_quantization=True) if self.base == "4-bit" else BaseStorage()


ROOM = N_("Room for new knowledge")
"""What the size of a LoRA add-on is called."""

DORA = N_("Learn size and direction apart")
LOFTQ = N_("Begin with what compressing lost")
PISSA = N_("Begin with what matters most")
"""What options of LoRA are called."""

WIDTH = N_("Width of the added layers")
"""What the size of adapter layers is called."""


class LoraSettings(FrozenBaseSettings):
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
            DORA,
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

    added_tokens: Annotated[
        str,
        Setting(
            N_("New words"),
            N_(
                "Names and terms from your data that the model shall read as one piece each, with commas between them. "
                "It learns what they mean."
            ),
            level="more",
            term="added tokens",
        ),
    ] = ""

    @property
    def new_words(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_listed(self.added_tokens)))

    @property
    def reads_weights(self) -> str | None:
        """What the option is called that begins with the base's own weights, None where none does."""
        return DORA if self.use_dora else None

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
        return {**super().default_values(), "alpha": 2 * self.rank}

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
        names = (
            "rank",
            "alpha",
            "target_modules",
            "exclude",
            "use_rslora",
            "use_dora",
            "train_embeddings",
            "added_tokens",
        )
        return {name: getattr(self, name) for name in names}


_NUMBERS = re.compile(r"\d{1,4}(-\d{1,4})?")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


class QLora(LoraSettings):
    """LoRA on a base whose weights are stored in 4 bits."""

    title: ClassVar[str] = "QLoRA"
    choice: ClassVar[str] = N_("On: 4-bit (QLoRA)")
    advice: ClassVar[str] = N_(
        "The right one for nearly everybody: needs little memory, and with all layers learning it is as good as LoRA."
    )

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
            LOFTQ,
            N_("The add-on begins as what 4 bits leave out of the weights, not as nothing. Helps most with FP4."),
            term="LoftQ",
        ),
    ] = False

    @property
    def reads_weights(self) -> str | None:
        return super().reads_weights or (LOFTQ if self.loftq else None)

    @property
    def storage(self) -> BaseStorage:
        return BaseStorage(4, self.quant_type, self.double_quantization)


class Lora(LoraSettings):
    """LoRA on a base in 16 bits."""

    title: ClassVar[str] = "LoRA"
    choice: ClassVar[str] = N_("Off: 16-bit (LoRA)")
    advice: ClassVar[str] = N_("Where there is memory to spare: steps are faster, and nothing is lost by compressing.")

    kind: Literal["lora"] = "lora"
    pissa: Annotated[
        bool,
        Setting(
            PISSA,
            N_(
                "The add-on begins as the strongest part of each layer, not as nothing, and learns faster at first. It "
                "is saved as an ordinary one of twice the rank. On a base in 4 bits LoftQ does the like."
            ),
            term="PiSSA",
        ),
    ] = False

    @property
    def reads_weights(self) -> str | None:
        return super().reads_weights or (PISSA if self.pissa else None)

    def form(self) -> dict[str, object]:
        return {**super().form(), "pissa": self.pissa}


class Lora8bit(LoraSettings):
    """LoRA on a base in 8 bits (LLM.int8)."""

    title: ClassVar[str] = "LoRA, 8-bit"
    choice: ClassVar[str] = N_("On: 8-bit (LoRA)")
    level: ClassVar[Level] = "more"
    advice: ClassVar[str] = N_(
        "Between the two: half the memory of 16 bits, and nearer to the original than 4 bits. The slowest of the three."
    )

    kind: Literal["lora-8bit"] = "lora-8bit"

    @property
    def storage(self) -> BaseStorage:
        return BaseStorage(8)


class FullFineTuning(MethodSettings):
    """Every weight learns, in 32 bits."""

    title: ClassVar[str] = "Full fine-tuning"
    choice: ClassVar[str] = N_("Everything learns (full fine-tuning)")
    level: ClassVar[Level] = "more"
    advice: ClassVar[str] = N_(
        "For much data and a small model. Needs four times its memory and more, saves the whole model each time, and "
        "forgets most of what it knew."
    )
    cannot_add: ClassVar[str] = N_("All of the base model's own weights were changed; there is nothing beside them.")
    learning_rates: ClassVar[tuple[float, float]] = (5e-5, 2e-5)

    kind: Literal["full"] = "full"


class VirtualTokenSettings(StoredBaseSettings):
    """What methods share that train something which stands before each question."""

    virtual_tokens: Annotated[
        int,
        Field(ge=1, le=512),
        Setting(
            N_("Places before each question"),
            N_("So many are learned, and are taken from what the model reads at once. More learn more."),
            level="more",
            term="virtual tokens",
            unit=N_("tokens"),
        ),
    ] = 20
    initial_text: Annotated[
        str,
        Setting(
            N_("Words to begin with"),
            N_("What stands there before anything is learned: best an instruction for the task. Empty: a general one."),
            term="initial text",
        ),
    ] = ""

    def memory(self) -> MethodMemory:
        return MethodMemory(virtual_tokens=self.virtual_tokens)

    def form(self) -> dict[str, object]:
        return {"virtual_tokens": self.virtual_tokens}


class PromptTuning(VirtualTokenSettings):
    """Embeddings of tokens that don't exist are trained, which stand before each question."""

    title: ClassVar[str] = "Prompt tuning"
    add_on: ClassVar[str] = "Prompt tuning"
    choice: ClassVar[str] = N_("An instruction learns (prompt tuning)")
    level: ClassVar[Level] = "more"
    advice: ClassVar[str] = N_(
        "The smallest of all: some thousand numbers that work like an instruction in words. Enough for the tone or the "
        "form of answers, best with a large model."
    )
    cannot_merge: ClassVar[str] = N_("It learned an instruction that stands before each question, not weights.")
    learning_rates: ClassVar[tuple[float, float]] = (3e-2, 1e-2)

    kind: Literal["prompt"] = "prompt"


class PrefixTuning(VirtualTokenSettings):
    """Keys and values are trained, which each layer's attention finds before those of the text."""

    title: ClassVar[str] = "Prefix tuning"
    add_on: ClassVar[str] = "Prefix tuning"
    choice: ClassVar[str] = N_("A memory learns (prefix tuning)")
    level: ClassVar[Level] = "more"
    advice: ClassVar[str] = N_(
        "Like prompt tuning, but in every layer: learns more, is harder to train, and takes a little of what the model "
        "can read at once. Rarely better than LoRA."
    )
    cannot_merge: ClassVar[str] = N_("It learned what each layer finds before the question, not weights.")
    learning_rates: ClassVar[tuple[float, float]] = (1e-2, 5e-3)

    kind: Literal["prefix"] = "prefix"

    def memory(self) -> MethodMemory:
        return MethodMemory(virtual_tokens=self.virtual_tokens, recomputes=False)


class AdapterLayers(StoredBaseSettings):
    """Narrow layers are put behind parts of each layer, and trained (Houlsby et al. 2019, Pfeiffer et al. 2021)."""

    title: ClassVar[str] = "Adapter layers"
    add_on: ClassVar[str] = "Adapter layers"
    choice: ClassVar[str] = N_("Added layers learn (adapter layers)")
    level: ClassVar[Level] = "more"
    advice: ClassVar[str] = N_(
        "The forerunner of LoRA, to compare with it: learns as much, but answers somewhat slower for good."
    )
    cannot_merge: ClassVar[str] = N_("It put layers of its own into the model, which no other program knows.")

    kind: Literal["bottleneck"] = "bottleneck"
    width: Annotated[
        int,
        Field(ge=1, le=1024),
        Setting(
            WIDTH,
            N_("Small learns a style, large learns many facts."),
            level="more",
            term="bottleneck size",
            named=((N_("Small"), 16), (N_("Medium"), 64), (N_("Large"), 256)),
        ),
    ] = 64
    placement: Annotated[
        Literal["both", "feed-forward"],
        Setting(
            N_("Where layers are added"),
            N_("Behind both halves of each layer learns a little more; behind one is faster."),
            term="Houlsby or Pfeiffer",
            named=((N_("Behind attention and feed-forward"), "both"), (N_("Behind feed-forward only"), "feed-forward")),
        ),
    ] = "both"

    def memory(self) -> MethodMemory:
        return MethodMemory(rank=self.width, targets=(), added=2 if self.placement == "both" else 1)

    def form(self) -> dict[str, object]:
        return {"width": self.width, "placement": self.placement}


def _default_kind(tree: object) -> object:
    return {"kind": "qlora", **tree} if isinstance(tree, dict) else tree


Method = Annotated[
    QLora | Lora | Lora8bit | FullFineTuning | PromptTuning | PrefixTuning | AdapterLayers,
    Field(discriminator="kind"),
    BeforeValidator(_default_kind),
    Setting(
        N_("Memory saver"),
        N_("4-bit fits a larger model at a very small loss of quality."),
        level="simple",
        term="quantization",
    ),
]

METHODS: Mapping[str, type[MethodSettings]] = {
    str(one.model_fields["kind"].default): one for one in get_args(get_args(Method)[0])
}
"""All methods by their `kind`, in the order in which they are offered."""
