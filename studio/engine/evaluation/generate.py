"""Answers from a model, as base and as taught: greedy and side by side for checking, one and streamed for chatting."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from studio.core.conversation import Message
from studio.core.events import Side
from studio.core.problems import Remedy, problem
from studio.core.recipe.method import Method
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import RunFolder
from studio.core.storage import is_intact
from studio.core.translatable import N_
from studio.dataset.examples import Example
from studio.engine import device as devices
from studio.engine.device import Device
from studio.engine.methods.model import (
    Network,
    count_parameters,
    dequantize,
    in_format,
    load_adapter,
    load_base,
    merge_lora,
    stored_dtype,
)
from studio.models.base_model import locate, model_facts
from studio.tokenization.encoding import Encoder

_NO_LIMIT = 1 << 30
"""Length limit in tokens for encoding prompts: they are never cut here, only refused."""


class Generator:
    """A loaded model that answers, as base, as taught, or as either.

    `after` is None where there is only a base. `before` and `after` are the same object where the add-on is switched
    off and on.
    """

    def __init__(
        self,
        before: Network,
        after: Network,
        encoder: Encoder,
        device: Device,
        context_length: int,
    ) -> None:
        self.before = before
        self.after = after
        self.encoder = encoder
        self.device = device
        self.sides: tuple[Side, ...] = ("before", "after") if after is not None else ("before",)
        self.context_length = context_length
        self._ends = _end_tokens(before, encoder)

    @contextlib.contextmanager
    def model_as(self, side: Side) -> Iterator[Any]:
        """The model of that side, for the length of a `with` block."""
        if side == "after":
            yield self.after
        elif self.before is self.after:
            with self.before.disable_adapter():
                yield self.before
        else:
            yield self.before

    def answer_all(self, examples: Sequence[Example], side: Side, max_tokens: int) -> list[str]:
        """Greedy answers, in the order of `examples`, computed together."""
        prompts = [self.encoder.prompt_ids(example.prompt, example.tools) for example in examples]
        longest = max(len(p) for p in prompts)
        pad = self._ends[0] if self._ends else 0
        ids = torch.full((len(prompts), longest), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):  # at the left, so that every answer begins at the same place
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        with self.model_as(side) as model:
            found = self._generate(model, ids, mask, max_tokens)
        return [self.encoder.decode(self._until_end(row)) for row in found[:, longest:].tolist()]

    def stream(
        self,
        messages: tuple[Message, ...],
        side: Side,
        max_tokens: int,
        temperature: float,
        seed: int | None,
        on_tokens: Callable[[list[int]], bool],
    ) -> list[int]:
        """One answer's tokens. `on_tokens` is given all of them so far after each, and ends the answer with True."""
        prompt = torch.tensor([self.encoder.prompt_ids(messages)])
        if seed is not None:
            torch.manual_seed(seed)
        watch = _Watch(prompt.shape[1], on_tokens)
        with self.model_as(side) as model:
            found = self._generate(model, prompt, torch.ones_like(prompt), max_tokens, temperature, watch)
        return self._until_end(found[0, prompt.shape[1] :].tolist())

    def _generate(
        self,
        model: Any,
        ids: torch.Tensor,
        mask: torch.Tensor,
        max_tokens: int,
        temperature: float = 0.0,
        watch: StoppingCriteria | None = None,
    ) -> torch.Tensor:
        # Nothing of the model's own generation settings: what a recipe taught is compared without a repetition
        # penalty or a default temperature that the base model came with.
        settings = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=max_tokens,
            do_sample=temperature > 0,
            temperature=temperature if temperature > 0 else None,
            top_p=0.95 if temperature > 0 else None,
            top_k=0 if temperature > 0 else None,
            eos_token_id=self._ends or None,
            pad_token_id=self._ends[0] if self._ends else 0,
            use_cache=True,
        )
        with torch.inference_mode():
            found: torch.Tensor = model.generate(
                input_ids=ids.to(self.device.torch_device),
                attention_mask=mask.to(self.device.torch_device),
                generation_config=settings,
                stopping_criteria=StoppingCriteriaList([watch] if watch else []),
            )
        return found.cpu()

    def _until_end(self, ids: list[int]) -> list[int]:
        return next((ids[:at] for at, token in enumerate(ids) if token in self._ends), ids)


class _Watch(StoppingCriteria):
    def __init__(self, prompt: int, on_tokens: Callable[[list[int]], bool]) -> None:
        self._prompt = prompt
        self._on_tokens = on_tokens

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        stop = self._on_tokens(input_ids[0, self._prompt :].tolist())
        return torch.full((input_ids.shape[0],), stop, dtype=torch.bool, device=input_ids.device)


def of_run(run: RunFolder) -> tuple[Generator, Recipe]:
    """The run's model, with its best save point, ready to answer. Raises `ProblemError`."""
    recipe = load(run.recipe)
    adapter = trained_adapter(run)
    base = locate(recipe.model)
    device = devices.choose(recipe.method.compute_dtype)
    model = load_base(base, recipe.method, device).eval()
    encoder = Encoder.from_folder(base, recipe.training.max_length, recipe.training.loss_on)
    copies = 0 if device.is_cuda else _copies_that_fit(model, device)
    if copies > 0:
        dequantize(model, device.dtype)
    if copies > 1:
        stored = stored_dtype(base)
        folded_in = merge_lora(load_adapter(copy.deepcopy(model), adapter), stored)
        taught = in_format(folded_in, device.dtype).eval()
        return Generator(model, taught, encoder, device, _context(base)), recipe
    both = load_adapter(model, adapter)
    return Generator(both, both, encoder, device, _context(base)), recipe


def of_folder(folder: Path) -> Generator:
    """A model as it stands in a folder, in 16 bits."""
    device = devices.choose()
    model = load_base(folder, Method(kind="lora"), device).eval()
    return Generator(model, None, Encoder.from_folder(folder, _NO_LIMIT), device, _context(folder))


def _copies_that_fit(model: Network, device: Device) -> int:
    """How many copies of the unpacked model there is room for in the computer's memory, at most two.

    With two, the taught one has its add-on folded in, exactly as an export folds it in, so that what is checked is
    what is exported; that is also the faster way to answer.
    """
    needed = 1.3 * count_parameters(model)[1] * torch.finfo(device.dtype).bits / 8
    return min(2, int(psutil.virtual_memory().available / needed))


def trained_adapter(run: RunFolder) -> Path:
    """The folder of what the run learned: its best save point that is intact. Raises `ProblemError`."""
    state = run.state()
    best = state.best_checkpoint
    others = sorted((c for c in state.checkpoints if c is not best), key=lambda c: -c.step)
    for candidate in ([best] if best else []) + others:
        folder = run.path / candidate.folder
        if folder.is_dir() and is_intact(folder, fully=True):
            return folder
    raise problem(
        "run.nothing_learned",
        N_("This run has nothing saved that it learned."),
        N_("It ended before its first save point, or its files were damaged or removed."),
        N_("Start it again."),
        remedy=Remedy.try_again,
    )


def folded(text: str) -> str:
    """Text with white space trimmed and folded, as answers are compared."""
    return " ".join(text.split())


def _context(folder: Path) -> int:
    return model_facts(folder).context_length or 2048


def _end_tokens(model: Any, encoder: Encoder) -> list[int]:
    """Every token that ends an answer: the model's own, and the mark that its chat template puts after an answer."""
    found: list[int | None] = []
    for owner in (model.generation_config, model.config):
        ends = getattr(owner, "eos_token_id", None)
        found += ends if isinstance(ends, list) else [ends]
    found.append(encoder.eos_id)
    sample = Example(messages=(Message(role="user", content="a"), Message(role="assistant", content="b")))
    learned = [label for label in encoder.encode(sample).labels if label >= 0]
    found += [label for label in learned[-1:] if not encoder.decode([label])]
    return sorted({int(token) for token in found if token is not None})
