"""Which way to train a person should use, from their examples, their model and their machine, with the reasons.

Quality hardly decides between LoRA and QLoRA: with all linear layers learning both reach full fine-tuning (Dettmers et
al. 2023, arXiv:2305.14314; Schulman et al. 2025, "LoRA Without Regret"). So memory decides, and then speed: in 16 bits
nothing has to be unpacked in each step. Full fine-tuning learns more only from very much (Biderman et al. 2024,
arXiv:2405.09673), and forgets more.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.recipe.method import METHODS, MethodName
from studio.core.recipe.recipe import Recipe
from studio.core.recipe.settings import value_of
from studio.core.translatable import N_, Sentence, sentence
from studio.memory.fit import GIB, Fit
from studio.memory.reduction import Scenario

FEW = 50
"""Examples. OpenAI sees clear improvements from 50 to 100 on (fine-tuning guide, 2024)."""

MUCH = 20_000
"""Examples from which full fine-tuning is worth a comparison."""


@dataclass(frozen=True)
class Recommendation:
    """`kind` is the way to train, `why` says what decided, `also` what else is worth knowing before. `streamed` is
    whether it fits only with the base model in the computer's memory."""

    kind: MethodName
    why: Sentence
    also: tuple[Sentence, ...] = ()
    streamed: bool = False

    @property
    def title(self) -> str:
        return METHODS[self.kind].title

    @property
    def changes(self) -> dict[str, object]:
        """What of a recipe takes it, by dotted keys."""
        return {"method.kind": self.kind, **({"method.layer_streaming": True} if self.streamed else {})}

    def is_taken(self, recipe: Recipe) -> bool:
        return all(value_of(recipe, key) == value for key, value in self.changes.items())


def recommend(scenario: Scenario) -> Recommendation:
    """For what `scenario` is about, whatever way to train its recipe has."""
    also = _about_data(scenario)
    whole, packed = fit_with(scenario, "lora"), fit_with(scenario, "qlora")
    values = {"millions": scenario.shape.parameters / 1e6, **_sizes(whole, packed)}
    if packed.available is None or packed.needed is None or whole.needed is None:
        why = N_("It takes the least memory of those that learn as well, and how much there is can't be told here.")
        return Recommendation("qlora", sentence(why), also)
    if whole.verdict == "fits":
        why = N_(
            "Your model ({millions:,.0f} million parameters) fits in 16 bits, with {whole:.1f} of {usable:.1f} GB, so "
            "nothing is lost by compressing it."
        )
        if scenario.facts.cuda:
            why = N_(
                "Your model ({millions:,.0f} million parameters) fits in 16 bits, with {whole:.1f} of {usable:.1f} GB. "
                "That is faster than 4 bits, which are unpacked in every step, and loses nothing."
            )
        return Recommendation("lora", sentence(why, **values), also)
    if packed.verdict == "fits":
        why = N_(
            "Your model ({millions:,.0f} million parameters) fits in 4 bits, with {packed:.1f} of {usable:.1f} GB, and "
            "learns as well so. In 16 bits it would take {whole:.1f} GB."
        )
        return Recommendation("qlora", sentence(why, **values), also)
    streamed = scenario.with_changes({"method.kind": "qlora", "method.layer_streaming": True}).fit
    if streamed.verdict == "fits" and streamed.needed is not None:
        why = N_(
            "Your model ({millions:,.0f} million parameters) fits in {usable:.1f} GB in no other way: in 4 bits, with "
            "its layers in the computer's memory. That takes {packed:.1f} GB on the card, and longer."
        )
        values |= {"packed": streamed.needed / GIB}
        return Recommendation("qlora", sentence(why, **values), also, streamed=True)
    why = N_(
        "It needs the least, {packed:.1f} of {usable:.1f} GB, and even that is tight or too much. Look at what would "
        'make it fit under "Will it fit?".'
    )
    return Recommendation("qlora", sentence(why, **values), also)


def fit_with(scenario: Scenario, kind: str) -> Fit:
    """Whether it fits when it is trained that way and nothing else is changed, by calculation."""
    return scenario.with_changes({"method.kind": kind}).fit


def _sizes(whole: Fit, packed: Fit) -> dict[str, float]:
    amounts = {"whole": whole.needed, "packed": packed.needed, "usable": packed.available}
    return {name: amount / GIB for name, amount in amounts.items() if amount is not None}


def _about_data(scenario: Scenario) -> tuple[Sentence, ...]:
    count = scenario.facts.examples
    if count is None:
        return ()
    if count < FEW:
        return (
            sentence(
                N_("With {count} examples, more of them will help more than any other way to train."), count=count
            ),
        )
    if count >= MUCH and fit_with(scenario, "full").verdict == "fits":
        return (
            sentence(
                N_("With {count:,} examples, full fine-tuning may learn more, and fits too: compare both."), count=count
            ),
        )
    return ()
