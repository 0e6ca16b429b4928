"""A model's chat template as Ollama takes it: in Go's language, found out by putting made-up conversations into the
model's own.

Jinja can do what Go's templates can't, so nothing is translated. What the model's own template writes before, between
and after instructions, questions and answers is read off, and put into the form that Ollama's library uses
(https://github.com/ollama/ollama/blob/main/docs/template.mdx). Then both write the same conversations: where a single
one differs, no template is given. Spaces around what is said are passed on as they are, since Go's templates can't take
them off. Tools aren't described: where the file's own template knows more than this one, Ollama prefers that
(`shouldPreferChatTemplate` in its server/images.go), and where it doesn't, it says that the model takes none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tokenizers

from studio.core.conversation import Message
from studio.core.problems import ProblemError
from studio.dataset.examples import Example
from studio.export.programs.go_template import GoTemplate, GoTemplateError, quoted, render_as_ollama
from studio.models.config import damaged
from studio.tokenization.adaptation import adapt
from studio.tokenization.rendering import Rendering
from studio.tokenization.template_capabilities import TemplateCapabilities, template_in

_RULE, _ASK, _SAY, _MORE = "zqrule", "zqask", "zqsaid", "zqmore"

_SAID = (
    "Where is my parcel?",
    "In the van.",
    "택배가 언제 오나요?\n\n1. 오늘  2. 내일",
    'It says {{ "soon" }} & <b>soon</b>, 100 % 🙂',
    "And {% if this %}?",
    "No.",
    "a",
)


@dataclass(frozen=True)
class OllamaTemplate:
    """`source` is Go's; "" where the model's own can't be put into it. `compared` conversations were written by both,
    to the letter alike. `same_tokens` tells whether what a model then reads in Ollama is to the token what it read in
    training: not where Ollama begins with a token that it didn't."""

    source: str = ""
    compared: int = 0
    same_tokens: bool = False


class ModelPrompts:
    """What a model was given in training, up to where its answer begins."""

    def __init__(self, folder: Path) -> None:
        """Raises `ProblemError` where the folder's tokenizer or template can't be read."""
        self.template = template_in(folder)
        self._capabilities = TemplateCapabilities(self.template)
        self._rendering = Rendering(self.template, self._capabilities, ())
        file = folder / "tokenizer.json"
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exception for whatever is wrong in the file
            raise damaged(file) from error
        self.special_tokens = tuple(token.content for token in self._tokenizer.get_added_tokens_decoder().values())

    @property
    def bos(self) -> str:
        return self.template.special.get("bos_token", "")

    def text(self, messages: Sequence[Message]) -> str:
        """Raises `ProblemError` where the template refuses the conversation."""
        adapted, _ = adapt(Example(messages=tuple(messages)), self._capabilities)
        return self._rendering.of(adapted, prompt=True).text

    def ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def token(self, id: int) -> str:
        """A token as it is written; "" for a number that has none."""
        return str(self._tokenizer.id_to_token(id) or "")


def ollama_template(prompts: ModelPrompts, *, adds_bos: bool, system_prompt: str = "") -> OllamaTemplate:
    """The template for a model file of which `adds_bos` tells whether its begin-of-text token comes by itself.
    `system_prompt` stands in the template, for where a Modelfile can't say it."""
    try:
        source = _go_source(_Turns.of(prompts, adds_bos=adds_bos), system_prompt)
        template = GoTemplate(source)
        same_tokens = True
        conversations = check_conversations(system_prompt)
        for messages in conversations:
            own = prompts.text(messages)
            said = messages[1:] if system_prompt and messages[0].content == system_prompt else messages
            made = render_as_ollama(template, said)
            if made != (own.removeprefix(prompts.bos) if adds_bos else own):
                return OllamaTemplate()
            begin = prompts.bos if adds_bos else ""
            same_tokens &= prompts.ids(begin + made) == prompts.ids(own) and bool(begin) == adds_bos
    except (ProblemError, GoTemplateError, _NotAlikeError):
        return OllamaTemplate()
    return OllamaTemplate(source, len(conversations), same_tokens)


def check_conversations(system_prompt: str = "") -> list[tuple[Message, ...]]:
    """Conversations of one to four questions, with and without instructions, each up to where an answer is wanted."""
    turns = [Message(role="assistant" if at % 2 else "user", content=said) for at, said in enumerate(_SAID)]
    rules = [(), (Message(role="system", content=system_prompt or "Be brief.\nNever say {no}."),)]
    if system_prompt:
        rules = rules[1:]
    return [(*rule, *turns[: 2 * count + 1]) for count in range(4) for rule in rules]


class _NotAlikeError(Exception):
    """The model's own template writes a turn in one way here and in another way there."""


@dataclass(frozen=True)
class _Turns:
    """What stands around what is said. Instructions stand in a turn of their own before the questions, or in the first
    or last question; `opening` comes first where there are none, or where they stand in a question."""

    opening: str
    rule_in: Literal["own turn", "first question", "last question"]
    rule: tuple[str, str]
    question: tuple[str, str]
    answer: tuple[str, str]
    invitation: str
    """What is written last, for the model to go on with, after what ends a question."""

    @staticmethod
    def of(prompts: ModelPrompts, *, adds_bos: bool) -> _Turns:
        """Read off the model's own template. Raises `_NotAlikeError`, and `ProblemError` where it refuses."""
        rule, ask, say = _message("system", _RULE), _message("user", _ASK), _message("assistant", _SAY)
        more = _message("user", _MORE)
        start, prompt = _around(prompts.text([ask]), _ASK)
        _, to_answer, to_question, _ = plain = _around(prompts.text([ask, say, more]), _ASK, _SAY, _MORE)
        _same(plain, start, to_answer, to_question, prompt)
        once, twice = prompts.text([rule, ask]), prompts.text([rule, ask, say, more])
        in_last = twice.find(_ASK) < twice.find(_RULE)
        if in_last:
            _, _, before, after, _ = ruled = _around(twice, _ASK, _SAY, _RULE, _MORE)
            _same(ruled, start, to_answer, before, after, prompt)
            before = _without(before, to_question)
            _same(_around(once, _RULE, _ASK), start + before, after, prompt)
        else:
            before, after, *_ = ruled = _around(twice, _RULE, _ASK, _SAY, _MORE)
            _same(ruled, before, after, to_answer, to_question, prompt)
            _same(_around(once, _RULE, _ASK), before, after, prompt)

        if adds_bos and start.startswith(prompts.bos):
            start = _without(start, prompts.bos)
            before = before if in_last else _without(before, prompts.bos)

        cuts = _Cuts(prompts.special_tokens)
        question = cuts.common_end(start, cuts.after_special_token(to_question))
        rule_in: Literal["own turn", "first question", "last question"] = "own turn"
        if in_last:
            rule_in = "last question"
        elif before.startswith(start) and not after.endswith(question):
            rule_in, before = "first question", _without(before, start)
        else:
            question = cuts.common_end(question, after)
            after = _less(after, question)
        answered = _less(to_question, question)
        shared = cuts.common_begin(to_answer, prompt)
        ends = [one for one in (answered, after if rule_in == "own turn" else "") if one and shared.startswith(one)]
        end = ends[0] if ends else shared
        return _Turns(
            opening=_less(start, question),
            rule_in=rule_in,
            rule=(before, after),
            question=(question, end),
            answer=(_without(to_answer, end), answered),
            invitation=_without(prompt, end),
        )


def _go_source(turns: _Turns, system_prompt: str) -> str:
    rules = "$system" if system_prompt else "$.System"
    rule = _literal(turns.rule[0]) + _action(rules) + _literal(turns.rule[1])
    opening, in_question = _literal(turns.opening), ""
    if turns.rule_in == "own turn":
        opening = _if(rules, rule, opening)
    elif turns.rule_in == "first question":
        opening += _action("$first := true")
        in_question = _if(f"and $first {rules}", rule) + _action("$first = false")
    else:
        in_question = _if(f"and $last {rules}", rule)
    question = _literal(turns.question[0]) + in_question + _action(".Content") + _literal(turns.question[1])
    answer = _literal(turns.answer[0]) + _action(".Content") + _if("not $last", _literal(turns.answer[1]))
    return (
        (_action(f"$system := or .System {quoted(system_prompt)}") if system_prompt else "")
        + opening
        + _action("range $i, $_ := .Messages")
        + _action("$last := eq (len (slice $.Messages $i)) 1")
        + _action('if eq .Role "user"')
        + question
        + _action('else if eq .Role "assistant"')
        + answer
        + _action("end")
        + _if('and $last (ne .Role "assistant")', _literal(turns.invitation))
        + _action("end")
    )


def _action(text: str) -> str:
    return "{{ " + text + " }}"


def _if(condition: str, then: str, otherwise: str = "") -> str:
    if not then and not otherwise:
        return ""
    return _action(f"if {condition}") + then + (_action("else") + otherwise if otherwise else "") + _action("end")


def _literal(text: str) -> str:
    """`text` as Go writes it out again: as it is, or as a constant where Go or a Modelfile would read it otherwise."""
    plain = stands_in_modelfile(text) and "{{" not in text and not text.endswith("{")
    return text if plain or not text else _action(quoted(text))


def stands_in_modelfile(text: str) -> bool:
    """Whether Ollama reads `text` between three quotes as it is. It leaves out letters that can't be seen, and can't
    be told of three quotes (`ParseFile` in its parser/parser.go)."""
    return '"""' not in text and all(letter.isprintable() or letter in "\n\t" for letter in text)


def _message(role: Literal["system", "user", "assistant"], content: str) -> Message:
    return Message(role=role, content=content)


def _around(text: str, *words: str) -> list[str]:
    """What stands before, between and after `words`, which must come once each and in this order."""
    found: list[str] = []
    for word in words:
        if text.count(word) != 1:
            raise _NotAlikeError
        before, _, text = text.partition(word)
        found.append(before)
    return [*found, text]


def _same(found: Sequence[str], *expected: str) -> None:
    if list(found) != list(expected):
        raise _NotAlikeError


def _without(text: str, begin: str) -> str:
    if not text.startswith(begin):
        raise _NotAlikeError
    return text[len(begin) :]


def _less(text: str, end: str) -> str:
    return text[: len(text) - len(end)]


class _Cuts:
    """Where two texts are alike, without cutting a special token in two."""

    def __init__(self, special_tokens: Sequence[str]) -> None:
        either = "|".join(re.escape(token) for token in sorted(special_tokens, key=len, reverse=True) if token)
        self._special_token = re.compile(either or "(?!)")

    def after_special_token(self, text: str) -> str:
        """What follows the special token at the beginning of `text`, which ends what was said, and the space after."""
        found = self._special_token.match(text)
        return text[found.end() :].lstrip() if found else text

    def common_begin(self, one: str, other: str) -> str:
        pairs = zip(one, other, strict=False)
        length = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
        while self._inside(one, length) or self._inside(other, length):
            length -= 1
        return one[:length]

    def common_end(self, one: str, other: str) -> str:
        pairs = zip(reversed(one), reversed(other), strict=False)
        length = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
        while self._inside(one, len(one) - length) or self._inside(other, len(other) - length):
            length -= 1
        return one[len(one) - length :]

    def _inside(self, text: str, at: int) -> bool:
        return any(found.start() < at < found.end() for found in self._special_token.finditer(text))
