"""Imported once by the process that trainers are forked from: what a training imports, on one thread."""

from __future__ import annotations

import os
from importlib import import_module

from studio.engine.environment import prepare_environment

os.environ["OMP_NUM_THREADS"] = "1"  # like the rest of the environment, read while the libraries are imported
prepare_environment(online=False)
import_module("studio.engine.training.job")
