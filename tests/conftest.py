"""Every test gets its own data folder; the starter model is shared, read only, from the user's real one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from studio.core import paths
from tests.faults.table import pytest_terminal_summary as pytest_terminal_summary

# asked before any test changes where things are kept
STARTER = paths.starter_model()

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
    "+ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def pytest_configure(config: pytest.Config) -> None:
    """A screen for each of several processes: windows of two tests would take the keyboard from each other."""
    if hasattr(config, "workerinput") and sys.platform == "linux" and os.environ.get("DISPLAY"):
        server = shutil.which("Xvfb")
        if server is not None:
            reading, writing = os.pipe()
            command = [server, "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
            screen = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
            os.close(writing)
            with os.fdopen(reading) as answer:
                number = answer.readline().strip()
            if number:  # nothing where no screen could be started: then they share the one that is there
                os.environ["DISPLAY"] = f":{number}"
            config.add_cleanup(screen.terminate)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder for this test and the processes it starts."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv(paths.HOME_VARIABLE, str(folder))
    return folder


@pytest.fixture(scope="session")
def starter_folder() -> Path:
    """The converted starter model. `bootstrap.py test` fetches it; a bare pytest run may lack it."""
    if not (STARTER / "model.safetensors").is_file():
        if os.environ.get("CI"):
            pytest.fail("the starter model is missing: run packaging/bootstrap.py test")
        pytest.skip("the starter model isn't here: `studio fetch starter` brings it")
    return STARTER


@pytest.fixture
def home_with_starter(home: Path, starter_folder: Path) -> Path:
    """A data folder in which the starter model is already there."""
    folder = home / "models"
    folder.mkdir()
    (folder / starter_folder.name).symlink_to(starter_folder, target_is_directory=True)
    return home


@pytest.fixture(scope="session")
def llama_cpp() -> Path:
    """The user's real folder of tools, with llama.cpp in it, fetched now where it isn't there yet."""
    home = STARTER.parent.parent
    command = [sys.executable, "-m", "studio", "fetch", "llama.cpp"]
    done = subprocess.run(command, env={**os.environ, paths.HOME_VARIABLE: str(home)}, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.fail(f"llama.cpp can't be fetched: {done.stderr}")
    return home / "tools"


@pytest.fixture
def home_with_llama_cpp(home: Path, llama_cpp: Path) -> Path:
    """A data folder in which llama.cpp is already there."""
    (home / "tools").symlink_to(llama_cpp, target_is_directory=True)
    return home


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a tokenizer of its own (bytes, 400 pieces, ChatML marks) and a template; no weights."""
    folder = tmp_path_factory.mktemp("small-model")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    told = ["My parcel is late and I am worried about it.", "TEAM: delivery MOOD: worried", "system user assistant"] * 9
    tokenizer.train_from_iterator(told, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text(CHATML)
    return folder
