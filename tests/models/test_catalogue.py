"""The list of models: its published totals are what its configs add up to, and each has a licence."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from studio.models.catalogue import catalogue, named, read_catalogue


def test_there_are_models_from_a_tenth_to_seventy_billion_parameters() -> None:
    models = catalogue()
    assert len(models) >= 25
    assert models[0].parameters < 200_000_000
    assert models[-1].parameters > 69_000_000_000
    assert len({model.name for model in models}) == len(models)


@pytest.mark.parametrize("model", catalogue(), ids=lambda model: model.name)
def test_the_config_adds_up_to_the_published_total(model: object) -> None:
    from studio.models.catalogue import CatalogueModel

    assert isinstance(model, CatalogueModel)
    assert model.shape.parameters == model.parameters


def test_every_model_has_a_licence_and_free_ones_are_known_as_free() -> None:
    for model in catalogue():
        assert model.licence
        assert model.restricts_use == (model.licence not in ("Apache-2.0", "MIT")), model.name


def test_a_name_is_found_in_any_case() -> None:
    found = named(" qwen/qwen3-0.6b ")
    assert found is not None and found.name == "Qwen/Qwen3-0.6B"
    assert named("nobody/nothing") is None


def test_an_entry_with_a_wrong_key_is_a_defect(tmp_path: Path) -> None:
    entry = {"name": "a/b", "parameters": 1, "license": "MIT", "restricts_use": False, "chat": True, "config": {}}
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": [entry]}))
    with pytest.raises(ValidationError):
        read_catalogue(tmp_path / "models.yaml")
