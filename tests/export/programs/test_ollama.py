"""Ollama gets a model by its own command, with a Modelfile that says all it must know, and never over another model."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from studio.core import storage
from studio.core.problems import Problem, ProblemError
from studio.core.storage import Manifest, listed, write_manifest
from studio.core.translatable import Sentence
from studio.export.programs import modelfile
from studio.export.programs.modelfile import write_modelfile
from studio.export.programs.ollama import OLLAMA
from studio.export.programs.program import Cancelled, HandedOver, Handover
from tests.export.programs.conftest import save_gguf
from tests.export.programs.test_ollama_template import COUNTED, UNSAYABLE
from tests.fakes.ollama import FakeOllama, install_ollama, read_modelfile

Finished = Callable[..., Handover]


def hand_over(handover: Handover) -> HandedOver:
    return OLLAMA.hand_over(handover, lambda done, total: None)


def refusal(handover: Handover) -> Problem:
    with pytest.raises(ProblemError) as caught:
        hand_over(handover)
    assert caught.value.problem.fix
    return caught.value.problem


def written(handover: Handover) -> dict[str, list[str]]:
    """Values of the Modelfile by command, as Ollama reads them."""
    write_modelfile(handover.run, handover.export)
    held: dict[str, list[str]] = {}
    for name, value in read_modelfile((handover.export / "Modelfile").read_text(encoding="utf-8")):
        held.setdefault(name, []).append(value)
    return held


def english(sentences: tuple[Sentence, ...]) -> str:
    return " ".join(one.english() for one in sentences)


def test_a_model_is_created_with_template_instructions_stop_words_and_parameters(
    ollama: FakeOllama, finished: Finished
) -> None:
    handover = finished(**{"data.system_prompt": " 고객에게 짧게 답한다.\nNever promise. "})
    found = OLLAMA.find()
    assert found is not None
    assert (found.place, found.version) == (ollama.executable, "0.12.6")
    not_made_yet = replace(handover, export=handover.export.with_name("gguf-later"))
    assert "Modelfile" in english(OLLAMA.plan(not_made_yet))
    handed = hand_over(handover)
    assert handed.lines[0].text == "ollama run support"
    assert "the same in 8 of 8 conversations" in english(handed.notices)
    model = ollama.models["support:latest"]
    assert model["system"] == "고객에게 짧게 답한다.\nNever promise."
    assert "<|im_start|>assistant" in str(model["template"])
    assert model["stop"] == ["<|im_end|>", "<|im_start|>"]
    assert model["parameters"] == {"temperature": "0", "repeat_penalty": "1", "num_ctx": "2048"}
    assert Path(str(model["file"])).samefile(next(handover.export.glob("*.gguf")))


def test_it_is_found_where_its_installer_puts_it(user_home: Path) -> None:
    executable = install_ollama(user_home / "programs").executable
    found = OLLAMA.find()
    assert found is not None
    assert found.place == executable


def test_a_name_that_is_taken_is_never_given_again(ollama: FakeOllama, finished: Finished) -> None:
    handover = finished()
    ollama.take("support")
    assert OLLAMA.offer("Support") == "support-2"
    problem = refusal(handover)
    assert problem.code == "program.name_taken"
    assert "support-2" in problem.english()
    assert ollama.models == {"support:latest": {}}


def test_where_it_is_not_installed_that_is_said_with_what_to_do(finished: Finished) -> None:
    assert OLLAMA.find() is None
    assert OLLAMA.offer("Support") == "support"
    handover = finished()
    with pytest.raises(ProblemError) as caught:
        OLLAMA.plan(handover)
    assert caught.value.problem == OLLAMA.missing
    assert refusal(handover) == OLLAMA.missing


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there `ollama` starts its server by itself")
def test_where_it_does_not_run_the_command_that_starts_it_is_told(ollama: FakeOllama, finished: Finished) -> None:
    ollama.stop()
    found = OLLAMA.find()
    assert found is not None
    assert found.version == "0.12.6"
    handover = finished()
    with pytest.raises(ProblemError) as caught:
        OLLAMA.plan(handover)
    assert "ollama serve" in caught.value.problem.english()
    assert refusal(handover).code == "ollama.not_running"


def test_what_ollama_says_against_a_model_is_shown(ollama: FakeOllama, finished: Finished) -> None:
    ollama.refuse('400 Bad Request: unsupported architecture "Lfm9ForCausalLM"')
    problem = refusal(finished())
    assert problem.code == "ollama.refused"
    assert 'unsupported architecture "Lfm9ForCausalLM"' in problem.english()
    assert ollama.models == {}


def test_cancelling_ends_it_and_leaves_nothing_in_ollama(ollama: FakeOllama, finished: Finished) -> None:
    ollama.hang()
    handover = finished()
    size = next(handover.export.glob("*.gguf")).stat().st_size
    seen: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None) -> None:
        seen.append((done, total))
        if done:
            raise Cancelled

    begun = time.monotonic()
    with pytest.raises(Cancelled):
        OLLAMA.hand_over(handover, progress)
    assert time.monotonic() - begun < 60
    assert seen[-1] == (size * 37 // 100, size)
    assert ollama.models == {}


def test_a_host_elsewhere_is_told_before_anything_goes_there(
    ollama: FakeOllama, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    handover = finished()
    for host in ("127.0.0.1:11500", "http://localhost:80/", "0.0.0.0", "[::1]:11434"):
        monkeypatch.setenv("OLLAMA_HOST", host)
        assert "leaves this computer" not in english(OLLAMA.plan(handover))
    monkeypatch.setenv("OLLAMA_HOST", "http://gpu-server:11434")
    assert "leaves this computer, to Ollama on gpu-server" in english(OLLAMA.plan(handover))


def test_without_room_for_its_copy_nothing_is_begun(
    ollama: FakeOllama, finished: Finished, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user_home / ".ollama" / "models").mkdir(parents=True)
    monkeypatch.setattr(storage, "free_space", lambda place: 100)
    with pytest.raises(ProblemError) as caught:
        OLLAMA.plan(replace(finished(), size=1_000_000))
    assert caught.value.problem.code == "storage.no_room"


def test_a_modelfile_that_is_there_is_used_and_not_written_over(ollama: FakeOllama, finished: Finished) -> None:
    handover = finished()
    file = next(handover.export.glob("*.gguf"))
    (handover.export / "Modelfile").write_text(f"FROM ./{file.name}\nPARAMETER temperature 1\n", encoding="utf-8")
    assert [one.text for one in hand_over(handover).notices] == [modelfile.KEPT]
    assert ollama.models["support:latest"]["parameters"] == {"temperature": "1"}


def test_a_model_whose_begin_comes_by_itself_gets_a_template_without(finished: Finished) -> None:
    (template,) = written(finished("llama 3", adds_bos=True))["template"]
    assert "<|begin_of_text|>" not in template


def test_a_model_whose_begin_does_not_come_by_itself_gets_it_in_the_template(finished: Finished) -> None:
    (template,) = written(finished("llama 3", adds_bos=False))["template"]
    assert "<|begin_of_text|>" in template


def test_without_a_template_in_its_language_ollama_gets_none_and_that_is_said(finished: Finished) -> None:
    handover = finished(**{"data.system_prompt": UNSAYABLE})
    checkpoint = handover.run.checkpoints / "step-000020"
    (checkpoint / "chat_template.jinja").write_text(COUNTED, encoding="utf-8")
    (checkpoint / "manifest.json").unlink()
    write_manifest(checkpoint, Manifest(files=listed(checkpoint), step=20))
    notices = write_modelfile(handover.run, handover.export)
    assert {one.text for one in notices} == {modelfile.TEMPLATE_LEFT_OUT, modelfile.INSTRUCTIONS_CHANGED}
    held = written(handover)
    assert "template" not in held
    assert held["system"] == ['Answer in "JSON", never with ". 👩👧 {{ .System }}']


def test_instructions_that_a_modelfile_cannot_hold_are_not_lost(finished: Finished) -> None:
    held = written(finished(**{"data.system_prompt": UNSAYABLE}))
    assert "system" not in held
    assert "\\u3000" in held["template"][0]


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\x03\x04" + bytes(200), None])
def test_a_file_that_is_cut_off_is_refused(ollama: FakeOllama, finished: Finished, content: bytes | None) -> None:
    handover = finished()
    file = next(handover.export.glob("*.gguf"))
    file.write_bytes(file.read_bytes()[:300] if content is None else content)
    assert refusal(handover).code == "gguf.damaged"
    assert ollama.models == {}


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja"])
def test_a_run_whose_tokenizer_or_template_is_damaged_gives_a_sentence(
    ollama: FakeOllama, finished: Finished, name: str
) -> None:
    handover = finished()
    file = handover.run.checkpoints / "step-000020" / name
    file.write_bytes(b"{" * file.stat().st_size)
    assert refusal(handover).code in ("model.damaged_file", "template.broken")
    assert ollama.models == {}


@pytest.mark.parametrize("files", [0, 2])
def test_an_export_holds_exactly_one_model(ollama: FakeOllama, finished: Finished, files: int) -> None:
    handover = finished()
    file = next(handover.export.glob("*.gguf"))
    if files:
        save_gguf(handover.export / "other.gguf")
    else:
        file.unlink()
    assert refusal(handover).code in ("gguf.none", "gguf.several")


def test_a_read_only_export_gives_a_sentence(ollama: FakeOllama, finished: Finished) -> None:
    handover = finished()
    (handover.export / "Modelfile").mkdir()
    assert refusal(handover).code == "storage.cannot_write"
