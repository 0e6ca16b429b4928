"""The order of the examples depends on the seed and the epoch alone, and pads little."""

from __future__ import annotations

from studio.engine.training.sampler import LengthGroupedSampler


def test_each_pass_learns_everything_once_in_an_order_that_depends_on_seed_and_pass_alone() -> None:
    lengths = [n % 17 + 1 for n in range(101)]
    order = LengthGroupedSampler(lengths, 4, seed=3)
    first = list(order)
    assert sorted(first) == list(range(101)) and list(LengthGroupedSampler(lengths, 4, seed=3)) == first
    assert list(LengthGroupedSampler(lengths, 4, seed=4)) != first
    order.set_epoch(1)
    second = list(order)
    assert sorted(second) == list(range(101)) and second != first
    assert max(lengths[i] for i in first[:4]) == max(lengths)  # what needs most memory comes first


def test_every_example_comes_once_a_pass_in_an_order_that_repeats() -> None:
    lengths = [(7 * n) % 50 + 1 for n in range(45)]
    passes = []
    for epoch in (0, 1):
        sampler = LengthGroupedSampler(lengths, 4, seed=3)
        sampler.set_epoch(epoch)
        passes.append(list(sampler))
        assert sorted(passes[-1]) == list(range(45))
        assert list(sampler) == passes[-1]
    assert passes[0] != passes[1]
    batches = [passes[0][i : i + 4] for i in range(0, 45, 4)]
    padded = sum(len(b) * max(lengths[i] for i in b) for b in batches)
    assert padded < 1.25 * sum(lengths)
    assert max(lengths[i] for i in batches[0]) == max(lengths)
