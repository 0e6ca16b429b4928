"""Every method's training goes on from its save points, and becomes what it would have become without the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from studio.core.jobs import Train
from studio.core.run_folder import RunFolder
from tests.engine.conftest import do_here
from tests.engine.training.test_resume import SHORT, assert_the_same, train_until

OFTEN: list[dict[str, object]] = [
    {"method.kind": "lora", "method.pissa": True, "method.use_rslora": True, "method.exclude": "0"},
    {"method.kind": "full"},
    {"method.kind": "prefix", "method.base": "4-bit", "training.learning_rate": 0.1},
    {"method.kind": "bottleneck", "method.base": "4-bit", "method.placement": "feed-forward"},
]
MORE: list[dict[str, object]] = [
    {"method.kind": "qlora", "method.quant_type": "fp4", "method.loftq": True},
    {"method.kind": "qlora", "method.use_dora": True, "method.loraplus_lr_ratio": 16.0},
    {"method.kind": "lora", "method.train_embeddings": True, "method.target_modules": "attention"},
    {"method.kind": "lora-8bit"},
    {"method.kind": "prompt", "training.learning_rate": 0.1},
]
WAYS = [*OFTEN, *(pytest.param(values, marks=pytest.mark.slow) for values in MORE)]


def name_of(values: dict[str, object]) -> str:
    return "-".join(str(value) if key == "method.kind" else key.partition(".")[2] for key, value in values.items())


@pytest.mark.parametrize("values", WAYS, ids=name_of)
def test_it_becomes_the_same_bit_for_bit(make_run: Callable[..., RunFolder], values: dict[str, object]) -> None:
    settings = {**SHORT, "training.learning_rate": 1e-3, **values}
    whole, stopped = (make_run(name, learned=15, **settings) for name in ("whole", "stopped"))
    assert do_here(whole, Train()) == 0
    losses = whole.state().held_out_losses
    assert losses[-1][1] < losses[0][1], "it learned"
    train_until(stopped, 5, Train())
    assert do_here(stopped, Train(resume=True)) == 0
    assert_the_same(stopped, whole, 8)
