"""The order of the examples as a sampler, see `example_order`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from studio.engine.training.example_order import ExampleOrder


class LengthGroupedSampler(Sampler[int]):
    """`seed` and the pass (`set_epoch`) decide the order. `lengths` are looked at as late as the order allows;
    `longest` are all that have the greatest length, found among `lengths` where they aren't given."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, longest: Sequence[int] | None = None) -> None:
        if longest is None:
            most = max(lengths, default=0)
            longest = [position for position, length in enumerate(lengths) if length == most]
        self._lengths = lengths
        self._longest = longest
        self._batch = batch
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        order = ExampleOrder(len(self._lengths), self._batch, self._seed, self._epoch, self._longest)
        return order.positions(self._lengths)
