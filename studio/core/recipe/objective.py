"""What is learned from the examples: the answers as they are, or which answers are better than others.

An objective is one class here, and its loss stands in `studio/engine/objectives`. Plain text is learned by the first
one: all of its tokens.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from studio.core.recipe.settings import Setting, SettingsGroup
from studio.core.translatable import N_

ObjectiveName = Literal["supervised", "dpo", "kto"]


class ObjectiveSettings(SettingsGroup):
    """What every objective has.

    `title` is its name, the same in every language. `sequences` says how many sequences an example is computed as,
    `learning_rate_factors` how its learning rate compares with the one for learning answers. `uses` names what an
    example has to have for it, besides an answer.
    """

    title: ClassVar[str]
    sequences: ClassVar[int] = 1
    learning_rate_factors: ClassVar[tuple[float, float]] = (1.0, 1.0)
    """For models of less than a billion parameters, and for others."""
    uses: ClassVar[Literal["answers", "pairs", "marks"]] = "answers"


class Supervised(ObjectiveSettings):
    """The right answers, and plain text: each token that has a label is made likelier."""

    title: ClassVar[str] = "SFT"
    choice: ClassVar[str] = N_("To answer like this")

    kind: Literal["supervised"] = "supervised"


class PreferenceSettings(ObjectiveSettings):
    """What objectives share that compare answers, each held against the model as it was before.

    The learning rate is a quarter of that for answers: 5e-5 with LoRA, 5e-6 where all weights are trained, as the
    authors of KTO take it at most; LoRA needs ten times what full training does (Schulman et al. 2025, "LoRA Without
    Regret"). Zephyr (Tunstall et al. 2023) took 5e-7 in full, the authors of DPO 1e-6 with a batch of 64; the few steps
    that a few hundred examples make need more.
    """

    learning_rate_factors: ClassVar[tuple[float, float]] = (0.25, 0.25)

    beta: Annotated[
        float,
        Field(gt=0.0, le=10.0),
        Setting(
            N_("How close it stays to what it was"),
            N_("Small lets it move further towards the better answers, large keeps more of how it answers now."),
            level="more",
            term="beta",
            named=((N_("Loose"), 0.05), (N_("Normal"), 0.1), (N_("Close"), 0.5)),
        ),
    ] = 0.1
    """0.1 in the papers: Rafailov et al. 2023 for DPO, Ethayarajh et al. 2024 for KTO."""


class Dpo(PreferenceSettings):
    """Direct preference optimization: of two answers to the same question the better one is made likelier than the
    worse one, compared with the model as it was (Rafailov et al. 2023, https://arxiv.org/abs/2305.18290)."""

    title: ClassVar[str] = "DPO"
    learning_rate_factors: ClassVar[tuple[float, float]] = (1.0, 0.5)
    """Half: 1e-5 where all weights are trained, as for Llama 3, which learns the better answers as well; LoRA 1e-4. A
    model of 135 million answered 0 of 16 in the better form after 24 steps at a quarter, and 16 after 12 at once."""
    choice: ClassVar[str] = N_("To prefer the better of two answers")
    sequences: ClassVar[int] = 2
    uses: ClassVar[Literal["answers", "pairs", "marks"]] = "pairs"

    kind: Literal["dpo"] = "dpo"
    sft_weight: Annotated[
        float,
        Field(ge=0.0, le=10.0),
        Setting(
            N_("Also learn the better answers"),
            N_(
                "How much the better answers are learned as they are, too. 0: the model only learns which is better, "
                "and may answer neither way."
            ),
            level="more",
            term="SFT loss weight",
            named=((N_("Only which is better"), 0.0), (N_("A little"), 0.2), (N_("As much"), 1.0)),
        ),
    ] = 1.0
    """Pang et al. 2024 (arXiv:2404.19733) take 1, Llama 3 (arXiv:2407.21783) 0.2, DPO itself 0. Answers that the model
    wouldn't give by itself, as people's own mostly are, else become less likely along with the worse ones."""


class Kto(PreferenceSettings):
    """Kahneman-Tversky optimization: good answers are made likelier and bad ones less likely, without pairs
    (Ethayarajh et al. 2024, https://arxiv.org/abs/2402.01306)."""

    title: ClassVar[str] = "KTO"
    choice: ClassVar[str] = N_("From answers marked good or bad")
    uses: ClassVar[Literal["answers", "pairs", "marks"]] = "marks"

    kind: Literal["kto"] = "kto"


def _default_kind(tree: object) -> object:
    return {"kind": "supervised", **tree} if isinstance(tree, dict) else tree


Objective = Annotated[
    Supervised | Dpo | Kto,
    Field(discriminator="kind"),
    BeforeValidator(_default_kind),
    Setting(
        N_("What it learns"),
        N_("Pairs of a better and a worse answer, or thumbs, can be learned as such."),
        level="more",
        term="objective",
    ),
]
