"""Answers from models: greedy and many at once for an exam, one and streamed for a chat."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import psutil
import torch
from peft import PeftModel
from transformers import DynamicCache, GenerationConfig, StoppingCriteria, StoppingCriteriaList

from studio.core.conversation import Message
from studio.core.events import BASE, PROMPTED, THIS_RUN, ModelUnderTest
from studio.core.problems import ProblemError
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.translatable import N_
from studio.dataset.examples import Example
from studio.engine import device as devices
from studio.engine.device import Device
from studio.engine.evaluation.prompt_cache import PromptCache
from studio.engine.job_context import JobContext
from studio.engine.methods.base_model import (
    Network,
    count_parameters,
    load_base_model,
)
from studio.engine.methods.layer_streaming import streams_layers
from studio.engine.methods.method import TrainingMethod, without_adapter
from studio.engine.methods.quantization import dequantize
from studio.engine.methods.registry import method_of
from studio.models.base_model import ModelFacts, base_of_run, model_facts, tokenizer_folder
from studio.models.shared_base import base_form
from studio.tokenization.encoding import NO_LIMIT, Encoder
from studio.tokenization.end_tokens import end_tokens

BATCH = 12
"""Examples answered at once."""

_AT_ONCE, _TOKENS_AT_ONCE = 32, 1 << 14
"""Answers of an exam that are computed together, at most, and the tokens that they may hold with their prompts: of a
model of 8 billion parameters that much attention takes two gigabytes."""

SHORTEST_LIMIT = 64
"""Tokens that every answer may have, however short the wanted ones are."""

_LOGITS = 1 << 27
"""Numbers that a model may give out at once, at most: half a gigabyte."""


@dataclass(frozen=True)
class Answer:
    """`tokens` with the one that ended it; `ended` is False where the answer went on to the last token allowed."""

    text: str
    tokens: tuple[int, ...]
    ended: bool


class Generator:
    """Loaded models that answer, each by its name in events.

    The base and the run's own model may be one network whose adapter is switched off and on. `ends` are the tokens at
    which answers stop, `nothing_changed` says that what was learned has no effect at all, which has been told.
    """

    def __init__(
        self,
        networks: Mapping[ModelUnderTest, Network],
        encoder: Encoder,
        device: Device,
        facts: ModelFacts,
        ends: Sequence[int],
    ) -> None:
        self.networks = dict(networks)
        self.encoder = encoder
        self.device = device
        self.context_length = facts.context_length or 2048
        self._facts = facts
        self.ends = list(ends)
        self.nothing_changed = False
        self._adapters: dict[ModelUnderTest, str] = {}
        self._prompt_cache = PromptCache()

    def know_tokens(self, vocabulary: int) -> None:
        """Take token ids below `vocabulary` for known ones, where the base says at all which it knows."""
        if self._facts.vocabulary is not None:
            self._facts = replace(self._facts, vocabulary=vocabulary)

    @property
    def models(self) -> tuple[ModelUnderTest, ...]:
        """Whom it can answer as, the base first."""
        return tuple(self.networks)

    def add_adapter(self, model: ModelUnderTest, method: TrainingMethod, folder: Path) -> None:
        """Let it answer as `model` too, whose add-on `method` saved into `folder`, on the network of `THIS_RUN`. Raises
        `ProblemError`."""
        network, name = self.networks[THIS_RUN], f"beside_{len(self._adapters)}"
        method.load_beside(network, folder, name)
        self._adapters[model], self.networks[model] = name, network

    @contextlib.contextmanager
    def network_of(self, model: ModelUnderTest) -> Iterator[Network]:
        """The network of `model`, for the length of a `with` block."""
        network = self.networks[model]
        is_base = model in (BASE, PROMPTED)
        if self._adapters and not is_base:
            network.set_adapter(self._adapters.get(model, "default"), inference_mode=True)
        with without_adapter(network) if is_base else nullcontext():
            yield network

    def answer_all(
        self, examples: Sequence[Example], model: ModelUnderTest, max_tokens: int, max_seconds: float | None = None
    ) -> list[Answer]:
        """Greedy answers, in the order of `examples`, computed together. After `max_seconds` they are cut off."""
        prompts = [self._prompt(example.prompt, example.tools) for example in examples]
        with self.network_of(model) as network:
            found = answer_prompts(network, prompts, self.ends, max_tokens, self.device, max_seconds)
        return [Answer(self.encoder.decode(ids), (*ids, *end), bool(end)) for ids, end in found]

    def in_batches(
        self, examples: Sequence[Example], model: ModelUnderTest, max_tokens: int
    ) -> Iterator[list[tuple[int, Answer]]]:
        """`answer_all` for any number of examples: their positions with the answers, a batch at a time. Those with
        prompts of similar length are computed together, the longest first, so that little is padded."""
        lengths = [len(self._prompt(example.prompt, example.tools)) for example in examples]
        order = sorted(range(len(examples)), key=lambda position: -lengths[position])
        start = 0
        while start < len(order):
            most = _TOKENS_AT_ONCE // (lengths[order[start]] + max_tokens)
            batch = order[start : start + max(1, min(_AT_ONCE, most))]
            start += len(batch)
            answers = self.answer_all([examples[position] for position in batch], model, max_tokens)
            yield list(zip(batch, answers, strict=True))

    def stream(
        self,
        messages: tuple[Message, ...],
        model: ModelUnderTest,
        max_tokens: int,
        temperature: float,
        seed: int | None,
        on_tokens: Callable[[list[int]], bool],
    ) -> list[int]:
        """One answer's tokens. `on_tokens` is given all of them so far after each, and before the first one while a
        long prompt is read; it ends the answer with True. What was read is kept for the model's next answer."""
        prompt = self._prompt(messages)
        ids, stopped = torch.tensor([prompt]), False

        def go_on() -> bool:
            nonlocal stopped
            stopped = on_tokens([])
            return not stopped

        watch = _Watch(len(prompt), on_tokens)
        with self.network_of(model) as network:
            cache = None
            if not _has_virtual_tokens(network):
                cache = self._prompt_cache.read(network, model, prompt, go_on)
            if stopped:
                return []
            if seed is not None:
                torch.manual_seed(seed)
            mask = torch.ones_like(ids)
            found = _generate(network, ids, mask, self.ends, max_tokens, self.device, temperature, watch, cache)
        if cache is not None:
            self._prompt_cache.keep(model, prompt, cache)
        return _until_end(found[0, len(prompt) :].tolist(), self.ends)[0]

    def forget_prompts(self) -> None:
        """Give back the memory of what was read and kept."""
        self._prompt_cache = PromptCache()

    def _prompt(self, messages: tuple[Message, ...], tools: str = "") -> list[int]:
        ids = self.encoder.prompt_ids(messages, tools)
        self._facts.require_known(max(ids, default=0))
        return ids


def longest_useful(encoder: Encoder, examples: Sequence[Example]) -> int:
    """Tokens after which an answer can't become right any more: twice the longest wanted one. A base model that
    doesn't know when to stop would go on to the last token allowed, and everybody would wait for it."""
    wanted = max(encoder.encode(example).label_tokens for example in examples)
    return max(SHORTEST_LIMIT, 2 * wanted)


def answer_prompts(
    network: Network,
    prompts: Sequence[Sequence[int]],
    ends: Sequence[int],
    max_tokens: int,
    device: Device,
    max_seconds: float | None = None,
) -> list[tuple[list[int], list[int]]]:
    """Greedy answers, computed together: for each prompt what stands before the token that ends the answer, and that
    token where there is one. After `max_seconds` they are cut off."""
    answers: dict[int, tuple[list[int], list[int]]] = {}
    together = _together(network, prompts)
    began = time.monotonic()
    for number, places in enumerate(together):
        ids, mask = _padded([prompts[place] for place in places], ends[0] if ends else 0)
        left = None
        if max_seconds is not None:  # each gets its share of what is left
            left = (max_seconds - (time.monotonic() - began)) / (len(together) - number)
        found = _generate(network, ids, mask, ends, max_tokens, device, max_seconds=left)
        rows = found[:, ids.shape[1] :].tolist()
        answers |= {place: _until_end(row, ends) for place, row in zip(places, rows, strict=True)}
    return [answers[place] for place in range(len(prompts))]


def _together(network: Network, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Positions of prompts that may be computed together: all, or those of one length where what stands before each
    text would be farther from it by the padding."""
    if not _has_virtual_tokens(network):
        return [list(range(len(prompts)))]
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        by_length[len(prompt)].append(place)
    return list(by_length.values())


def _generate(
    network: Network,
    ids: torch.Tensor,
    mask: torch.Tensor,
    ends: Sequence[int],
    max_tokens: int,
    device: Device,
    temperature: float = 0.0,
    watch: StoppingCriteria | None = None,
    cache: DynamicCache | None = None,
    max_seconds: float | None = None,
) -> torch.Tensor:
    # Nothing of the model's own generation settings: what a recipe trained is compared without a repetition penalty or
    # a default temperature that the base model came with.
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max_tokens,
        max_time=max_seconds,
        do_sample=temperature > 0,
        temperature=temperature if temperature > 0 else None,
        top_p=0.95 if temperature > 0 else None,
        top_k=0 if temperature > 0 else None,
        eos_token_id=list(ends) or None,
        pad_token_id=ends[0] if ends else 0,
        use_cache=True,
    )
    with torch.inference_mode(), one_copy_of_head(network):
        found: torch.Tensor = network.generate(
            input_ids=ids.to(device.torch_device),
            attention_mask=mask.to(device.torch_device),
            generation_config=settings,
            past_key_values=cache,
            stopping_criteria=StoppingCriteriaList([watch] if watch else []),
        )
    return found.cpu()


def _until_end(ids: list[int], ends: Sequence[int]) -> tuple[list[int], list[int]]:
    """What stands before the token that ends an answer, and that token where there is one."""
    at = next((at for at, token in enumerate(ids) if token in ends), len(ids))
    return ids[:at], ids[at : at + 1]


def answer_log_probabilities(
    network: Network, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], device: Device
) -> Iterator[torch.Tensor]:
    """For each prompt the natural logarithms of the probabilities of all tokens at each place of its answer, given what
    stands before it: tokens of the answer x vocabulary, float32, in the computer's own memory. No answer is empty."""
    plain = network.get_base_model() if isinstance(network, PeftModel) else network
    accepted = signature(plain.forward).parameters
    longest = max(map(len, answers))
    at_once = max(1, _LOGITS // (longest * int(plain.config.get_text_config().vocab_size)))
    if _has_virtual_tokens(network):
        at_once = 1  # peft drops the positions that make up for padding
    for start in range(0, len(prompts), at_once):
        texts = [
            (*prompt, *answer[:-1])
            for prompt, answer in zip(prompts[start : start + at_once], answers[start : start + at_once], strict=True)
        ]
        ids, mask = _padded(texts, 0)
        options: dict[str, object] = {"logits_to_keep": longest, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
        known = {name: value for name, value in options.items() if name in accepted}
        with torch.inference_mode(), one_copy_of_head(network):
            logits = network(
                input_ids=ids.to(device.torch_device), attention_mask=mask.to(device.torch_device), **known
            ).logits
        for row, answer in zip(logits, answers[start : start + at_once], strict=True):
            yield row[-len(answer) :].float().log_softmax(-1).cpu()


@contextlib.contextmanager
def one_copy_of_head(network: Network) -> Iterator[None]:
    """A context in which several texts are answered faster on a processor. transformers hands the layer that gives out
    tokens a slice, the last places of each text, and torch (2.13, `should_fold` of its matmul) multiplies what lies
    apart in memory by a copy of the whole layer for each text. Laid together, it is one product."""
    head = network.get_output_embeddings()
    hook = head.register_forward_pre_hook(_laid_together) if head is not None else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


def _laid_together(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(one.contiguous() for one in given)


def _has_virtual_tokens(network: Network) -> bool:
    """Whether peft puts something before each text, and counts its places itself."""
    return isinstance(network, PeftModel) and bool(network.active_peft_config.is_prompt_learning)


def _padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of tokens as one tensor and its attention mask, filled up at the left, so that all end at one place."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, longest - len(row) :] = torch.tensor(row)
        mask[number, longest - len(row) :] = 1
    return ids, mask


class _Watch(StoppingCriteria):
    def __init__(self, prompt: int, on_tokens: Callable[[list[int]], bool]) -> None:
        self._prompt = prompt
        self._on_tokens = on_tokens

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        stop = self._on_tokens(input_ids[0, self._prompt :].tolist())
        return torch.full((input_ids.shape[0],), stop, dtype=torch.bool, device=input_ids.device)


def of_run(context: JobContext, run: RunFolder, *, tells: bool = True) -> tuple[Generator, Recipe]:
    """The run's base and, from its best save point, its own model, stored and computed as in the training. Says where
    it computes and, where it `tells`, when the training changed nothing. Raises `ProblemError`."""
    checkpoint = choose_checkpoint(run)
    generator, recipe = of_base(context, run)
    method = method_of(recipe.method)
    model = generator.networks[THIS_RUN] = method.load(generator.networks[BASE], checkpoint)
    if method.shares_base:
        generator.networks[BASE] = model
    generator.nothing_changed = method.changes_nothing(model)
    if generator.nothing_changed and tells:
        tell_nothing_changed(context)
    generator.know_tokens(model.config.get_text_config().vocab_size)  # an add-on may have brought some along
    return generator, recipe


def add_run(generator: Generator, run: RunFolder, other: RunFolder) -> ModelUnderTest:
    """Let `generator`, which `of_run` made of `run`, answer as another run of the same base too: its add-on is loaded
    beside the one that is there, and the base isn't loaded again. Raises `ProblemError` with the reason where the two
    can't share it."""
    recipe, name = load(other.recipe), other.path.name
    apart = base_form(run).why_apart(base_form(other, recipe), name)
    if apart is not None:
        raise ProblemError(apart)
    model = ModelUnderTest(kind="other_run", name=name)
    if model not in generator.networks:
        generator.add_adapter(model, method_of(recipe.method), choose_checkpoint(other))
    return model


def tell_nothing_changed(context: JobContext) -> None:
    """That the job's own run learned nothing that has an effect."""
    context.notice(
        "run.nothing_changed",
        N_("Nothing changed: what this run learned has no effect, so its model answers as the base model does."),
    )


def of_base(context: JobContext, run: RunFolder) -> tuple[Generator, Recipe]:
    """The run's base alone, stored and computed as in the training, whether there was one or not. Says where it
    computes. Raises `ProblemError`."""
    context.phase("loading", N_("Loading the model."), long=True)
    recipe = load(run.recipe)
    base = base_of_run(run, recipe.model)
    device = device_of(run, recipe)
    context.write(device.as_event())
    method = method_of(recipe.method)
    model = method.load_base(base, device, streamed=method.streams_to_answer(base, device)).eval()
    tokenizer = tokenizer_folder(run, base)
    encoder = Encoder.from_folder(tokenizer, recipe.training.max_length, recipe.training.loss_on)
    return Generator({BASE: model}, encoder, device, model_facts(base), end_tokens(tokenizer, encoder)), recipe


def device_of(run: RunFolder, recipe: Recipe) -> Device:
    """Where the model of `run` computes now, and in which format: that of its training, as which one is fast on a
    processor is found with a clock."""
    trained_on = run.state().device
    return devices.choose(recipe.method.compute_dtype or (trained_on.dtype if trained_on is not None else None))


def speed_up(generator: Generator) -> None:
    """Make the models of `of_run` or `of_base` answer faster on a processor, where the computer's memory allows: the
    compressed layers are dequantized. Nothing is merged, so what is tested is what was trained, without the rounding of
    an export."""
    network = generator.networks[generator.models[0]]
    if streams_layers(network):
        return
    needed = 1.3 * count_parameters(network)[1] * torch.finfo(generator.device.dtype).bits / 8
    if not generator.device.is_cuda and psutil.virtual_memory().available > needed:
        dequantize(network, generator.device.dtype)


def compute_exactly(generator: Generator) -> None:
    """Let the models compute in float32 on a processor, where the computer's memory allows, with the weights that they
    have. In 16 bits two tokens are often exactly as likely, and which one comes then hangs on how many answers are
    computed together; on a processor 32 bits take no longer. Models with compressed layers stay as they are, and those
    whose layers come from elsewhere."""
    networks = {id(one): one for one in generator.networks.values()}.values()
    layers = (layer for network in networks for layer in network.modules())
    compressed = any(isinstance(one, bnb.nn.Linear4bit | bnb.nn.Linear8bitLt) for one in layers)
    compressed |= any(streams_layers(network) for network in networks)
    needed = 1.3 * 4 * sum(count_parameters(network)[1] for network in networks)
    if not generator.device.is_cuda and not compressed and psutil.virtual_memory().available > needed:
        for network in networks:
            torch.nn.Module.float(network)  # transformers refuses it for what was compressed once
        generator.device = replace(generator.device, dtype=torch.float32)


def of_folder(folder: Path) -> Generator:
    """A model as it stands in a folder, in 16 bits; it answers as `BASE`."""
    device = devices.choose()
    model = load_base_model(folder, device).eval()
    encoder = Encoder.from_folder(folder, NO_LIMIT)
    return Generator({BASE: model}, encoder, device, model_facts(folder), end_tokens(folder, encoder))
