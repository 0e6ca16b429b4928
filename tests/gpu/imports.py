"""Whether all that training needs is here and works on the card: `python -m tests.gpu.imports`.

Prints versions and the card, and everything that fails rather than only the first. Ends with 1 when anything does.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    *("torch", "triton", "transformers", "tokenizers", "huggingface_hub", "safetensors", "accelerate", "peft", "trl"),
    *("datasets", "bitsandbytes", "pyarrow", "pandas", "numpy", "pydantic", "platformdirs", "psutil", "pynvml"),
    *("jinja2", "yaml", "pytest"),
)
"""By the names under which they are imported."""

OURS = (
    *("studio.core.recipe.recipe", "studio.tokenization.encoding", "studio.memory.estimate"),
    *("studio.engine.training.job", "studio.engine.training.memory_probe", "studio.engine.memory.trace"),
    *("studio.engine.exam.exam", "tests.engine.conftest", "tests.gpu.measure"),
)

NAMED_OTHERWISE = {"pynvml": "nvidia-ml-py", "yaml": "PyYAML"}


def main() -> int:
    failed = [name for name in (*PACKAGES, *OURS) if not _works(name, partial(importlib.import_module, name))]
    _say("python", sys.version.split()[0])
    for name in PACKAGES:
        try:
            _say(name, version(NAMED_OTHERWISE.get(name, name)))
        except PackageNotFoundError:
            _say(name, "no version known")
    if not failed:
        failed += [check.__name__ for check in (card, four_bits, compiled_loss) if not _works(check.__name__, check)]
    _say("failed", ", ".join(failed) or "nothing")
    return 1 if failed else 0


def card() -> None:
    import torch

    found = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info(0)
    _say("card", f"{found.name}, {found.major}.{found.minor}, {total >> 20} MiB, {free >> 20} free")
    _say("CUDA", f"{torch.version.cuda}, bfloat16 {torch.cuda.is_bf16_supported(including_emulation=False)}")


def four_bits() -> None:
    """bitsandbytes ends the process where its library doesn't suit the card, so it is tried on its own."""
    import bitsandbytes as bnb
    import torch

    plain = torch.randn(128, 256, device="cuda", dtype=torch.bfloat16)
    packed, state = bnb.functional.quantize_4bit(plain, quant_type="nf4", compress_statistics=True)
    off = (bnb.functional.dequantize_4bit(packed, state) - plain).abs().mean()
    if not float(off) < 0.2:
        raise ValueError(f"4-bit weights are off by {float(off)} on average")


def compiled_loss() -> None:
    """TRL's loss is a Triton kernel, which wants a C compiler."""
    import torch
    from trl.kernels.chunked_logprob import ChunkedLogProbFunction

    hidden = torch.randn(8, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    head = torch.randn(1000, 64, device="cuda", dtype=torch.bfloat16)
    wanted = torch.arange(8, device="cuda")
    found = ChunkedLogProbFunction.apply(hidden, head, None, wanted, 1.0, 512, None, 1.0, ())[0]
    found.sum().backward()
    right = torch.log_softmax((hidden @ head.T).float(), -1)[wanted, wanted]
    if not torch.allclose(found, right, rtol=0.05, atol=0.5):
        raise ValueError("the loss in tiles isn't the plain one")


def _works(name: str, check: Callable[[], object]) -> bool:
    try:
        check()
    except BaseException as error:  # one that ends the process included
        _say(name, f"fails: {type(error).__name__}: {str(error)[:500]}")
        traceback.print_exc()
        return False
    return True


def _say(name: str, text: str) -> None:
    print(f"{name}: {text}", flush=True)  # noqa: T201 - a command's answer


if __name__ == "__main__":
    sys.exit(main())
