"""What a method can't train in a base model is refused before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.core.recipe.method import AdapterLayers, Lora, MethodSettings, PrefixTuning, QLora
from studio.models.fitting import require_fitting
from tests.dataset.conftest import problem_of
from tests.models.test_base_model import write_weights


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers, 64 wide, of which four numbers go to the keys."""
    folder = tmp_path_factory.mktemp("base")
    told = {"model_type": "llama", "hidden_size": 64, "max_position_embeddings": 100, "num_hidden_layers": 2}
    (folder / "config.json").write_text(json.dumps(told))
    inside = {"self_attn.q_proj": [64, 64], "self_attn.k_proj": [4, 64], "mlp.down_proj": [64, 128]}
    layers = {f"model.layers.{n}.{name}.weight": shape for n in range(2) for name, shape in inside.items()}
    norms = {f"model.layers.{n}.input_layernorm.weight": [64] for n in range(2)}
    write_weights(folder / "model.safetensors", {"model.embed_tokens.weight": [99, 64], **layers, **norms})
    return folder


@pytest.mark.parametrize(
    ("method", "code", "words"),
    [
        (Lora(target_modules="q_prj"), "model.no_such_layers", "down_proj, k_proj, q_proj"),
        (QLora(exclude="q_proj, k_proj, down_proj"), "model.no_such_layers", "empty"),
        (Lora(target_modules="q_proj, v_prj"), "method.no_such_name", "called v_prj"),
        (
            QLora(exclude="q_proj, up_prj"),
            "method.no_such_name",
            'called up_prj, which stands in "Layers to leave out"',
        ),
        (QLora(exclude="up_prj"), "method.no_such_name", "down_proj, k_proj, q_proj"),
        (QLora(exclude="0-2"), "method.no_such_layer", "no layer 2: they are counted from 0 to 1"),
        (
            Lora(rank=65),
            "method.too_large",
            '"Room for new knowledge" is 65, but the layers that learn are only 64 wide',
        ),
        (Lora(rank=8, target_modules="k_proj"), "method.too_large", "Choose at most 4"),
        (AdapterLayers(width=65), "method.too_large", "Width of the added layers"),
        (PrefixTuning(virtual_tokens=50), "method.no_room_to_read", "reads 100 tokens"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(
    base: Path, method: MethodSettings, code: str, words: str
) -> None:
    found = problem_of(lambda: require_fitting(base, method))
    assert found.code == code and words in found.english()


@pytest.mark.parametrize(
    "method",
    [
        Lora(rank=64),
        QLora(target_modules="attention"),
        Lora(rank=4, target_modules="self_attn.k_proj, q_proj", exclude="0"),
        Lora(target_modules="embed_tokens"),
        AdapterLayers(width=64),
        PrefixTuning(),
    ],
)
def test_what_fits_is_let_through(base: Path, method: MethodSettings) -> None:
    require_fitting(base, method)


def test_a_model_that_is_built_in_another_way_is_left_to_the_library(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    write_weights(tmp_path / "model.safetensors", {"x": [3]})
    require_fitting(tmp_path, Lora(target_modules="q_proj"))
