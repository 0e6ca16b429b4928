"""A recipe survives YAML, refuses what it doesn't know, and describes every setting for people."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from studio.core.problems import ProblemError
from studio.core.recipe.method import Lora, Method, MethodName, MethodSettings
from studio.core.recipe.recipe import Recipe, load, parse, setting_specs, to_yaml, with_value, with_values
from studio.core.recipe.settings import value_of

KINDS = tuple(kind().kind for kind in get_args(get_args(Method)[0]))


def test_a_recipe_written_to_yaml_and_read_again_is_equal(tmp_path: Path) -> None:
    recipe = with_values(
        Recipe(name="한국어 답변"),
        {"training.epochs": 2.5, "data.mapping": {"question": "질문", "answer": "답변"}, "method.rank": 64},
    )
    file = tmp_path / "recipe.yaml"
    file.write_text(to_yaml(recipe), encoding="utf-8")
    assert load(file) == recipe


def test_every_setting_has_a_label_and_help_and_can_be_read_and_written_by_its_key() -> None:
    assert len(setting_specs()) > 25
    for one in setting_specs():
        recipe = with_value(Recipe(), f"{one.group}.kind", one.only_with[0]) if one.only_with else Recipe()
        assert one.setting.label and one.setting.help.endswith("."), one.key
        assert with_value(recipe, one.key, value_of(recipe, one.key)) == recipe
        if one.automatic:
            assert one.default is None
        if one.choices:
            assert {str(value) for _, value in one.setting.named} == set(one.choices), one.key


def test_a_recipe_says_in_which_format_it_is_written_and_one_by_hand_need_not() -> None:
    assert yaml.safe_load(to_yaml(Recipe()))["version"] == 1
    assert parse({"training": {"epochs": 2}}) == with_value(Recipe(), "training.epochs", 2)


def test_another_method_keeps_what_both_know_and_drops_the_rest() -> None:
    recipe = with_values(Recipe(), {"method.rank": 64, "method.double_quantization": False})
    other = with_value(recipe, "method.kind", "lora")
    assert isinstance(other.method, Lora) and other.method.rank == 64
    with pytest.raises(KeyError):
        value_of(other, "method.double_quantization")
    with pytest.raises(ProblemError) as refused:
        with_value(other, "method.double_quantization", True)
    assert refused.value.problem.code == "recipe.not_with_this_kind"
    back = with_values(other, {"method.double_quantization": False, "method.kind": "qlora"})  # the kind counts first
    assert back == recipe


def test_settings_are_those_of_all_methods_or_of_the_chosen_one() -> None:
    specs = {spec.key: spec for spec in setting_specs()}
    assert specs["method.kind"].choices == KINDS and specs["method.kind"].default == "qlora"
    assert specs["method.double_quantization"].only_with == ("qlora",)
    assert specs["method.compute_dtype"].only_with == ()
    of_lora = {spec.key for spec in setting_specs(with_value(Recipe(), "method.kind", "lora"))}
    only_qlora = {f"method.{name}" for name in ("quant_type", "double_quantization", "loftq")}
    of_qlora = {spec.key for spec in setting_specs() if not spec.only_with or "qlora" in spec.only_with}
    assert {key for key in of_qlora - of_lora if key.startswith("method.")} == only_qlora


def test_every_method_has_a_name_and_an_estimate() -> None:
    for kind in get_args(get_args(Method)[0]):
        assert issubclass(kind, MethodSettings) and kind.title and kind.choice
        assert kind().kind in get_args(MethodName)


def test_five_settings_are_simple() -> None:
    assert [d.key for d in setting_specs() if d.setting.level == "simple"] == [
        "method.kind",
        "training.epochs",
        "training.strength",
        "training.max_length",
        "training.rehearsal",
    ]


@pytest.mark.parametrize(
    ("tree", "code", "words"),
    [
        ({"training": {"epocs": 3}}, "recipe.unknown_setting", "training.epochs"),
        ({"trainning": {"epochs": 3}}, "recipe.unknown_setting", "trainning"),
        ({"learning_rate": 1e-4}, "recipe.unknown_setting", "training.learning_rate"),
        ({"training": {"epochs": "many"}}, "recipe.wrong_value", "Passes over your data"),
        ({"training": {"epochs": 0}}, "recipe.wrong_value", "0 - 50"),
        ({"training": {"learning_rate": float("nan")}}, "recipe.wrong_value", "learning_rate"),
        ({"training": 3}, "recipe.wrong_value", "training"),
        ({"method": {"kind": "dora"}}, "recipe.wrong_value", "qlora, lora"),
        ({"method": {"kind": ["lora"]}}, "recipe.wrong_value", "qlora, lora"),
        ({"method": {"rank": 1.5}}, "recipe.wrong_value", "method.rank"),
        ({"method": {"kind": "lora", "rank": 0}}, "recipe.wrong_value", "Room for new knowledge"),
        ({"method": {"kind": "lora", "double_quantization": True}}, "recipe.not_with_this_kind", "method.kind: qlora"),
        ({"method": {"kind": "lora", "ranc": 8}}, "recipe.unknown_setting", "method.rank"),
        ({"method": 3}, "recipe.wrong_value", "method"),
        ({"version": 2}, "recipe.newer", "newer version of the program"),
        ({"version": 0}, "recipe.older", "older version of the program"),
        ({"version": "1"}, "recipe.older", "older version of the program"),
        ([1, 2], "recipe.not_a_mapping", "no settings"),
        ("text", "recipe.not_a_mapping", "no settings"),
        (None, "recipe.not_a_mapping", "no settings"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tree: object, code: str, words: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse(tree)
    assert caught.value.problem.code == code
    assert words in caught.value.problem.english()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"training: [unclosed", "recipe.not_yaml"),
        (b"a: b: c", "recipe.not_yaml"),
        (b"\xff\xfe\x00\x01binary", "recipe.unreadable"),
        (b"", "recipe.not_a_mapping"),
        (b"!!python/object/apply:os.system ['true']", "recipe.not_yaml"),
    ],
)
def test_a_damaged_recipe_file_is_a_problem_in_words(tmp_path: Path, content: bytes, code: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes(content)
    with pytest.raises(ProblemError) as caught:
        load(file)
    assert caught.value.problem.code == code
    assert caught.value.problem.fix


def test_a_missing_recipe_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        load(tmp_path / "none.yaml")
    assert "none.yaml" in caught.value.problem.english()


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_whatever_stands_in_a_recipe_file_gives_a_recipe_or_a_problem(tree: object) -> None:
    try:
        recipe = parse(tree)
    except ProblemError as error:
        assert error.problem.what
    else:
        assert parse(yaml.safe_load(to_yaml(recipe))) == recipe
