"""Chat templates: the model's own, rendered as transformers does, and nothing that a hostile one could do."""

from __future__ import annotations

import json
from pathlib import Path

from studio.core.conversation import Message
from studio.tokenization.chat_template import DEFAULT_TEMPLATE, ChatTemplate
from tests.conftest import CHATML
from tests.dataset.conftest import problem_of

CONVERSATION = (
    Message(role="system", content="Be <kind> & brief."),
    Message(role="user", content="Where?"),
    Message(role="assistant", content="There."),
)


def rendered(source: str, prompt: bool = False) -> str:
    return ChatTemplate(source, {"bos_token": "<s>", "eos_token": "</s>"}).render(CONVERSATION, prompt)


def test_chatml_is_rendered_with_and_without_a_prompt() -> None:
    assert rendered(CHATML).endswith("<|im_start|>assistant\nThere.<|im_end|>\n")
    assert rendered(CHATML, True).endswith("<|im_start|>assistant\n")


def test_a_model_without_a_template_gets_the_default_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": "<s>", "eos_token": {"content": "</s>"}}')
    template = ChatTemplate.from_folder(tmp_path)
    assert template.source == DEFAULT_TEMPLATE
    assert template.render(CONVERSATION) == (
        "<s><|system|>\nBe <kind> & brief.\n<|user|>\nWhere?\n<|assistant|>\nThere.</s>\n"
    )
    assert template.render(CONVERSATION[:2], add_generation_prompt=True).endswith("<|user|>\nWhere?\n<|assistant|>\n")
    assert ChatTemplate.from_folder(tmp_path / "nowhere").source == DEFAULT_TEMPLATE


def test_the_template_is_found_where_models_keep_it(tmp_path: Path) -> None:
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"chat_template": "one"}))
    assert ChatTemplate.from_folder(tmp_path).render(CONVERSATION) == "one"
    several = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "two"}]
    config.write_text(json.dumps({"chat_template": several}))
    assert ChatTemplate.from_folder(tmp_path).render(CONVERSATION) == "two"
    (tmp_path / "chat_template.jinja").write_text("three")
    found = ChatTemplate.from_folder(tmp_path)
    assert found.render(CONVERSATION) == "three"


def test_what_transformers_offers_to_templates_is_there() -> None:
    assert rendered("{{ messages[0] | tojson }}") == '{"role": "system", "content": "Be <kind> & brief."}'
    assert rendered("{{ strftime_now('%Y') }}").isdecimal()
    assert (
        rendered("{% for m in messages %}{% if loop.index0 == 1 %}{% break %}{% endif %}{{ m.role }}{% endfor %}")
        == "system"
    )
    assert rendered("a{% generation %}b{{ bos_token }}{% endgeneration %}c") == "ab<s>c"
    assert rendered("{{ tools is none }}{{ documents is none }}{{ undefined_thing is defined }}") == "TrueTrueFalse"
    assert rendered("{% for m in messages %}{{ loop.last }}{{ loop.length }}{{ loop.revindex0 }} {% endfor %}") == (
        "False32 False31 True30 "
    )
    assert (
        rendered(
            "{% set n = namespace(x='') %}{% for m in messages %}{% set n.x = n.x ~ m.role[0] %}{% endfor %}{{ n.x }}"
        )
        == "sua"
    )
    assert (
        rendered("{{ (messages | selectattr('role', 'equalto', 'user') | list)[0].content.replace('W', 'w') }}")
        == "where?"
    )


def test_a_template_that_refuses_is_quoted() -> None:
    found = problem_of(lambda: rendered("{{ raise_exception('Conversation roles must alternate') }}"))
    assert found.code == "template.refused"
    assert "must alternate" in found.english()
    assert problem_of(lambda: rendered("{{ messages[7].content.x }}")).code == "template.refused"


def test_a_template_that_is_no_template_is_refused() -> None:
    assert problem_of(lambda: rendered("{% for %}")).code == "template.broken"
    assert problem_of(lambda: rendered("{{ 1 " + "+ 1" * 100_000 + " }}")).code in (
        "template.broken",
        "template.too_much",
    )
    assert problem_of(lambda: rendered("x" * 600_000)).code == "template.too_much"


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{")
    assert "tokenizer_config.json" in problem_of(lambda: ChatTemplate.from_folder(tmp_path)).english()
    (tmp_path / "tokenizer_config.json").write_text("[]")
    assert problem_of(lambda: ChatTemplate.from_folder(tmp_path)).code == "model.damaged_file"
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe\xff")
    assert problem_of(lambda: ChatTemplate.from_folder(tmp_path)).code == "model.damaged_file"
