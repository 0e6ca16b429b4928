"""Which weights change, and how the rest is stored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from studio.core.recipe.settings import Setting, SettingsGroup
from studio.core.translatable import N_


class Method(SettingsGroup):
    """Which weights change, and how the rest is stored."""

    kind: Annotated[
        Literal["qlora", "lora"],
        Setting(
            N_("Memory saver"),
            N_("4-bit fits a larger model at a very small loss of quality."),
            level="simple",
            term="quantization",
            named=((N_("On: 4-bit (QLoRA)"), "qlora"), (N_("Off: 16-bit (LoRA)"), "lora")),
        ),
    ] = "qlora"
    double_quantization: Annotated[
        bool,
        Setting(
            N_("Compress the compression constants too"),
            N_("Saves another 0.37 bit for each parameter of the base model."),
            term="double quantization",
        ),
    ] = True
    compute_dtype: Annotated[
        Literal["bfloat16", "float16", "float32"] | None,
        Setting(
            N_("Number format for computing"),
            N_("Weights are stored small and computed large. Automatic: what is fast on this machine."),
            term="compute dtype",
            named=((N_("bfloat16"), "bfloat16"), (N_("float16"), "float16"), (N_("float32"), "float32")),
        ),
    ] = None
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
