"""How a run goes through its examples."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from studio.core.recipe.settings import Setting, SettingsGroup
from studio.core.translatable import N_

Strength = Literal["gentle", "normal", "strong"]

STRENGTHS: Mapping[Strength, float] = {"gentle": 0.5, "normal": 1.0, "strong": 2.0}
"""So many times the learning rate that fits the method and what is learned."""


class Optimizer(StrEnum):
    """Optimizers by the names that transformers uses."""

    paged_adamw_8bit = "paged_adamw_8bit"
    adamw_8bit = "adamw_8bit"
    paged_adamw_32bit = "paged_adamw_32bit"
    adamw = "adamw"


Packing = Literal["auto", "on", "off"]


class Training(SettingsGroup):
    """How the run goes through the examples."""

    epochs: Annotated[
        float | None,
        Field(gt=0.0, le=50.0),
        Setting(
            N_("Passes over your data"),
            N_("Each example is read this many times. Too many passes memorise instead of learn."),
            level="simple",
            term="epochs",
            unit=N_("passes"),
        ),
    ] = None
    strength: Annotated[
        Strength,
        Setting(
            N_("Learning strength"),
            N_("Too strong forgets what the model knew. What is normal depends on how and what it learns."),
            level="simple",
            named=((N_("Gentle"), "gentle"), (N_("Normal"), "normal"), (N_("Strong"), "strong")),
        ),
    ] = "normal"
    learning_rate: Annotated[
        float | None,
        Field(gt=0.0, le=0.1),
        Setting(
            N_("Learning strength as a number"),
            N_("Counts instead of the strength above. Automatic: what is usual for the method and what is learned."),
            level="more",
            term="learning rate",
        ),
    ] = None
    max_length: Annotated[
        int,
        Field(ge=16, le=131072),
        Setting(
            N_("Longest example kept whole"),
            N_("Longer examples are cut at the end. Shorter limits need less memory."),
            level="simple",
            term="max length",
            unit=N_("tokens"),
        ),
    ] = 1024
    batch_size: Annotated[
        int | None,
        Field(ge=1, le=512),
        Setting(
            N_("Examples at once"),
            N_("How many are computed together. Mostly changes memory and speed, hardly the result."),
            level="more",
            term="micro-batch size",
        ),
    ] = None
    gradient_accumulation_steps: Annotated[
        int | None,
        Field(ge=1, le=512),
        Setting(
            N_("Batches per step"),
            N_("So many batches are added up before the weights change once."),
            level="more",
            term="gradient accumulation",
        ),
    ] = None
    loss_on: Annotated[
        Literal["answers", "everything"],
        Setting(
            N_("Learn from"),
            N_("Answers only is right for questions and answers; everything is for plain text."),
            level="more",
            term="completion-only loss",
            named=((N_("Answers only"), "answers"), (N_("Everything"), "everything")),
        ),
    ] = "answers"
    optimizer: Annotated[
        Optimizer | None,
        Setting(
            N_("Optimizer"),
            N_("Automatic: paged 8-bit AdamW on an NVIDIA card under Linux, 8-bit under Windows, else plain AdamW."),
            term="optimizer",
            named=(
                (N_("Paged AdamW, 8-bit"), "paged_adamw_8bit"),
                (N_("AdamW, 8-bit"), "adamw_8bit"),
                (N_("Paged AdamW, 32-bit"), "paged_adamw_32bit"),
                (N_("AdamW"), "adamw"),
            ),
        ),
    ] = None
    lr_scheduler: Annotated[
        Literal["cosine", "linear", "constant"],
        Setting(
            N_("How the strength changes over time"),
            N_("Usually it falls towards the end."),
            term="learning rate schedule",
            named=(
                (N_("Falls in a curve"), "cosine"),
                (N_("Falls evenly"), "linear"),
                (N_("Stays the same"), "constant"),
            ),
        ),
    ] = "cosine"
    warmup_ratio: Annotated[
        float,
        Field(ge=0.0, le=0.5),
        Setting(
            N_("Gentle start"),
            N_("The share of the run in which the strength grows from nothing."),
            term="warm-up",
            unit=N_("share"),
        ),
    ] = 0.05
    weight_decay: Annotated[
        float,
        Field(ge=0.0, le=1.0),
        Setting(N_("Pull towards small weights"), N_("A little can help against memorising."), term="weight decay"),
    ] = 0.0
    max_grad_norm: Annotated[
        float,
        Field(gt=0.0, le=100.0),
        Setting(N_("Largest change in one step"), N_("Larger ones are scaled down to this."), term="gradient clipping"),
    ] = 1.0
    activation_checkpointing: Annotated[
        bool | None,
        Setting(
            N_("Compute twice to save memory"),
            N_("About a third slower, much less memory. Automatic: on with an NVIDIA card."),
            term="activation checkpointing",
        ),
    ] = None
    checkpoint_every: Annotated[
        int | None,
        Field(ge=1, le=64),
        Setting(
            N_("Layers that are computed twice"),
            N_(
                'Every one, or only every so-manyth: faster, and more memory. Only with "Compute twice to save memory".'
            ),
            term="checkpoint every n layers",
            named=((N_("Every layer"), 1), (N_("Every second"), 2)),
        ),
    ] = None
    activation_offloading: Annotated[
        bool | None,
        Setting(
            N_("Put aside what layers begin with"),
            N_(
                "What is computed twice waits in the computer's memory for it, which makes room for long examples. "
                'Slower; only with an NVIDIA card and "Compute twice to save memory".'
            ),
            term="activation offloading",
        ),
    ] = None
    packing: Annotated[
        Packing,
        Setting(
            N_("Examples one after the other"),
            N_(
                "Computes the examples of a batch in one row instead of filling up the shorter ones. They never see "
                "each other, and the result is the same. Automatic: where the card has fast attention for it."
            ),
            term="packing, padding-free",
            named=((N_("Automatic"), "auto"), (N_("Yes"), "on"), (N_("No"), "off")),
        ),
    ] = "auto"
    save_steps: Annotated[
        int | None,
        Field(ge=1, le=1_000_000),
        Setting(
            N_("Steps between save points"),
            N_(
                "Each comes with a look at the examples set aside. Automatic: four in a short run, about ten in a long "
                "one; where saving is slow, those that aren't the best so far may be left out."
            ),
            term="checkpoint interval",
            unit=N_("steps"),
        ),
    ] = None
    save_minutes: Annotated[
        float,
        Field(ge=0.1, le=1440.0),
        Setting(
            N_("Minutes between save points"),
            N_("Besides those at every look at the examples set aside. Where saving is slow, it happens less often."),
            term="checkpoint interval",
            unit=N_("minutes"),
        ),
    ] = 5.0
    patience: Annotated[
        int,
        Field(ge=0, le=1000),
        Setting(
            N_("Stop early"),
            N_("Ends when so many looks at the examples set aside in a row brought nothing better. 0: never."),
            term="early stopping patience",
            unit=N_("looks"),
            named=((N_("Never"), 0), (N_("After three looks"), 3)),
        ),
    ] = 0
    rehearsal: Annotated[
        bool,
        Setting(
            N_("Keep what it knew"),
            N_("Against forgetting: some of the base model's own answers to general questions are learned as well."),
            level="simple",
            term="rehearsal",
        ),
    ] = False
    rehearsal_share: Annotated[
        float,
        Field(gt=0.0, le=0.5),
        Setting(
            N_("Share of what it knew"),
            N_('So much of all that is learned are the base model\'s own answers, with "Keep what it knew".'),
            term="replay ratio",
            unit=N_("share"),
        ),
    ] = 0.15
    sample_answers: Annotated[
        bool,
        Setting(
            N_("Answer questions while it learns"),
            N_("At every look at the examples set aside, as long as that takes less than 2 % of the time."),
            level="more",
            term="samples",
        ),
    ] = True
    sample_questions: Annotated[
        str,
        Setting(
            N_("Your own questions"),
            N_("One a line, three at most: you see how the answers change. Empty: three of the examples set aside."),
            level="more",
            term="sample prompts",
        ),
    ] = ""
    seed: Annotated[
        int,
        Field(ge=0, le=2**31 - 1),
        Setting(N_("Random seed"), N_("The same seed repeats the same run on the same machine."), term="seed"),
    ] = 17
