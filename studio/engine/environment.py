"""The environment of a job's process: no network and no token unless it is to download something."""

from __future__ import annotations

import os
import sys


def prepare_environment(online: bool, *, found_token: bool = True) -> None:
    """Keep the Hub's library off the network unless the job is to go there, and without a token that it would find on
    this computer by itself unless that may be used: what is uploaded goes to the account that a person chose."""
    os.environ.update(
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_DATASETS_TRUST_REMOTE_CODE="0",
        DO_NOT_TRACK="1",
        TOKENIZERS_PARALLELISM="false",
        TRANSFORMERS_NO_ADVISORY_WARNINGS="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        BITSANDBYTES_NOWELCOME="1",
        WANDB_DISABLED="true",
    )
    if not online:
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1")
        os.environ.update(HF_HUB_DISABLE_XET="1", USE_HUB_KERNELS="0")
    if not online or not found_token:
        os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN"):
            os.environ.pop(name, None)
    if sys.platform == "linux":  # not supported on Windows
        os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
        # Threads that wait for each other spin only briefly. By default they burn a whole core doing so, and when
        # anything else, such as the window, needs that core, training becomes ten times slower.
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def rank_of_process() -> int | None:
    """Which process of a training this one was started as, by torchrun's names; None for one that is alone."""
    return int(os.environ.get("RANK", "0")) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else None
