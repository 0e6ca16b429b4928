"""Supervised learning: examples become tokens with labels, rows side by side become a batch, and the loss is the cross
entropy over the tokens that have a label.

A model's head turns each position into one number per token of its vocabulary, 49,152 of them in the starter model, and
that is where a small model's time goes. Most positions, the question and the padding, have no label: the loss here
scores only those that have one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import masking_utils

from studio.core.preparation import DatasetCounts
from studio.core.recipe.recipe import Recipe
from studio.core.translatable import Sentence
from studio.core.workload import MOST_LOGITS
from studio.dataset.examples import Example, read_frozen
from studio.dataset.lazy_sequence import LazySequence
from studio.engine.device import Device
from studio.engine.patches import Patch, patched
from studio.tokenization.encoded import IGNORE_INDEX, Encoded
from studio.tokenization.encoding import Encoder
from studio.tokenization.frozen_tokens import FrozenTokens, frozen_tokens, max_tokens, reading_of
from studio.tokenization.truncation import Truncation, counts_of, tokenize


@dataclass(frozen=True)
class TokenizedDataset:
    """Tokenized examples, each with at least one label; some of many are tokenized only when they are looked at.

    `examples` says which example each of them is made of, counted from 0: one that was split makes several. It ends
    before the base model's own answers, which come last.
    `counts` and `adaptations`, what the model's chat template made necessary, tell of what was tokenized when this was
    made.
    """

    encoded: Sequence[Encoded]
    counts: DatasetCounts
    examples: Sequence[int] = ()
    adaptations: tuple[Sentence, ...] = ()

    @property
    def lengths(self) -> Sequence[int]:
        """In tokens. To look at one that isn't tokenized yet does that."""
        if isinstance(self.encoded, FrozenTokens):
            return self.encoded.lengths
        return [len(e.ids) for e in self.encoded]

    @property
    def sizes(self) -> Sequence[int]:
        """The lengths as far as they are known at once, else estimates."""
        return self.encoded.sizes if isinstance(self.encoded, FrozenTokens) else self.lengths

    def longest(self, count: int) -> list[int]:
        """The positions of the longest, from the longest down."""
        if isinstance(self.encoded, FrozenTokens):
            return self.encoded.longest(count)
        lengths = self.lengths
        return sorted(range(len(lengths)), key=lambda position: lengths[position], reverse=True)[:count]

    @property
    def all_longest(self) -> list[int]:
        """The positions of all that have the greatest length."""
        if isinstance(self.encoded, FrozenTokens):
            return self.encoded.all_longest
        lengths = self.lengths
        most = max(lengths, default=0)
        return [position for position, length in enumerate(lengths) if length == most]

    def highest_id(self, below: int | None) -> int:
        """No token has a higher number; 0 where nobody asks for one `below` another. Raises `ProblemError`."""
        if isinstance(self.encoded, FrozenTokens):
            return self.encoded.highest_id(below)
        return max((max(one.ids) for one in self.encoded), default=0)

    def complete(self) -> TokenizedDataset:
        """The same with all of them tokenized. Raises `ProblemError` where one of them can't be."""
        if isinstance(self.encoded, FrozenTokens):
            self.encoded.complete()
        return self.completed() or self

    def completed(self) -> TokenizedDataset | None:
        """The same once all are tokenized, None before. Raises `ProblemError` where one of them can't be."""
        if not isinstance(self.encoded, FrozenTokens):
            return self
        if not self.encoded.is_complete:
            return None
        return replace(self, counts=self.encoded.counts, adaptations=self.encoded.adaptations)

    def example_number(self, position: int) -> int:
        """Which example is trained on at `position`, counted from 1; 0 for one of the base model's own answers."""
        return self.examples[position] + 1 if position < len(self.examples) else 0

    def with_rehearsal(self, answers: TokenizedDataset) -> TokenizedDataset:
        """The same, followed by the base model's own `answers`. It has to come from `tokenize_frozen`."""
        assert isinstance(self.encoded, FrozenTokens)
        encoded = self.encoded.followed_by(answers.encoded)
        return replace(self, encoded=encoded, counts=encoded.counts)


def tokenize_examples(
    encoder: Encoder, examples: Sequence[Example], truncation: Truncation = "cut"
) -> TokenizedDataset:
    """Raises `ProblemError` when the model's template refuses an example."""
    found = [tokenize(encoder, example, truncation) for example in examples]
    encoded = tuple(part for one in found for part in one.parts)
    numbers = tuple(number for number, one in enumerate(found) for _ in one.parts)
    return TokenizedDataset(encoded, counts_of(found), numbers, encoder.adaptations)


def tokenize_frozen(
    file: Path,
    recipe: Recipe,
    base: Path,
    tokenizer: Path | None = None,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> TokenizedDataset:
    """The frozen examples in `file` as a run reads them; empty where it isn't there. `tokenizer` is the folder of its
    tokenizer and template where these aren't the base's; `told` hears how many are tokenized of how many that have to
    be at once. Raises `ProblemError` when the template refuses an example."""
    read_as = reading_of(recipe, base, tokenizer)
    if not file.is_file():
        return tokenize_examples(read_as.encoder, [])
    tokens = frozen_tokens(file, read_as, told)
    return TokenizedDataset(tokens, tokens.counts, tokens.numbers, tokens.adaptations)


def tokenize_rehearsal(file: Path, recipe: Recipe, base: Path) -> TokenizedDataset:
    """The base model's own answers in `file`; empty where it isn't there. Of these only answers are learned."""
    encoder = Encoder.from_folder(base, max_tokens(recipe, base), "answers", recipe.method.new_words)
    return tokenize_examples(encoder, read_frozen(file) if file.is_file() else [], "leave_out")


class TrainingRows(LazySequence[dict[str, list[int]]]):
    """Rows with `input_ids` and `labels`, made when they are asked for."""

    def __init__(self, encoded: Sequence[Encoded]) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded)

    def _at(self, positions: range) -> Iterator[dict[str, list[int]]]:
        return iter(as_rows([self._encoded[position] for position in positions]))


def as_rows(encoded: Sequence[Encoded]) -> list[dict[str, list[int]]]:
    """Rows with `input_ids` and `labels`."""
    return [{"input_ids": list(e.ids), "labels": list(e.labels)} for e in encoded]


@dataclass(frozen=True)
class Labels:
    """The tokens of a batch that have a label, [labels] each: `places` is where in [rows * tokens] the position before
    each of them lies, which has to predict it, `rows` in which row, and `targets` the tokens themselves.

    They are looked for while the batch is made, in the computer's own memory: whoever asks a card which tokens have a
    label waits for all that it has to compute before.
    """

    places: torch.Tensor
    rows: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def of(cls, labels: torch.Tensor) -> Labels:
        """Those of `labels`, [rows, tokens]."""
        rows, before = (labels[:, 1:] != IGNORE_INDEX).nonzero(as_tuple=True)
        return cls(rows * labels.shape[1] + before, rows, labels[rows, before + 1])

    def __len__(self) -> int:
        return len(self.places)

    def to(self, device: torch.device, non_blocking: bool = False) -> Labels:
        """What accelerate calls to bring a batch to its device."""
        moved = (one.to(device, non_blocking=non_blocking) for one in (self.places, self.rows, self.targets))
        return Labels(*moved)

    def pin_memory(self) -> Labels:
        """What torch's `DataLoader` calls for a batch that is to be copied while a card computes."""
        return Labels(self.places.pin_memory(), self.rows.pin_memory(), self.targets.pin_memory())


Inputs = Mapping[str, Any]
"""A batch as `collate` or `pack` makes it."""


def moved(batch: Inputs, device: torch.device) -> dict[str, Any]:
    """The batch with its tensors on `device`."""
    return {name: _moved(value, device) for name, value in batch.items()}


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, tuple):
        return tuple(_moved(one, device) for one in value)
    return value.to(device) if isinstance(value, torch.Tensor | Labels) else value


def collate(rows: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
    """`input_ids`, `attention_mask` and `labels`, each [rows, longest], padded at the right; and `scored`, the
    `Labels`.

    The padding's id doesn't matter: it is masked everywhere and has no label.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORE_INDEX, dtype=torch.long)
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[number, :length] = torch.tensor(row["input_ids"])
        mask[number, :length] = 1
        labels[number, :length] = torch.tensor(row["labels"])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels, "scored": Labels.of(labels)}


def pack(rows: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
    """The same one after the other in a single row: `input_ids` and `position_ids`, [1, tokens], counted anew for each;
    `scored`; `bounds`, [rows + 1], where each begins and ends, and `longest`, the most tokens that one of them has."""
    lengths = [len(row["input_ids"]) for row in rows]
    ids = torch.tensor([[token for row in rows for token in row["input_ids"]]])
    # the first token of each has no one before it that could predict it
    labels = torch.tensor([[label for row in rows for label in (IGNORE_INDEX, *row["labels"][1:])]])
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    bounds = functional.pad(torch.tensor(lengths).cumsum(0), (1, 0)).to(torch.int32)
    return {
        "input_ids": ids,
        "position_ids": positions,
        "scored": Labels.of(labels),
        "bounds": bounds,
        "longest": max(lengths),
    }


@dataclass(frozen=True)
class SummedLoss:
    """The sum of the losses of `count` tokens that have a label, or pairs. `measures` are sums of what else is told of
    them, see the objective; `balance` is a mixture of experts' own loss, which keeps them evenly used."""

    total: torch.Tensor
    count: int
    measures: torch.Tensor | None = None
    balance: torch.Tensor | None = None


def logits_fit(model: Any, scored: Labels) -> bool:
    """Whether the scores of all positions that have a label may be held at once."""
    return len(scored) * int(model.get_output_embeddings().weight.shape[0]) * 4 <= MOST_LOGITS


def chosen_positions(hidden: torch.Tensor, scored: Labels, tokens: int) -> torch.Tensor:
    """What a model makes of the positions that have to predict a label, [labels, width], from what it makes of all:
    `hidden`, [rows, tokens, width], where learned positions may stand before each row, see prompt tuning."""
    before = hidden.shape[1] - tokens
    places = scored.places + before * (scored.rows + 1) if before else scored.places
    return hidden.flatten(0, 1).index_select(0, places)


def scores_of_labels(model: Any, inputs: Inputs, head_of: Any = None) -> torch.Tensor:
    """The scores at the positions that have to predict a token with a label, and at no others, [labels, vocabulary].

    `inputs` as `collate` makes them. `head_of` is the model that owns the head when `model` is a wrapper.
    """
    scored: Labels = inputs["scored"]
    rows, tokens = inputs["input_ids"].shape

    def only_wanted(_: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden = arguments[0]
        if hidden.dim() != 3 or len(hidden) != rows or hidden.shape[1] < tokens:
            return None
        return (chosen_positions(hidden, scored, tokens).unsqueeze(0), *arguments[1:])

    hook = (head_of or model).get_output_embeddings().register_forward_pre_hook(only_wanted)
    try:
        with forward_arguments(inputs) as arguments:
            logits = model(**arguments).logits
    finally:
        hook.remove()
    if logits.shape[:2] == (rows, tokens):  # the last position is never wanted, so this can't be (1, count)
        logits = chosen_positions(logits, scored, tokens)  # a model that doesn't call its head as the others do
    scores: torch.Tensor = logits.reshape(-1, logits.shape[-1])
    return scores


@contextmanager
def forward_arguments(inputs: Inputs) -> Iterator[dict[str, Any]]:
    """What of a batch a model is called with, inside. A batch of padded rows without a mask is one of which it is known
    that each has a single example: transformers would look for more, and wait for the card."""
    ids = {"input_ids": inputs["input_ids"], "use_cache": False}
    if "bounds" in inputs:
        bounds, longest = inputs["bounds"], inputs["longest"]
        yield {
            **ids,
            "position_ids": inputs["position_ids"],
            "attention_mask": torch.empty(1, 1, 1, 1, dtype=torch.bool, device=bounds.device),  # made already, it says
            "cu_seq_lens_q": bounds,
            "cu_seq_lens_k": bounds,
            "max_length_q": longest,
            "max_length_k": longest,
        }
    elif "attention_mask" in inputs:
        yield {**ids, "attention_mask": inputs["attention_mask"]}
    else:
        with patched([Patch(masking_utils, "find_packed_sequence_indices", lambda *_, **__: None)]):
            yield {**ids, "attention_mask": None}


def log_probabilities_of_labels(
    model: Any, inputs: Inputs, head_of: Any = None, *, tiled: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The log probability of each token that has a label, [labels], in float32, and a mixture of experts' own loss.

    `tiled` asks TRL's head, which the trainer gives to a model: it never holds the scores of all at once.
    """
    if not tiled:
        logits = scores_of_labels(model, inputs, head_of)
        return -functional.cross_entropy(logits.float(), inputs["scored"].targets, reduction="none"), None
    from trl.trainer import utils as trl_losses  # takes seconds to import, and only trainings need it

    scored: Labels = inputs["scored"]
    plain = head_of or model
    plain = plain.get_base_model() if hasattr(plain, "get_base_model") else plain

    def only_wanted(_: torch.nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        output.last_hidden_state = chosen_positions(
            output.last_hidden_state, scored, inputs["input_ids"].shape[1]
        ).unsqueeze(0)
        return output

    # TRL's head looks for the positions itself where it knows that fewer are faster, and waits for the card: it is
    # given no others, and told to take all.
    hook = plain.base_model.register_forward_hook(only_wanted)
    try:
        with patched([Patch(trl_losses, "_use_triton", lambda _: False)]), forward_arguments(inputs) as arguments:
            found = model(**arguments, shift_labels=scored.targets[None], fused_lm_head=True)
    finally:
        hook.remove()
    return found.log_probs[0].float(), found.aux_loss


def sequence_log_probabilities(model: Any, inputs: Inputs, head_of: Any = None, *, tiled: bool = False) -> torch.Tensor:
    """The summed log probabilities of each row's tokens with a label, [rows], in float32."""
    each, _ = log_probabilities_of_labels(model, inputs, head_of, tiled=tiled)
    return each.new_zeros(len(inputs["input_ids"])).index_add(0, inputs["scored"].rows, each)


def supervised_loss(model: Any, inputs: Inputs, head_of: Any = None, *, tiled: bool = False) -> SummedLoss:
    """Summed cross entropy of the next token over positions that have a label only, computed in float32."""
    each, balance = log_probabilities_of_labels(model, inputs, head_of, tiled=tiled)
    return SummedLoss(-each.sum(), len(inputs["scored"]), balance=balance)


def row_log_probabilities(model: Any, encoded: Sequence[Encoded], at_once: int, device: Device) -> torch.Tensor:
    """`sequence_log_probabilities` of all of `encoded`, in their order, in the computer's own memory. The model is left
    as it was."""
    found = torch.zeros(len(encoded))
    order = sorted(range(len(encoded)), key=lambda place: len(encoded[place].ids))
    with eval_mode(model), torch.no_grad(), autocast(device):
        for start in range(0, len(order), at_once):
            places = order[start : start + at_once]
            inputs = moved(collate(as_rows([encoded[place] for place in places])), device.torch_device)
            found[places] = sequence_log_probabilities(model, inputs).cpu()
    return found


def held_out_loss(model: Any, encoded: Sequence[Encoded], batch: int, device: Device) -> float:
    """Mean loss over all tokens of `encoded` that have a label, with the model as it is. Leaves it as it was."""
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
    totals, count = [torch.zeros((), device=device.torch_device)], 0
    with eval_mode(model), torch.no_grad(), autocast(device):
        for start in range(0, len(order), batch):
            rows = as_rows([encoded[i] for i in order[start : start + batch]])
            summed = supervised_loss(model, moved(collate(rows), device.torch_device))
            totals.append(summed.total)
            count += summed.count
    return float(torch.stack(totals).sum(dtype=torch.float64)) / max(1, count)


@contextmanager
def eval_mode(model: Any) -> Iterator[None]:
    """The model in eval mode, and back in whichever it was."""
    was = bool(model.training)
    model.eval()
    try:
        yield
    finally:
        model.train(was)


def autocast(device: Device) -> Any:
    """The same mixed precision as in a training step, so that both losses mean the same."""
    return torch.autocast(device.torch_device.type, device.dtype, enabled=device.dtype is not torch.float32)
