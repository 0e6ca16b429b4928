"""Which runs can be asked on one loaded base: the add-on is switched, and the base stays where it is."""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.events import DeviceChosen
from studio.core.problems import Problem
from studio.core.recipe.method import BaseStorage
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.models.base_model import base_of_run
from studio.models.weights import BaseFingerprint


@dataclass(frozen=True)
class BaseForm:
    """How the base of a run is held in memory while its add-on is used. `add_on` is the method's, `dtype` what it
    computes in ("" where that was left to the machine and no training has told), `foreign` whether another program made
    the add-on, which may bring a tokenizer and tokens along; `new_words` are those that it brings along for sure."""

    fingerprint: BaseFingerprint
    add_on: str
    storage: BaseStorage
    dtype: str
    foreign: bool
    new_words: tuple[str, ...] = ()

    def why_apart(self, other: BaseForm, name: str) -> Problem | None:
        """Why the add-on of the run called `name`, which needs `other`, can't be switched to on a base that is held in
        this form; None where it can."""
        what, why, values = "", "", {"run": name}
        if other.fingerprint != self.fingerprint:
            what = N_("{run} was trained on another base model.")
            why = N_("An add-on only works on the base model that it was trained on, and only one is loaded.")
        elif not other.add_on or not self.add_on:
            what = N_("{run} can't be switched to on the base model that is loaded.")
            why = N_("Full training changed one of the two base models itself: there is no add-on to switch.")
        elif other.add_on != self.add_on:
            what = N_("{run} can't be switched to on the base model that is loaded.")
            why = N_("It is an add-on of another kind ({needed}) than the one that is loaded ({loaded}).")
            values |= {"needed": other.add_on, "loaded": self.add_on}
        elif other.foreign or self.foreign:
            what = N_("{run} can't be switched to on the base model that is loaded.")
            why = N_("One of the two was made by another program and may bring tokens and a chat template of its own.")
        elif other.new_words != self.new_words:
            what = N_("{run} can't be switched to on the base model that is loaded.")
            why = N_("One of the two learned new words, which the other one reads in pieces.")
        elif other != self:
            what = N_("{run} needs its base model in another form ({needed}) than it is loaded in ({loaded}).")
            why = N_("On another form of it, it would answer otherwise than it was trained to.")
            values |= {"needed": other.words, "loaded": self.words}
        return None if not what else _apart(what, why, values)

    @property
    def words(self) -> str:
        parts = [self.add_on, f"{self.storage.bits}-bit"]
        if self.storage.bits == 4:
            parts += [self.storage.quant_type, *(["double quantization"] if self.storage.double_quantization else [])]
        return ", ".join((*parts, self.dtype)).removesuffix(", ")


def base_form(run: RunFolder, recipe: Recipe | None = None) -> BaseForm:
    """How `run` needs its base. Raises `ProblemError`."""
    recipe = recipe if recipe is not None else load(run.recipe)
    then = BaseFingerprint.read(run.base_fingerprint) or BaseFingerprint.of(base_of_run(run, recipe.model))
    dtype = recipe.method.compute_dtype or _trained_in(run)
    method = recipe.method
    return BaseForm(then, method.add_on, method.storage, dtype, run.origin.is_file(), method.new_words)


def _trained_in(run: RunFolder) -> str:
    told = [event.dtype for event in run.outline() if isinstance(event, DeviceChosen)]
    return told[-1] if told else ""


def _apart(what: str, why: str, values: dict[str, str]) -> Problem:
    return Problem(
        code="chat.other_base",
        what=what,
        why=why,
        fix=N_("Open that run, and talk to it there."),
        values=dict(values),
    )
