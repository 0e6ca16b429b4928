"""Learning which answers are better: from pairs (DPO, Rafailov et al. 2023, https://arxiv.org/abs/2305.18290), or from
answers marked good or bad (KTO, Ethayarajh et al. 2024, https://arxiv.org/abs/2402.01306).

Each example has two sequences: the better and the worse answer to a question; or a marked answer, and what was answered
to another question instead, which says how far the model has moved at all. What counts is by how much likelier each
became than it was for the model with which the training began, the reference. Its log probabilities are computed once
before the first step and kept in the run's folder, so no second model is held, and any method of training will do.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.nn import functional

from studio.core.example_scores import ExampleScore, PreferenceScores
from studio.core.preparation import DatasetCounts
from studio.core.recipe.objective import Dpo, Kto, PreferenceSettings
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.core.storage import staged_file
from studio.core.translatable import N_
from studio.dataset.examples import Example, read_frozen
from studio.engine.device import Device
from studio.engine.job_context import JobContext
from studio.engine.methods.added_tokens import fits_tiled_head
from studio.engine.methods.base_model import Network
from studio.engine.objectives.objective import (
    INFO,
    POSITION,
    Batch,
    BatchInfo,
    HeldOutScore,
    Row,
    TrainingObjective,
    part_of,
)
from studio.engine.objectives.supervised import (
    Labels,
    SummedLoss,
    TokenizedDataset,
    autocast,
    collate,
    eval_mode,
    moved,
    sequence_log_probabilities,
)
from studio.tokenization.encoded import IGNORE_INDEX, Encoded
from studio.tokenization.encoding import Encoder
from studio.tokenization.frozen_tokens import reading_of
from studio.tokenization.truncation import Truncation, truncate_last, truncate_pair

FIRST, SECOND = 0, 1
"""Places of both sequences in everything that holds one entry for each: of a pair, the better one comes first."""


@dataclass(frozen=True)
class ComparedDataset(TokenizedDataset):
    """`encoded` are the answers that are learned from, `others` what each is compared with. `good` says of marked
    answers which they are, and is empty for pairs, whose first answer is the better one."""

    others: tuple[Encoded, ...] = ()
    good: tuple[bool, ...] = ()

    @property
    def lengths(self) -> list[int]:
        return [max(len(one.ids), len(other.ids)) for one, other in self.both]

    @property
    def both(self) -> list[tuple[Encoded, Encoded]]:
        return list(zip(self.encoded, self.others, strict=True))


class ComparingObjective(TrainingObjective):
    """Call `prepare` before batches are made for training: they hold the reference's log probabilities."""

    def __init__(self, settings: PreferenceSettings) -> None:
        super().__init__(settings)
        self._beta = settings.beta
        self._reference = Reference()
        self._tiled = False
        """Whether the trainer has given the model TRL's head, which never holds all scores at once."""

    @abstractmethod
    def tokenize(self, encoder: Encoder, examples: Sequence[Example], truncation: Truncation) -> ComparedDataset:
        """Raises `ProblemError` when the model's template refuses an example."""

    def tokenize_frozen(
        self,
        file: Path,
        recipe: Recipe,
        base: Path,
        tokenizer: Path | None = None,
        told: Callable[[int, int], None] = lambda done, of: None,
    ) -> ComparedDataset:
        """All at once: the reference looks at all of them before the first step."""
        read_as = reading_of(recipe, base, tokenizer)
        return self.tokenize(read_as.encoder, read_frozen(file) if file.is_file() else [], read_as.truncation)

    def rows(self, dataset: TokenizedDataset) -> Sequence[Row]:
        assert isinstance(dataset, ComparedDataset)
        return [
            {"input_ids": [list(one.ids) for one in both], "labels": [list(one.labels) for one in both]}
            for both in dataset.both
        ]

    def collate(self, rows: Sequence[Row]) -> Batch:
        """As `collate_both`, and `reference`, [examples, 2]."""
        batch = collate_both(rows)
        tokens = sum(len(one) for row in rows for one in row["input_ids"])
        batch[INFO] = BatchInfo(tuple(rows), tokens, len(rows))
        known = self._reference.train
        places = [row.get(POSITION) for row in rows]
        batch["reference"] = torch.zeros(len(rows), 2) if known is None or None in places else known[places]
        return batch

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
        assert isinstance(dataset, ComparedDataset) and isinstance(held_out, ComparedDataset)
        self._tiled = device.is_cuda and fits_tiled_head(model)
        key = _key(dataset, held_out, device)
        known = read_reference(run.reference, key)
        if known is None:
            text = N_("Asking the model how likely it holds the answers now, to compare with later.")
            context.phase("preparing", text)
            both = [*dataset.both, *held_out.both]

            def told(done: int) -> None:
                context.progress(done, len(both), "examples", text)

            found = both_log_probabilities(model, both, at_once, device, tiled=self._tiled, done=told)
            known = Reference(found[: len(dataset.encoded)], found[len(dataset.encoded) :])
            write_reference(run.reference, known, key)
        self._reference = known

    def example_scores(
        self, model: Network, held_out: TokenizedDataset, at_once: int, device: Device
    ) -> tuple[ExampleScore, ...]:
        assert isinstance(held_out, ComparedDataset)
        found = both_log_probabilities(model, held_out.both, at_once, device).tolist()
        if held_out.good:
            of_marked = zip(held_out.encoded, held_out.good, found, strict=True)
            return tuple(
                ExampleScore(first=sums[FIRST], tokens=one.label_tokens, good=good) for one, good, sums in of_marked
            )
        return tuple(
            ExampleScore(
                first=sums[FIRST], tokens=one.label_tokens, worse=sums[SECOND], worse_tokens=other.label_tokens
            )
            for (one, other), sums in zip(held_out.both, found, strict=True)
        )

    def _now_and_then(
        self, model: Network, held_out: TokenizedDataset, at_once: int, device: Device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The log probabilities of what is set aside, and those of the reference, [examples, 2] each."""
        assert isinstance(held_out, ComparedDataset) and self._reference.held_out is not None
        found = both_log_probabilities(model, held_out.both, at_once, device, tiled=self._tiled)
        return found, self._reference.held_out


class DpoObjective(ComparingObjective):
    """Besides, the better answers are learned as they are, by their mean loss over a token, so that long ones count no
    more than others (Pang et al. 2024, https://arxiv.org/abs/2404.19733)."""

    def __init__(self, settings: Dpo) -> None:
        super().__init__(settings)
        self._sft_weight = settings.sft_weight

    def tokenize(self, encoder: Encoder, examples: Sequence[Example], truncation: Truncation) -> ComparedDataset:
        return tokenize_pairs(encoder, examples, truncation)

    def loss(self, model: Network, inputs: Batch, head_of: Network | None = None, *, tiled: bool = False) -> SummedLoss:
        found = log_probabilities(model, inputs, head_of, tiled=tiled)
        tokens = (inputs["labels"][..., 1:] != IGNORE_INDEX).sum(dim=-1)
        losses, sums = self._compared(found, inputs["reference"], tokens)
        return SummedLoss(losses.sum(), len(losses), torch.stack(sums).detach())

    def score(self, model: Network, held_out: TokenizedDataset, at_once: int, device: Device) -> HeldOutScore:
        assert isinstance(held_out, ComparedDataset)
        found, before = self._now_and_then(model, held_out, at_once, device)
        tokens = torch.tensor([[one.label_tokens for one in both] for both in held_out.both])
        losses, sums = self._compared(found, before, tokens)
        return HeldOutScore(float(losses.mean()), preference_scores(sums, len(losses)))

    def _compared(
        self, found: torch.Tensor, before: torch.Tensor, tokens: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The loss of each pair, [pairs], and what `preference_scores` takes, from the log probabilities now and
        before and the counts of tokens, [pairs, 2] each."""
        rewards = self._beta * (found - before)
        margins = rewards[:, FIRST] - rewards[:, SECOND]
        sums = [_preferred(margins), margins.sum(), _preferred(_per_token(found, tokens))]
        learned = -found[:, FIRST] / tokens[:, FIRST]
        return -functional.logsigmoid(margins) + self._sft_weight * learned, sums


class KtoObjective(ComparingObjective):
    """Good and bad answers weigh the same together, however many there are of each: the paper keeps their ratio between
    1 and 4/3."""

    def __init__(self, settings: Kto) -> None:
        super().__init__(settings)
        self._weights = {True: 1.0, False: 1.0}

    def tokenize(self, encoder: Encoder, examples: Sequence[Example], truncation: Truncation) -> ComparedDataset:
        return tokenize_marked(encoder, examples, truncation)

    def rows(self, dataset: TokenizedDataset) -> Sequence[Row]:
        assert isinstance(dataset, ComparedDataset)
        return [{**row, "good": good} for row, good in zip(super().rows(dataset), dataset.good, strict=True)]

    def collate(self, rows: Sequence[Row]) -> Batch:
        """With `good`, [examples], beside what is there for pairs."""
        return {**super().collate(rows), "good": torch.tensor([bool(row["good"]) for row in rows])}

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
        assert isinstance(dataset, ComparedDataset)
        self._weights = balanced(sum(dataset.good), len(dataset.good) - sum(dataset.good))
        super().prepare(context, run, model, dataset, held_out, device, at_once)

    def complete(self, model: Network, batch: Batch, at_once: int, head_of: Network, *, tiled: bool) -> None:
        """Add `kl`, [examples]: by how much likelier the model now holds answers that have nothing to do with the
        question, the same for all of a batch, in however many pieces it is computed."""
        moved = []
        with torch.no_grad():
            for start in range(0, len(batch["good"]), at_once):
                piece = part_of(batch, start, start + at_once, self.collate)
                found = log_probabilities(model, piece, head_of, tiled=tiled, only=SECOND)
                moved.append(found[:, 0] - piece["reference"][:, SECOND])
        batch["kl"] = torch.cat(moved).mean().clamp(min=0).expand(len(batch["good"]))

    def loss(self, model: Network, inputs: Batch, head_of: Network | None = None, *, tiled: bool = False) -> SummedLoss:
        found = log_probabilities(model, inputs, head_of, tiled=tiled, only=FIRST)[:, 0]
        ratios, good = found - inputs["reference"][:, FIRST], inputs["good"]
        kl = inputs.get("kl", torch.zeros_like(ratios))  # a trial of what fits needs no numbers
        gained = self._beta * torch.where(good, ratios, -ratios)
        return SummedLoss(self._losses(ratios, good, kl).sum(), len(ratios), _gains(gained.detach()))

    def _losses(self, ratios: torch.Tensor, good: torch.Tensor, kl: torch.Tensor) -> torch.Tensor:
        ahead = self._beta * torch.where(good, ratios - kl, kl - ratios)
        weights = torch.where(good, self._weights[True], self._weights[False])
        return weights * (1 - torch.sigmoid(ahead))

    def score(self, model: Network, held_out: TokenizedDataset, at_once: int, device: Device) -> HeldOutScore:
        assert isinstance(held_out, ComparedDataset)
        found, before = self._now_and_then(model, held_out, at_once, device)
        ratios, good = (found - before)[:, FIRST], torch.tensor(held_out.good)
        kl = (found - before)[:, SECOND].mean().clamp(min=0)
        gained = self._beta * torch.where(good, ratios, -ratios)
        loss = float(self._losses(ratios, good, kl).mean())
        return HeldOutScore(loss, preference_scores(list(_gains(gained)), len(ratios)))


def balanced(good: int, bad: int) -> dict[bool, float]:
    """The weights of good and of bad answers: 1 while the good ones are 1 to 4/3 times the bad ones, else what brings
    their ratio there (Ethayarajh et al. 2024, section 4.2)."""
    if not good or not bad:
        return {True: 1.0, False: 1.0}
    ratio = good / bad
    return {True: max(1.0, 1 / ratio), False: max(1.0, ratio * 3 / 4)}


def preference_scores(sums: Sequence[torch.Tensor | float], count: int) -> PreferenceScores:
    """From the sums that `SummedLoss.measures` holds of `count` examples."""
    accuracy, margin, *likelier = (float(one) / count for one in sums)
    return PreferenceScores(accuracy=accuracy, margin=margin, likelier=likelier[0] if likelier else None)


def tokenize_pairs(encoder: Encoder, examples: Sequence[Example], truncation: Truncation) -> ComparedDataset:
    """Only the last answer of each has labels. Where a cut leaves nothing of an answer, or nothing in which both
    differ, there is nothing to learn. Examples without a worse answer count as left out. Raises `ProblemError`."""
    made = [truncate_pair(encoder, example, truncation) for example in examples]
    same = [both is not None and both[FIRST].ids == both[SECOND].ids for both in made]
    return _compared(made, encoder, same)


def tokenize_marked(encoder: Encoder, examples: Sequence[Example], truncation: Truncation) -> ComparedDataset:
    """The last answer of each that somebody marked, and beside it the answer of the one before it, as if it were given
    to the same question. Raises `ProblemError`."""
    marked = [truncate_last(encoder, example, truncation) for example in examples]
    kept = [one for one in marked if one is not None and one.label_tokens]
    answers = [_answer_of(one) for one in kept]
    mixed = iter([_answered(one, answers[place - 1], encoder.max_length) for place, one in enumerate(kept)])
    both = [None if one is None else (one, next(mixed) if one.label_tokens else one) for one in marked]
    dataset = _compared(both, encoder, [False] * len(both))
    return replace(dataset, good=tuple(bool(examples[number].good) for number in dataset.examples))


def _compared(
    made: Sequence[tuple[Encoded, Encoded] | None], encoder: Encoder, useless: Sequence[bool]
) -> ComparedDataset:
    usable = {
        number: both
        for number, both in enumerate(made)
        if both is not None and all(one.label_tokens for one in both) and not useless[number]
    }
    counts = DatasetCounts(
        examples=len(usable),
        tokens=sum(len(one.ids) for both in usable.values() for one in both),
        label_tokens=sum(one.label_tokens for both in usable.values() for one in both),
        cut=sum(any(one.truncated_tokens for one in both) for both in usable.values()),
        nothing_left=sum(both is not None for both in made) - len(usable),
        left_out=sum(both is None for both in made),
    )
    first, second = (tuple(both[place] for both in usable.values()) for place in (FIRST, SECOND))
    return ComparedDataset(first, counts, tuple(usable), encoder.adaptations, second)


def _answer_of(encoded: Encoded) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens from the first one with a label on, and their labels."""
    start = next(place for place, label in enumerate(encoded.labels) if label != IGNORE_INDEX)
    return encoded.ids[start:], encoded.labels[start:]


def _answered(encoded: Encoded, answer: tuple[tuple[int, ...], tuple[int, ...]], most: int) -> Encoded:
    """The same question with another answer."""
    start = len(encoded.ids) - len(_answer_of(encoded)[0])
    ids, labels = (*encoded.ids[:start], *answer[0])[:most], (*encoded.labels[:start], *answer[1])[:most]
    return Encoded(ids, labels, "", 0, sum(label != IGNORE_INDEX for label in labels[1:]))


def collate_both(rows: Sequence[Row]) -> Batch:
    """`input_ids`, `attention_mask` and `labels`, each [examples, 2, longest], padded at the right; and the `Labels`,
    `scored` those of all sequences one after the other, `scored_alone` those of the first ones and of the second ones.
    """
    flat = [{name: row[name][place] for name in ("input_ids", "labels")} for row in rows for place in (FIRST, SECOND)]
    both = collate(flat)
    batch: Batch = {name: both[name].view(len(rows), 2, -1) for name in ("input_ids", "attention_mask", "labels")}
    alone = tuple(Labels.of(batch["labels"][:, place]) for place in (FIRST, SECOND))
    return {**batch, "scored": both["scored"], "scored_alone": alone}


def log_probabilities(
    model: Network, inputs: Batch, head_of: Network | None = None, *, tiled: bool = False, only: int | None = None
) -> torch.Tensor:
    """The summed log probabilities of the tokens with a label, [examples, 2], in float32; of one of both with `only`,
    [examples, 1]. `inputs` as `collate_both` makes them."""
    chosen = slice(None) if only is None else slice(only, only + 1)
    tensors = [name for name in ("input_ids", "attention_mask") if name in inputs]
    flat: Batch = {name: inputs[name][:, chosen].flatten(0, 1) for name in tensors}
    flat["scored"] = inputs["scored"] if only is None else inputs["scored_alone"][only]
    sums = sequence_log_probabilities(model, flat, head_of, tiled=tiled)
    return sums.view(len(inputs["input_ids"]), -1)


def both_log_probabilities(
    model: Network,
    both: Sequence[tuple[Encoded, Encoded]],
    at_once: int,
    device: Device,
    *,
    tiled: bool = False,
    done: Callable[[int], None] = lambda _: None,
) -> torch.Tensor:
    """The same for all, `at_once` of them at a time, in their order, in the computer's own memory. The model is left as
    it was."""
    found, counted = torch.zeros(len(both), 2), 0
    order = sorted(range(len(both)), key=lambda place: max(len(one.ids) for one in both[place]))
    with eval_mode(model), torch.no_grad(), autocast(device):
        for places in _in_parts(order, at_once):
            rows: list[Row] = [
                {"input_ids": [one.ids for one in both[place]], "labels": [one.labels for one in both[place]]}
                for place in places
            ]
            inputs = moved(collate_both(rows), device.torch_device)
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


def _per_token(found: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """By how much the first answer's mean log probability of a token exceeds the second one's."""
    means = found / tokens
    return means[:, FIRST] - means[:, SECOND]


def _gains(gained: torch.Tensor) -> torch.Tensor:
    """How many marked answers went the way that their mark says, and by how much all together."""
    return torch.stack([_preferred(gained), gained.sum()])


@dataclass(frozen=True)
class Reference:
    """Log probabilities of the model with which a training began, [examples, 2]; None before they are known."""

    train: torch.Tensor | None = None
    held_out: torch.Tensor | None = None


def _key(dataset: ComparedDataset, held_out: ComparedDataset, device: Device) -> str:
    """Changes with the tokens, and with the number format that they are computed in."""
    digest = hashlib.sha256(str(device.dtype).encode())
    for both in (*dataset.both, *held_out.both):
        for one in both:
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
