"""Learning which of two answers is better (DPO, Rafailov et al. 2023, https://arxiv.org/abs/2305.18290).

Each pair is computed as two sequences, the better and the worse answer after the same question. What counts is by how
much likelier each became than it was for the model with which the training began, the reference. Its log probabilities
are computed once before the first step and kept in the run's folder, so no second model is held, and any method of
training will do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.nn import functional

from studio.core.events import DatasetCounts, PreferenceScores
from studio.core.recipe.objective import Dpo
from studio.core.run_folder import RunFolder
from studio.core.storage import staged_file
from studio.core.translatable import N_
from studio.dataset.examples import Example
from studio.engine.device import Device
from studio.engine.job_context import JobContext
from studio.engine.methods.base_model import Network
from studio.engine.objectives.objective import POSITION, Batch, HeldOutScore, Row, TrainingObjective
from studio.engine.objectives.supervised import (
    SummedLoss,
    TokenizedDataset,
    autocast,
    collate,
    eval_mode,
    scores_of_labels,
)
from studio.tokenization.encoded import IGNORE_INDEX, Encoded
from studio.tokenization.encoding import Encoder
from studio.tokenization.truncation import Truncation, truncate_pair

BETTER, WORSE = 0, 1
"""Places of both answers in everything that holds one entry for each."""


@dataclass(frozen=True)
class PairDataset(TokenizedDataset):
    """`encoded` are the better answers, `rejected` the worse ones, each with the question before it."""

    rejected: tuple[Encoded, ...] = ()

    @property
    def lengths(self) -> list[int]:
        return [max(len(pair[BETTER].ids), len(pair[WORSE].ids)) for pair in self.pairs]

    @property
    def pairs(self) -> list[tuple[Encoded, Encoded]]:
        return list(zip(self.encoded, self.rejected, strict=True))


class DpoObjective(TrainingObjective):
    """Call `prepare` before batches are made for training: they hold the reference's log probabilities."""

    def __init__(self, settings: Dpo) -> None:
        super().__init__(settings)
        self._beta = settings.beta
        self._reference = Reference()
        self._tiled = False
        """Whether the trainer has given the model TRL's head, which never holds all scores at once."""

    def tokenize(self, encoder: Encoder, examples: Sequence[Example], truncation: Truncation) -> PairDataset:
        return tokenize_pairs(encoder, examples, truncation)

    def rows(self, dataset: TokenizedDataset) -> list[Row]:
        assert isinstance(dataset, PairDataset)
        return [
            {"input_ids": [list(one.ids) for one in pair], "labels": [list(one.labels) for one in pair]}
            for pair in dataset.pairs
        ]

    def collate(self, rows: Sequence[Row]) -> Batch:
        """`input_ids`, `attention_mask` and `labels`, each [pairs, 2, longest]; `reference`, [pairs, 2]."""
        batch = collate_pairs(rows)
        known = self._reference.train
        places = [row.get(POSITION) for row in rows]
        batch["reference"] = torch.zeros(len(rows), 2) if known is None or None in places else known[places]
        return batch

    def count(self, batches: Sequence[Batch]) -> torch.Tensor:
        return torch.tensor(sum(len(batch["input_ids"]) for batch in batches))

    def loss(self, model: Network, inputs: Batch, head_of: Network | None = None, *, tiled: bool = False) -> SummedLoss:
        found = log_probabilities(model, inputs, head_of, tiled=tiled)
        rewards = self._beta * (found - inputs["reference"])
        margins = rewards[:, BETTER] - rewards[:, WORSE]
        sums = torch.stack([_preferred(margins), margins.sum(), _preferred(_per_token(found, inputs["labels"]))])
        return SummedLoss(-functional.logsigmoid(margins).sum(), len(margins), sums.detach())

    def needs_beginning(self, run: RunFolder) -> bool:
        return not run.reference.is_file()

    def prepare(
        self,
        context: JobContext,
        run: RunFolder,
        model: Network,
        dataset: TokenizedDataset,
        held_out: TokenizedDataset,
        device: Device,
        at_once: int,
    ) -> None:
        assert isinstance(dataset, PairDataset) and isinstance(held_out, PairDataset)
        self._tiled = device.is_cuda
        key = _key(dataset, held_out, device)
        known = read_reference(run.reference, key)
        if known is None:
            text = N_("Asking the model how likely it holds the answers now, to compare with later.")
            context.phase("preparing", text)
            pairs = [*dataset.pairs, *held_out.pairs]

            def told(done: int) -> None:
                context.progress(done, len(pairs), "examples", text)

            found = pair_log_probabilities(model, pairs, at_once, device, tiled=self._tiled, done=told)
            known = Reference(found[: len(dataset.encoded)], found[len(dataset.encoded) :])
            write_reference(run.reference, known, key)
        self._reference = known

    def score(self, model: Network, held_out: TokenizedDataset, at_once: int, device: Device) -> HeldOutScore:
        assert isinstance(held_out, PairDataset) and self._reference.held_out is not None
        found = pair_log_probabilities(model, held_out.pairs, at_once, device, tiled=self._tiled)
        rewards = self._beta * (found - self._reference.held_out)
        margins = rewards[:, BETTER] - rewards[:, WORSE]
        tokens = torch.tensor([[one.label_tokens for one in pair] for pair in held_out.pairs])
        return HeldOutScore(
            loss=float(-functional.logsigmoid(margins).mean()),
            preference=PreferenceScores(
                accuracy=float(_preferred(margins)) / len(margins),
                margin=float(margins.mean()),
                likelier=float(_preferred((found / tokens)[:, BETTER] - (found / tokens)[:, WORSE])) / len(margins),
            ),
        )


def tokenize_pairs(encoder: Encoder, examples: Sequence[Example], truncation: Truncation) -> PairDataset:
    """Only the last answer of each has labels. Where a cut leaves nothing of an answer, or nothing in which both
    differ, there is nothing to learn. Examples without a worse answer count as left out. Raises `ProblemError`."""
    pairs: list[tuple[Encoded, Encoded]] = []
    numbers: list[int] = []
    cut = nothing_left = left_out = 0
    for number, example in enumerate(examples):
        pair = truncate_pair(encoder, example, truncation)
        if pair is None:
            left_out += 1
        elif any(not one.label_tokens for one in pair) or pair[BETTER].ids == pair[WORSE].ids:
            nothing_left += 1
        else:
            cut += any(one.truncated_tokens for one in pair)
            pairs.append(pair)
            numbers.append(number)
    counts = DatasetCounts(
        examples=len(pairs),
        tokens=sum(len(one.ids) for pair in pairs for one in pair),
        label_tokens=sum(one.label_tokens for pair in pairs for one in pair),
        cut=cut,
        nothing_left=nothing_left,
        left_out=left_out,
    )
    better, worse = (tuple(pair[place] for pair in pairs) for place in (BETTER, WORSE))
    return PairDataset(better, counts, tuple(numbers), encoder.adaptations, worse)


def collate_pairs(rows: Sequence[Row]) -> Batch:
    """`input_ids`, `attention_mask` and `labels`, each [pairs, 2, longest], padded at the right."""
    flat = [{name: row[name][place] for name in ("input_ids", "labels")} for row in rows for place in (BETTER, WORSE)]
    return {name: value.view(len(rows), 2, -1) for name, value in collate(flat).items()}


def log_probabilities(
    model: Network, inputs: Batch, head_of: Network | None = None, *, tiled: bool = False
) -> torch.Tensor:
    """The summed log probabilities of the tokens with a label, [pairs, 2], in float32. `inputs` as `collate_pairs`
    makes them."""
    flat = {name: inputs[name].flatten(0, 1) for name in ("input_ids", "attention_mask", "labels")}
    if tiled:
        sums: torch.Tensor = model(**flat, use_cache=False, fused_lm_head=True).log_probs.float().sum(dim=1)
    else:
        scored = scores_of_labels(model, flat, head_of)
        each = -functional.cross_entropy(scored.logits.float(), scored.labels, reduction="none")
        rows = scored.places.nonzero()[:, 0]
        sums = each.new_zeros(len(flat["labels"])).index_add(0, rows, each)
    return sums.view(-1, 2)


def pair_log_probabilities(
    model: Network,
    pairs: Sequence[tuple[Encoded, Encoded]],
    at_once: int,
    device: Device,
    *,
    tiled: bool = False,
    done: Callable[[int], None] = lambda _: None,
) -> torch.Tensor:
    """The same for all pairs, `at_once` of them at a time, in their order, in the computer's own memory. The model is
    left as it was."""
    found, counted = torch.zeros(len(pairs), 2), 0
    order = sorted(range(len(pairs)), key=lambda place: max(len(one.ids) for one in pairs[place]))
    with eval_mode(model), torch.no_grad(), autocast(device):
        for places in _in_parts(order, at_once):
            rows: list[Row] = [
                {"input_ids": [one.ids for one in pairs[place]], "labels": [one.labels for one in pairs[place]]}
                for place in places
            ]
            inputs = {name: value.to(device.torch_device) for name, value in collate_pairs(rows).items()}
            found[places] = log_probabilities(model, inputs, tiled=tiled).cpu()
            counted += len(places)
            done(counted)
    return found


def _in_parts(order: Sequence[int], at_once: int) -> Iterator[list[int]]:
    for start in range(0, len(order), at_once):
        yield list(order[start : start + at_once])


def _preferred(differences: torch.Tensor) -> torch.Tensor:
    """How many are above zero; exactly zero counts half."""
    return (differences > 0).sum() + 0.5 * (differences == 0).sum()


def _per_token(found: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """By how much the better answer's mean log probability of a token exceeds the worse one's."""
    means = found / (labels[..., 1:] != IGNORE_INDEX).sum(dim=-1)
    return means[:, BETTER] - means[:, WORSE]


@dataclass(frozen=True)
class Reference:
    """Log probabilities of the model with which a training began, [examples, 2]; None before they are known."""

    train: torch.Tensor | None = None
    held_out: torch.Tensor | None = None


def _key(dataset: PairDataset, held_out: PairDataset, device: Device) -> str:
    """Changes with the tokens, and with the number format that they are computed in."""
    digest = hashlib.sha256(str(device.dtype).encode())
    for pair in (*dataset.pairs, *held_out.pairs):
        for one in pair:
            digest.update(str(one.ids).encode())
    return digest.hexdigest()


def write_reference(file: Path, reference: Reference, key: str) -> None:
    """Raises OSError."""
    assert reference.train is not None and reference.held_out is not None
    tensors = {"train": reference.train.contiguous(), "held_out": reference.held_out.contiguous()}
    with staged_file(file) as staging:
        staging.write_bytes(save(tensors, {"key": key}))


def read_reference(file: Path, key: str) -> Reference | None:
    """None where it isn't there, is damaged, or belongs to other tokens."""
    try:
        with safe_open(str(file), framework="pt") as held:
            if (held.metadata() or {}).get("key") != key:
                return None
            return Reference(held.get_tensor("train"), held.get_tensor("held_out"))
    except (OSError, SafetensorError):
        return None
