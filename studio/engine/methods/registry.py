"""Which class does a method of the recipe. A method that is missing here is an error of types."""

from __future__ import annotations

from typing import assert_never

from studio.core.recipe.method import Lora, Method, QLora
from studio.engine.methods.lora import LoraMethod
from studio.engine.methods.method import TrainingMethod


def method_of(settings: Method) -> TrainingMethod:
    """The method that `settings` of a recipe describe."""
    match settings:
        case QLora() | Lora():
            return LoraMethod(settings)
        case _:
            assert_never(settings)
