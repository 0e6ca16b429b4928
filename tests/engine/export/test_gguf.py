"""A run as one GGUF file: made by llama.cpp's own programs, with the tokenizer, template and ends of the training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from studio.core.events import Exported
from studio.core.job_states import ExportState
from studio.core.jobs import ExportGguf, Train
from studio.core.run_folder import RunFolder
from studio.engine.export.gguf import file_name
from studio.models.gguf import FileType, file_type, gguf_size
from tests.engine.conftest import do_here, save_tiny_model

Make = Callable[..., RunFolder]


@pytest.fixture(scope="session")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough for K-quants."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "wide", width=512)


@pytest.fixture
def fine_tuned(make_run: Make, wide_model: Path) -> RunFolder:
    run = make_run(held_out=2, **{"model.name": str(wide_model), "training.epochs": 0.5})
    assert do_here(run, Train()) == 0
    return run


def _exported(run: RunFolder, out: Path, wanted: FileType, compare: int = 0) -> Exported:
    job = run.job("gguf")
    done = do_here(job, ExportGguf(run=run.path, out=out, file_type=wanted.name, compare=compare, readme="# Model\n"))
    assert done == 0, job.fold(ExportState()).ending
    exported = job.fold(ExportState()).exported
    assert exported is not None
    return exported


@pytest.mark.parametrize("name", ["q8_0", "q4_k_m"])
def test_one_file_with_all_that_a_chat_needs(
    name: str, fine_tuned: RunFolder, wide_model: Path, tmp_path: Path, home_with_llama_cpp: Path
) -> None:
    wanted = file_type(name)
    exported = _exported(fine_tuned, tmp_path / "out", wanted)
    out = Path(exported.folder)
    assert (exported.to, exported.quality, out) == ("gguf", wanted.quality, tmp_path / "out")
    file = out / f"model-{wanted.term}.gguf"
    assert {path.name for path in out.iterdir()} == {file.name, "README.md", "chat_template.jinja"}
    assert file.stat().st_size == pytest.approx(gguf_size(wide_model, wanted), rel=0.01)
    read = gguf.GGUFReader(file)
    assert read.fields["tokenizer.chat_template"].contents() == (out / "chat_template.jinja").read_text()
    assert read.fields["tokenizer.ggml.eos_token_id"].contents() == 257
    assert not read.fields["tokenizer.ggml.add_eos_token"].contents()
    assert read.fields["general.file_type"].contents() == wanted.number
    types = {tensor.tensor_type.name for tensor in read.tensors}
    assert wanted.stored in types


def test_its_name_is_one_that_every_program_can_open() -> None:
    best = file_type("best")
    assert file_name("Zürich: support v1.2!", best) == "Z-rich-support-v1.2-Q8_0.gguf"
    assert file_name("택배 문의", best) == "model-Q8_0.gguf"
