"""Go's text/template, as far as `ollama_template` writes it: to see what Ollama will make of a conversation without Go.

https://pkg.go.dev/text/template: text, actions with string and number constants, fields, variables, `and`, `or`, `not`,
`eq`, `ne`, `len` and `slice`, `if`, `else if`, `else`, `range $index, $item :=` and `end`. No trim markers, comments,
pipelines or definitions. A test holds it to Go's own implementation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.core.conversation import Message

_ACTION = re.compile(r'\{\{((?:"(?:[^"\\]|\\.)*"|[^"{}])*)\}\}', re.DOTALL)
_WORD = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\$?(?:\.\w+)+|\$\w*(?:\.\w+)*|:=|[=(),.]|-?\d+|\w+)')
_ESCAPE = re.compile(r'\\(?:([nrt"\\])|u([0-9a-f]{4})|U([0-9a-f]{8}))')
_ESCAPED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


class GoTemplateError(ValueError):
    """What is no template, or needs more of Go than is known here."""


def quoted(text: str) -> str:
    """`text` as a string constant of Go, in which letters that can't be seen are written as numbers."""
    return '"' + "".join(_ESCAPED.get(letter) or _seen(letter) for letter in text) + '"'


def _seen(letter: str) -> str:
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


@dataclass(frozen=True)
class _Text:
    text: str


@dataclass(frozen=True)
class _Constant:
    value: str | int


@dataclass(frozen=True)
class _Field:
    """`root` is "." or the name of a variable, "$" for all that was given."""

    root: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Call:
    function: str
    arguments: tuple[_Expression, ...]


_Expression = _Constant | _Field | _Call


@dataclass(frozen=True)
class _Assign:
    variable: str
    value: _Expression
    declares: bool


@dataclass(frozen=True)
class _Branch:
    condition: _Expression
    then: tuple[_Node, ...]
    otherwise: tuple[_Node, ...]


@dataclass(frozen=True)
class _Range:
    index: str
    item: str
    over: _Expression
    body: tuple[_Node, ...]


_Node = _Text | _Constant | _Field | _Call | _Assign | _Branch | _Range


@dataclass
class _Scope:
    """Variables as Go keeps them: a block sees those around it and gives its own ones up at its end."""

    dot: object
    variables: dict[str, object]
    around: _Scope | None = None

    def owner(self, name: str) -> _Scope:
        here: _Scope | None = self
        while here is not None:
            if name in here.variables:
                return here
            here = here.around
        raise GoTemplateError(f"undefined variable {name}")


@dataclass
class _Parser:
    pieces: list[tuple[str, str]]
    """Each a kind, "text" or "action", and what it says."""
    at: int = 0

    def block(self) -> tuple[tuple[_Node, ...], list[str]]:
        """Everything up to an `end` or `else` that belongs to what is around, and that one's words."""
        nodes: list[_Node] = []
        while self.at < len(self.pieces):
            kind, said = self.pieces[self.at]
            self.at += 1
            if kind == "text":
                nodes.append(_Text(said))
                continue
            words = _words(said)
            match words:
                case ["end"] | ["else"] | ["else", "if", *_]:
                    return tuple(nodes), words
                case ["if", *condition]:
                    nodes.append(self._branch(condition))
                case ["range", index, ",", item, ":=", *over]:
                    body, ended = self.block()
                    if ended != ["end"]:
                        raise GoTemplateError("a range ends with end")
                    nodes.append(_Range(index, item, _expression(over), body))
                case [variable, ":=" | "=" as sign, *value] if variable.startswith("$"):
                    nodes.append(_Assign(variable, _expression(value), sign == ":="))
                case _:
                    nodes.append(_expression(words))
        return tuple(nodes), []

    def _branch(self, condition: list[str]) -> _Branch:
        then, ended = self.block()
        otherwise: tuple[_Node, ...] = ()
        if ended[:2] == ["else", "if"]:
            otherwise = (self._branch(ended[2:]),)
        elif ended == ["else"]:
            otherwise, ended = self.block()
            if ended != ["end"]:
                raise GoTemplateError("an else ends with end")
        elif ended != ["end"]:
            raise GoTemplateError("an if ends with end")
        return _Branch(_expression(condition), then, otherwise)


class GoTemplate:
    """One template, read once. Raises `GoTemplateError` for what isn't known here."""

    def __init__(self, source: str) -> None:
        pieces: list[tuple[str, str]] = []
        last = 0
        for found in _ACTION.finditer(source):
            pieces += [("text", source[last : found.start()]), ("action", found.group(1))]
            last = found.end()
        pieces.append(("text", source[last:]))
        pieces = [(kind, said) for kind, said in pieces if said or kind == "action"]
        if any("{{" in said for kind, said in pieces if kind == "text"):
            raise GoTemplateError("an action isn't closed")
        self._nodes, ended = _Parser(pieces).block()
        if ended:
            raise GoTemplateError(f"nothing is open where {' '.join(ended)} stands")

    def execute(self, given: Mapping[str, object]) -> str:
        """What it writes for `given`, as fields by name."""
        return "".join(_run(self._nodes, _Scope(given, {"$": given})))


def render_as_ollama(template: GoTemplate, messages: Sequence[Message]) -> str:
    """A conversation as Ollama hands it to a template with `.Messages`: standing instructions in `.System` as well as
    among the messages, and what the same speaker says twice in a row as one message (`collate` in its
    template/template.go)."""
    turns: list[dict[str, object]] = []
    for message in messages:
        if turns and turns[-1]["Role"] == message.role:
            turns[-1]["Content"] = f"{turns[-1]['Content']}\n\n{message.content}"
        else:
            turns.append({"Role": message.role, "Content": message.content})
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    return template.execute({"System": system, "Messages": turns})


def _words(action: str) -> list[str]:
    words: list[str] = []
    at, action = 0, action.rstrip()
    while at < len(action):
        found = _WORD.match(action, at)
        if found is None:
            raise GoTemplateError(f"not known here: {action[at:].strip()}")
        words.append(found.group(1))
        at = found.end()
    return words


def _expression(words: list[str]) -> _Expression:
    rest = list(words)
    arguments = _arguments(rest)
    if rest or not arguments:
        raise GoTemplateError(f"not known here: {' '.join(words)}")
    return _applied(arguments)


def _arguments(rest: list[str]) -> list[_Expression | str]:
    """What stands up to the closing bracket or the end, taken off `rest`: values, and functions by name."""
    found: list[_Expression | str] = []
    while rest and rest[0] != ")":
        word = rest.pop(0)
        if word == "(":
            inner = _arguments(rest)
            if not rest or not inner:
                raise GoTemplateError("a bracket isn't closed")
            rest.pop(0)
            found.append(_applied(inner))
        elif word.startswith('"'):
            found.append(_Constant(_ESCAPE.sub(_unescaped, word[1:-1])))
        elif word.lstrip("-").isdigit():
            found.append(_Constant(int(word)))
        elif word in ("true", "false"):
            found.append(_Constant(word == "true"))
        elif word.startswith(("$", ".")):
            root, *names = word.split(".")
            found.append(_Field(root or ".", tuple(name for name in names if name)))
        else:
            found.append(word)
    return found


def _applied(arguments: list[_Expression | str]) -> _Expression:
    first, *more = arguments
    values = tuple(one for one in more if not isinstance(one, str))
    if len(values) != len(more):
        raise GoTemplateError("a function stands where a value is wanted")
    if isinstance(first, str):
        return _Call(first, values)
    if values:
        raise GoTemplateError("a value takes no arguments")
    return first


def _unescaped(found: re.Match[str]) -> str:
    letter, short, long = found.groups()
    if letter:
        return {"n": "\n", "r": "\r", "t": "\t"}.get(letter, letter)
    return chr(int(short or long, 16))


def _run(nodes: tuple[_Node, ...], scope: _Scope) -> list[str]:
    written: list[str] = []
    for node in nodes:
        match node:
            case _Text(text):
                written.append(text)
            case _Assign(variable, value, declares):
                owner = scope if declares else scope.owner(variable)
                owner.variables[variable] = _value(value, scope)
            case _Branch(condition, then, otherwise):
                chosen = then if _true(_value(condition, scope)) else otherwise
                written += _run(chosen, _Scope(scope.dot, {}, scope))
            case _Range(index, item, over, body):
                for number, one in enumerate(_list(_value(over, scope))):
                    written += _run(body, _Scope(one, {index: number, item: one}, scope))
            case _:
                written.append(_printed(_value(node, scope)))
    return written


def _value(expression: _Expression, scope: _Scope) -> object:
    match expression:
        case _Constant(value):
            return value
        case _Field(root, names):
            held = scope.dot if root == "." else scope.owner(root).variables[root]
            for name in names:
                if not isinstance(held, Mapping):
                    raise GoTemplateError(f"no field {name}")
                held = held.get(name, "")
            return held
        case _Call(function, arguments):
            return _called(function, [_value(argument, scope) for argument in arguments])


def _called(function: str, values: list[object]) -> object:
    match function, values:
        case "and", [_, *_]:
            return next((value for value in values if not _true(value)), values[-1])
        case "or", [_, *_]:
            return next((value for value in values if _true(value)), values[-1])
        case "not", [value]:
            return not _true(value)
        case "eq", [first, *others] if others:
            return any(first == other for other in others)
        case "ne", [first, second]:
            return first != second
        case "len", [value]:
            return len(_list(value))
        case "slice", [value, int() as start]:
            return _list(value)[start:]
    raise GoTemplateError(f"not known here: {function} of {len(values)} values")


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise GoTemplateError("this is no list")
    return value


def _true(value: object) -> bool:
    return bool(value)


def _printed(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise GoTemplateError("this can't be written")
