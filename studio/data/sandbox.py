"""Chat templates come with models, so they are programs of strangers: rendered in a sandbox, with limits.

What a template may do is what transformers lets it do (`apply_chat_template`: the same environment, filters and
functions), so that an honest one renders the same letter for letter. What a run-away or hostile one may use up is
bounded: turns of loops, calls, and the length of every text it builds.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

TURNS = 500_000
"""Turns of all loops together, and calls of functions, in one rendering."""
CHARACTERS = 8_000_000
"""Of any text that a template builds, and of the whole."""
_WIDEST = 1_000

_WIDE_FORMAT = re.compile(r"\d{4}|\{[^}]*\{")
_PADDING = frozenset({"ljust", "rjust", "center", "zfill", "expandtabs", "format_map", "translate"})
_LEFT_OUT_FILTERS = ("center", "batch", "slice", "format", "wordwrap", "urlize", "pprint", "xmlattr")


class TooMuch(Exception):
    """A template went over a limit."""


class _Generation(Extension):
    """The tag pair generation/endgeneration, which marks answers in some templates: rendered as if it weren't there."""

    tags = {"generation"}  # noqa: RUF012 - declared so by jinja2

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

    def _as_it_is(self, caller: Macro) -> str:
        return str(caller())


class BoundedSandbox(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox, with transformers' additions and the limits above. `reset` before each rendering."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.filters["tojson"] = _tojson
        self.filters["_counted"] = self._counted
        self.filters["_bounded"] = _bounded
        self.filters["indent"] = _indent
        for name in _LEFT_OUT_FILTERS:
            self.filters.pop(name, None)
        self.globals.pop("lipsum", None)
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now
        self.reset()

    def reset(self) -> None:
        self._turns = 0

    def _tick(self) -> None:
        self._turns += 1
        if self._turns > TURNS:
            raise TooMuch("turns")

    def _counted(self, items: Iterable[object]) -> Iterator[object]:
        for item in items:
            self._tick()
            yield item

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Count every loop's turns and measure every text that is joined, wherever it stands in the template."""
        tree = super()._parse(source, name, filename)
        for loop in list(tree.find_all(nodes.For)):
            if not loop.recursive:
                loop.iter = nodes.Filter(loop.iter, "_counted", [], [], None, None, lineno=loop.lineno)
        for joined in list(tree.find_all(nodes.Concat)):
            joined.nodes = [nodes.Filter(n, "_bounded", [], [], None, None, lineno=joined.lineno) for n in joined.nodes]
        return tree

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        # Named as in jinja2, so that a template's own keyword arguments can't clash with them.
        __self._tick()
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str) and getattr(__obj, "__name__", "") in ("replace", "join"):
            grown = _grown(owner, __obj.__name__, args)
            if grown > CHARACTERS:
                raise TooMuch("characters")
        return _bounded(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Jinja's safe `format`, less the widths that make a text of gigabytes out of nothing."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and _WIDE_FORMAT.search(str(value.__self__)):
            raise SecurityError("a format that wide isn't allowed in chat templates")
        return wrapped

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr in _PADDING:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self._tick()
        if operator == "*":
            for many, times in ((left, right), (right, left)):
                if isinstance(many, str | list | tuple) and isinstance(times, int) and len(many) * times > CHARACTERS:
                    raise TooMuch("characters")
            if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 4_096:
                raise TooMuch("number")
        elif operator == "**":
            bits = left.bit_length() if isinstance(left, int) else 64
            if not isinstance(right, int | float) or bits * abs(right) > 4_096:
                raise TooMuch("number")
        elif operator == "%" and isinstance(left, str):
            raise SecurityError("formatting with % isn't allowed in chat templates")
        return _bounded(super().call_binop(context, operator, left, right))


def _grown(owner: str, name: str, args: tuple[Any, ...]) -> int:
    """How long a replaced or joined text will be at most."""
    if name == "replace" and len(args) >= 2 and isinstance(args[0], str) and isinstance(args[1], str):
        return len(owner) + owner.count(args[0]) * len(args[1])
    if name == "join" and args and isinstance(args[0], list | tuple):
        return sum(len(part) + len(owner) for part in args[0] if isinstance(part, str))
    return 0


def _bounded(value: Any) -> Any:
    if isinstance(value, str | list | tuple) and len(value) > CHARACTERS:
        raise TooMuch("characters")
    return value


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own escapes HTML, which chat templates don't want.
    if isinstance(indent, int):
        indent = min(indent, 16)
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    if (width if isinstance(width, int) else len(width)) > _WIDEST:
        raise TooMuch("characters")
    indented: Callable[..., str] = jinja2.filters.do_indent
    return indented(text, width, first, blank)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.exceptions.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().strftime(form[:_WIDEST])
