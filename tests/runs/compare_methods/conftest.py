"""A base model without weights, as in the tests of `studio.runs`."""

from tests.runs.conftest import base_model, make_run

__all__ = ["base_model", "make_run"]
