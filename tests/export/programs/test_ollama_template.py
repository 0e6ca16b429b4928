"""The template that Ollama gets writes what the model read in training, letter by letter and token by token."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from studio.core.conversation import Message
from studio.engine.export.llama_cpp import start
from studio.export.programs.gguf_header import read_gguf_header
from studio.export.programs.go_template import GoTemplate, GoTemplateError, quoted, render_as_ollama
from studio.export.programs.ollama_template import ModelPrompts, check_conversations, ollama_template
from tests.fakes.ollama import read_modelfile
from tests.tokenization.families import FAMILIES, save_family

GO_PROGRAM = Path(__file__).parents[2] / "fakes" / "go_templates.go"

UNSAYABLE = 'Answer\u3000in "JSON", never with """.\u00a0👩\u200d👧 {{ .System }}'
"""Instructions that a Modelfile can't hold."""

IN_LAST_QUESTION = """\
{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' }}\
{% if messages[0].role == 'system' and m == (messages | selectattr('role', 'equalto', 'user') | list)[-1] %}\
{{ '<<' + messages[0].content + '>> ' }}{% endif %}{{ m.content + '[/INST]' }}\
{% elif m.role == 'assistant' %}{{ ' ' + m.content + '</s>' }}{% endif %}{% endfor %}"""
"""As Mistral's own: the instructions move to the last question."""

INSIDE_FIRST_QUESTION = """\
{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' }}\
{% if loop.index0 == 1 and messages[0].role == 'system' %}{{ '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' }}\
{% endif %}{{ m.content | trim + ' [/INST]' }}\
{% elif m.role == 'assistant' %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"""
"""As Llama 2's: a mark around them, and every question begins anew."""

COUNTED = """\
{% for m in messages %}{{ loop.index0 ~ ' ' + m.role + ': ' + m.content + '\n' }}{% endfor %}\
{% if add_generation_prompt %}assistant: {% endif %}"""
"""Turns have numbers, which can't be told of a Go template that is read off a few conversations."""


def prompts_of(family: str, folder: Path, template: str = "") -> ModelPrompts:
    save_family(FAMILIES[family], folder, marked=True)
    if template:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return ModelPrompts(folder)


def differences(prompts: ModelPrompts, source: str, *, adds_bos: bool) -> list[tuple[str, str]]:
    """What Ollama makes of conversations, after its Modelfile was read, beside what the model's own template does."""
    ((_, held), *_) = read_modelfile(f'TEMPLATE """{source}"""\nFROM x\n')
    template = GoTemplate(held)
    found = []
    for messages in check_conversations():
        made = (prompts.bos if adds_bos else "") + render_as_ollama(template, messages)
        own = prompts.text(messages)
        if made != own or prompts.ids(made) != prompts.ids(own):
            found.append((made, own))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_reads_in_ollama_what_it_read_in_training(family: str, tmp_path: Path) -> None:
    prompts = prompts_of(family, tmp_path)
    begins = bool(prompts.bos) and prompts.text(check_conversations()[0]).startswith(prompts.bos)
    for adds_bos in {False, begins}:
        made = ollama_template(prompts, adds_bos=adds_bos)
        assert made.source
        assert made.same_tokens
        assert differences(prompts, made.source, adds_bos=adds_bos) == []
        if adds_bos:
            assert prompts.bos not in made.source, "Ollama writes it too, and a model never read two"


@pytest.mark.parametrize("template", [IN_LAST_QUESTION, INSIDE_FIRST_QUESTION])
def test_instructions_may_stand_inside_a_question(template: str, tmp_path: Path) -> None:
    prompts = prompts_of("mistral", tmp_path, template)
    for adds_bos in (False, True):
        made = ollama_template(prompts, adds_bos=adds_bos)
        assert made.source
        assert made.same_tokens
        assert differences(prompts, made.source, adds_bos=adds_bos) == []


def test_instructions_that_a_modelfile_cannot_hold_stand_in_the_template(tmp_path: Path) -> None:
    prompts = prompts_of("qwen 2.5", tmp_path)
    made = ollama_template(prompts, adds_bos=False, system_prompt=UNSAYABLE)
    ((_, held), *_) = read_modelfile(f'TEMPLATE """{made.source}"""\nFROM x\n')
    ask = Message(role="user", content="Where?")
    rule = Message(role="system", content=UNSAYABLE)
    assert render_as_ollama(GoTemplate(held), [ask]) == prompts.text([rule, ask])
    other = Message(role="system", content="Be brief.")
    assert render_as_ollama(GoTemplate(held), [other, ask]) == prompts.text([other, ask])


def test_a_template_that_cannot_be_written_is_left_out_and_not_guessed(tmp_path: Path) -> None:
    assert ollama_template(prompts_of("chatml", tmp_path, COUNTED), adds_bos=False).source == ""


def test_a_token_that_training_did_not_begin_with_is_noticed(tmp_path: Path) -> None:
    made = ollama_template(prompts_of("zephyr", tmp_path), adds_bos=True)
    assert made.source
    assert not made.same_tokens


@pytest.mark.parametrize(
    "source",
    [
        *(
            "{{ if .System }}",
            "{{ end }}",
            "{{ .System",
            "{{- .System }}",
            "{{ printf .System }}",
            "{{ .System | len }}",
        ),
        *("{{ }}", "{{ if .A }}{{ else }}{{ else }}{{ end }}", "{{ (eq .A .B }}", "{{ $x = 1 }}", "{{ 1 2 }}"),
        *("{{ slice .System 1 }}", "{{ range $i, $m := .System }}{{ end }}", "{{ if .A }}{{ else if .B }}{{ else }}"),
    ],
)
def test_what_is_not_known_of_go_is_refused(source: str) -> None:
    with pytest.raises(GoTemplateError):
        GoTemplate(source).execute({"System": "a"})


@pytest.mark.slow
def test_go_itself_writes_the_same_as_is_foretold_here(tmp_path: Path) -> None:
    go = shutil.which("go", path="/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin")
    if go is None:
        pytest.skip("Go isn't here: `apt-get install golang-go` brings it, or its own installer")
    sources = [
        "{{ " + quoted(UNSAYABLE) + " }}",
        '{{ $a := "x" }}{{ range $i, $_ := .Messages }}{{ $i }}{{ if eq $i 1 2 }}{{ $a = .Role }}{{ else if ne $i 0 }}-'
        "{{ else }}{{ $a := 7 }}{{ $a }}{{ end }}{{ $a }}{{ len $.Messages }}{{ end }}{{ not $a }}{{ or .None $a }}",
        '{{ if and .System (eq (len .Messages) 2) }}{{ .System }}{{ end }}{{ and "" "b" }}{{ true }} }} }',
    ]
    families = [(family, "") for family in FAMILIES]
    families += [("mistral", IN_LAST_QUESTION), ("mistral", INSIDE_FIRST_QUESTION)]
    for number, (family, template) in enumerate(families):
        prompts = prompts_of(family, tmp_path / str(number), template)
        for rule in ("", UNSAYABLE):
            sources += [ollama_template(prompts, adds_bos=adds, system_prompt=rule).source for adds in (False, True)]
    assert all(sources)
    conversations = check_conversations()
    conversations += [(*messages, Message(role="assistant", content="So")) for messages in conversations]
    conversations += [(messages[0], *messages) for messages in conversations[:6]]
    tasks = [
        {
            "Template": source,
            "Conversations": [
                [{"Role": message.role, "Content": message.content} for message in messages]
                for messages in conversations
            ],
        }
        for source in sources
    ]
    program = tmp_path / "go_templates"
    folders = {"HOME": str(tmp_path), "GOCACHE": str(tmp_path / "cache")}
    environment = {"PATH": "/usr/bin:/bin", "GO111MODULE": "off", **folders}
    subprocess.run([go, "build", "-o", program, GO_PROGRAM], env=environment, check=True)
    ended = subprocess.run([program], input=json.dumps(tasks), capture_output=True, text=True, check=True)
    foretold = [[render_as_ollama(GoTemplate(source), messages) for messages in conversations] for source in sources]
    assert json.loads(ended.stdout) == foretold


BEGINS_WITH_A_SPACE = "zephyr"
"""Its tokenizer puts a space before a text and none after special tokens; llama.cpp does both or neither."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="its processes are listened to otherwise there")
def test_llama_cpp_cuts_what_ollama_writes_into_the_tokens_of_training(
    tmp_path: Path, home_with_llama_cpp: Path
) -> None:
    (tools,) = (folder for folder in (home_with_llama_cpp / "tools").iterdir() if folder.is_dir())
    asked, tasks = [], []
    for family in FAMILIES:
        if family == BEGINS_WITH_A_SPACE:
            continue
        folder = tmp_path / family
        prompts = prompts_of(family, folder)
        end = prompts.ids(FAMILIES[family].eos)[0]
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end}), encoding="utf-8")
        templates = [GoTemplate(ollama_template(prompts, adds_bos=adds).source) for adds in (False, True)]
        texts = [render_as_ollama(template, said) for template in templates for said in check_conversations()]
        tasks.append((str(folder), texts))
        asked.append((family, prompts))
    place = tmp_path / "tasks.json"
    place.write_text(json.dumps(tasks), encoding="utf-8")
    process = start(tools, "tests.export.programs.llama_tokens", str(place))
    assert process.wait(280) == 0
    process.communicate()
    for (family, prompts), tokens in zip(asked, json.loads(place.read_text(encoding="utf-8")), strict=True):
        header = read_gguf_header(tmp_path / family / "model.gguf")
        trained = [prompts.ids(prompts.text(said)) for said in check_conversations()]
        assert tokens[len(trained) :] == trained if header.adds_bos else tokens[: len(trained)] == trained, family
