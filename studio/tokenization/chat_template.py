"""A model's own chat template: the one way in which training, checking and chatting put messages into text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from studio.core.conversation import Message
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.models.config import damaged, read_mapping
from studio.tokenization import sandbox
from studio.tokenization.encoded import Span
from studio.tokenization.sandbox import BoundedSandbox

DEFAULT_TEMPLATE = """\
{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] | trim }}\
{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"""
"""For models without one: the speaker's name between bars, the text, and the model's eos token after each
answer.

It is written in ordinary characters and needs no new tokens, unlike ChatML, so that a base model's embeddings stay as
they are. It is saved with the fine-tuned model.
"""

_LONGEST = 128 * 1024
"""Characters of a template. Known ones have at most a quarter of that, and this much is understood within a second."""
_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


TemplateMessage = dict[str, object]
"""One message in the form that chat templates take: role, content, and more where it has more."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as one text. `literal_spans` are the places of what looks like a special token and isn't one; a
    span without width is a break that no special token reaches across. `answers` are the stretches inside of the
    template's own generation marks; empty where it has none."""

    text: str
    literal_spans: tuple[Span, ...] = ()
    answers: tuple[Span, ...] = ()


class ChatTemplate:
    """Renders conversations. `source` is the Jinja text, `special` the special tokens by name (bos_token...),
    `end_added` the token that was added after answers, see `template_in`."""

    def __init__(self, source: str, special: Mapping[str, str], *, end_added: str = "") -> None:
        self.source = source
        self.special = dict(special)
        self.end_added = end_added
        self._sandbox = BoundedSandbox()
        if len(source) > _LONGEST:
            raise _too_much()
        try:
            self._template = self._sandbox.from_string(source)
        except sandbox.TooMuch as error:
            raise _too_much() from error
        except (jinja2.TemplateError, SyntaxError, RecursionError, ValueError, MemoryError) as error:
            raise problem(
                "template.broken",
                N_("The chat template of this model can't be understood."),
                N_("It says how questions and answers are put to the model. The error is: {reason}"),
                N_("Choose another base model, or fetch this one again."),
                remedy=Remedy.choose_model,
                reason=str(error)[:300],
            ) from error

    @staticmethod
    def from_folder(folder: Path) -> ChatTemplate:
        """The template in a model's folder: chat_template.jinja, else in tokenizer_config.json, else the default.
        Raises `ProblemError`."""
        config = read_mapping(folder / "tokenizer_config.json")
        special = special_tokens(folder)
        source = _stored(folder, config)
        return ChatTemplate(DEFAULT_TEMPLATE if source is None else source, special)

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False, tools: str = "") -> str:
        """The conversation as one text, as transformers writes it; with `add_generation_prompt` up to where the model
        begins to answer. `tools` is a JSON list. Raises `ProblemError` when the template refuses the conversation or
        uses up too much."""
        return self.write(template_messages(messages), tools_of(tools), add_generation_prompt).text

    def write(
        self,
        messages: Sequence[TemplateMessage],
        tools: Sequence[TemplateMessage] | None = None,
        add_generation_prompt: bool = False,
    ) -> Rendered:
        """`render` for messages and tools in the template's own form. Raises `ProblemError`."""
        self._sandbox.reset()
        parts: list[str] = []
        length = 0
        try:
            pieces = self._template.generate(
                **{
                    **self.special,
                    "messages": list(messages),
                    "tools": list(tools) if tools else None,
                    "documents": None,
                    "add_generation_prompt": add_generation_prompt,
                }
            )
            for piece in pieces:
                length += len(piece)
                if length > sandbox.CHARACTERS:
                    raise sandbox.TooMuch("characters")
                parts.append(piece)
                self._sandbox.written = length
        except (sandbox.TooMuch, RecursionError, MemoryError, OverflowError) as error:
            raise _too_much() from error
        except ProblemError:
            raise
        except Exception as error:  # a template is a program of a stranger: anything can come out of it
            raise problem(
                "template.refused",
                N_("The model's chat template refuses this conversation."),
                N_("It says: {reason}"),
                N_(
                    "Often a model takes no standing instructions, or wants questions and answers in turn. Change the "
                    "examples, or choose another base model."
                ),
                remedy=Remedy.choose_model,
                reason=str(error)[:300],
            ) from error
        text = "".join(parts)
        return Rendered(text, answers=self._sandbox.answers_in(text))


def template_messages(
    messages: Sequence[Message], *, arguments_as_text: bool = False, content_in_parts: bool = False
) -> list[TemplateMessage]:
    """Messages as transformers hands them to a template: tool calls in OpenAI's form with their arguments as a
    mapping, thoughts as `reasoning_content` (and `thinking`, its older name). What is empty is left out."""
    turns: list[TemplateMessage] = []
    for message in messages:
        content: object = message.content
        if content_in_parts:
            content = [{"type": "text", "text": message.content}]
        turn: TemplateMessage = {"role": message.role, "content": content}
        if message.thinking:
            turn = {"thinking": message.thinking, **turn, "reasoning_content": message.thinking}
        if message.tool_calls:
            turn["tool_calls"] = [
                {
                    **({"id": call.id} if call.id else {}),
                    "type": "function",
                    "function": {
                        "name": call.name,
                        "arguments": call.arguments if arguments_as_text else arguments_of(call.arguments),
                    },
                }
                for call in message.tool_calls
            ]
        if message.name:
            turn["name"] = message.name
        if message.call_id:
            turn["tool_call_id"] = message.call_id
        turns.append(turn)
    return turns


def arguments_of(text: str) -> object:
    """A call's arguments as the mapping that they say; as the text itself where it isn't JSON."""
    try:
        held: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return held


def tools_of(text: str) -> list[TemplateMessage] | None:
    """Tool definitions from JSON, each as `{"type": "function", "function": {...}}`, as transformers documents them.
    Raises `ProblemError` when it is no list of mappings."""
    if not text:
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        held = None
    if isinstance(held, dict):
        held = [held]
    if not isinstance(held, list) or not all(isinstance(tool, dict) for tool in held):
        raise problem(
            "data.bad_tools",
            N_("The tools of an example can't be understood."),
            N_("They should be a list in JSON, each with a name, a description and its parameters."),
            N_("Correct the column with the tools, or choose none."),
            remedy=Remedy.choose_columns,
        )
    return [
        tool if "function" in tool or "name" not in tool else {"type": "function", "function": tool} for tool in held
    ]


def special_tokens(folder: Path) -> dict[str, str]:
    """The special tokens of a model by name, as its templates know them."""
    found: dict[str, str] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        for name, value in read_mapping(folder / file).items():
            if isinstance(value, dict):
                value = value.get("content")
            if name in _SPECIAL and isinstance(value, str):
                found[name] = value
    if "eos_token" not in found and (token := _eos_by_id(folder)):
        found["eos_token"] = token
    return found


def _eos_by_id(folder: Path) -> str:
    """The eos token of a model whose tokenizer doesn't name one: by the id at which generation ends; "" without."""
    ends = [read_mapping(folder / file).get("eos_token_id") for file in ("generation_config.json", "config.json")]
    ids = [one for end in ends for one in (end if isinstance(end, list) else [end]) if isinstance(one, int)]
    added = read_mapping(folder / "tokenizer.json").get("added_tokens") if ids else None
    listed = added if isinstance(added, list) else []
    tokens = {one.get("id"): one.get("content") for one in listed if isinstance(one, dict)}
    return next((str(tokens[one]) for one in ids if one in tokens), "")


def _stored(folder: Path, config: Mapping[str, object]) -> str | None:
    file = folder / "chat_template.jinja"
    try:
        if file.is_file():
            if file.stat().st_size > 4 * _LONGEST:
                raise _too_much()
            return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise damaged(file) from error
    for held in (config.get("chat_template"), read_mapping(folder / "chat_template.json").get("chat_template")):
        if isinstance(held, str) and held.strip():
            return held
        if isinstance(held, list):
            named = {str(e.get("name")): e.get("template") for e in held if isinstance(e, dict)}
            chosen = named.get("default")
            if isinstance(chosen, str):
                return chosen
    return None


def _too_much() -> ProblemError:
    return problem(
        "template.too_much",
        N_("The chat template of this model was stopped: it does far more than put messages into text."),
        N_(
            "A template comes with the model and is a small program. This one never seems to end or writes without end."
        ),
        N_("Choose another base model from a source that you trust."),
        remedy=Remedy.choose_model,
    )
