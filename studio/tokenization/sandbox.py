"""Chat templates come with models, so they are programs of strangers: rendered in a sandbox, with limits.

What a template may do is what transformers lets it do (`apply_chat_template`: the same environment, filters and
functions), so that an honest one renders the same letter for letter. What a run-away or hostile one may use up is
bounded: time, turns of loops, calls, the length of every text it builds and the size of every list. No single
operation on values of that size takes long, and the clock is looked at between them.
"""

from __future__ import annotations

import datetime
import functools
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

SECONDS = 1.5
"""Of computing for one rendering. An honest one takes a few thousandths."""
TURNS = 500_000
"""Turns of all loops together, and calls of functions, in one rendering."""
CHARACTERS = 8_000_000
"""Of any text that a template builds, and of the whole."""
ITEMS = 200_000
"""Of any list that a template builds."""
BUILT = 16 * CHARACTERS
"""Characters and items of everything that a template builds, kept or not, in one rendering."""
_SLOW_CHARACTERS = 400_000
"""Of a text that goes through a filter written in Python."""
_SORTED_ITEMS = 10_000
"""Of a list that a filter puts in order."""
_WIDEST = 1_000

_WIDE_FORMAT = re.compile(r"\d{4}|\{[^}]*\{")
_PADDING = frozenset({"ljust", "rjust", "center", "zfill", "expandtabs", "format_map", "translate"})
_LEFT_OUT_FILTERS = ("center", "batch", "slice", "format", "wordwrap", "urlize", "pprint", "xmlattr")
_SLOW_FILTERS = frozenset({"title", "striptags", "urlencode", "wordcount", "capitalize", "escape", "e", "forceescape"})
_SORTING_FILTERS = frozenset({"groupby", "sort", "unique", "dictsort"})


class TooMuch(Exception):
    """A template went over a limit."""


class _Generation(Extension):
    """The tag pair generation/endgeneration, which marks answers in some templates: rendered as if it weren't there,
    and remembered."""

    tags = {"generation"}  # noqa: RUF012 - declared so by jinja2

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

    def _as_it_is(self, caller: Macro) -> str:
        said = str(caller())
        assert isinstance(self.environment, BoundedSandbox)
        self.environment.remember_answer(said)
        return said


class _Dict:
    """`dict` for templates: only the call and `fromkeys`, as transformers gives it."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args, **kwargs)


class _Namespace(Namespace):
    """`namespace` for templates: no names that begin with an underscore, as transformers gives it."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, args = args[0], args[1:]  # so that a template's own `self=` is a name like any other
        held = dict(*args, **kwargs)
        for name in held:
            _refuse_underscore(name)
        Namespace.__init__(self, held)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_underscore(name)
        super().__setitem__(name, value)


class _MeasuredJoins(NodeTransformer):
    """Measures what `~` joins before it is joined."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "_joined", [], [], None, None, lineno=node.lineno)


class BoundedSandbox(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox, with transformers' additions and the limits above. `reset` before each rendering."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self) -> None:
        self.written = 0
        """Characters rendered so far; whoever joins the pieces counts."""
        self._answers: list[tuple[int, str]] = []
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.finalize = _printable
        self.filters["tojson"] = _tojson
        self.filters["indent"] = _indent
        self.filters["sum"] = _sum
        self.filters["join"] = _join
        for name in _LEFT_OUT_FILTERS:
            self.filters.pop(name, None)
        for name, kept in list(self.filters.items()):
            self.filters[name] = self._watched(name, kept)
        self.filters["_counted"] = self._counted
        self.filters["_joined"] = self._joined
        self.globals.pop("lipsum", None)
        self.globals["dict"] = _Dict()
        self.globals["namespace"] = _Namespace
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now
        self.reset()

    def reset(self) -> None:
        self._turns = 0
        self._built = 0
        self.written = 0
        self._answers = []
        self._until = time.perf_counter() + SECONDS
        self._until_computing = time.thread_time() + SECONDS

    def remember_answer(self, said: str) -> None:
        """`said` stands inside of generation marks and is written next."""
        self._answers.append((self.written, said))

    def answers_in(self, text: str) -> tuple[tuple[int, int], ...]:
        """Where what was remembered stands in `text`; empty when any of it isn't there, as in a macro."""
        if any(not text.startswith(said, at) for at, said in self._answers):
            return ()
        return tuple((at, at + len(said)) for at, said in self._answers)

    def concat(self, parts: Iterable[str]) -> str:
        """Joins what a macro or block has written."""
        held = parts if isinstance(parts, list) else list(parts)
        if sum(map(len, held)) > CHARACTERS:
            raise TooMuch("characters")
        return str(self._charged("".join(held)))

    def _tick(self) -> None:
        self._turns += 1
        if self._turns > TURNS:
            raise TooMuch("turns")
        # The clock of the wall is cheap to read; that of this thread doesn't count a busy or sleeping computer.
        if time.perf_counter() > self._until and time.thread_time() > self._until_computing:
            raise TooMuch("time")

    def _counted(self, items: Iterable[object]) -> Iterator[object]:
        for item in items:
            self._tick()
            yield item

    def _watched(self, name: str, kept: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that counts as a call, and whose lazy results count as turns."""
        slow, sorts = name in _SLOW_FILTERS, name in _SORTING_FILTERS

        @functools.wraps(kept)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._tick()
            for value in args:
                if isinstance(value, str | list | tuple | range | dict):
                    _bounded(value)
                    if sorts and len(value) > _SORTED_ITEMS:
                        raise TooMuch("items")
                    if slow and isinstance(value, str) and len(value) > _SLOW_CHARACTERS:
                        raise TooMuch("characters")
            if name == "replace" and len(args) >= 4:
                _refuse_growth(str(args[1]), "replace", tuple(map(str, args[2:4])))
            if name in ("string", "trim", "lower", "upper", "length", "list") and len(args) == 1:
                args = (_printable(args[0]),) if name == "string" else args
            made = kept(*args, **kwargs)
            return self._counted(made) if isinstance(made, Iterator) else self._charged(made)

        return watched

    def _joined(self, parts: list[object]) -> str:
        """What `~` makes."""
        self._tick()
        if sum(_size(part) for part in parts) > CHARACTERS:
            raise TooMuch("characters")
        return str(self._charged("".join(map(str, parts))))

    def _charged(self, value: Any) -> Any:
        """`value`, within the limits for one and for all that were built."""
        if isinstance(value, str | list | tuple | dict | set | frozenset):
            self._built += len(_bounded(value))
            if self._built > BUILT:
                raise TooMuch("characters")
        return value

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Count every loop's turns and measure every text that is joined, wherever it stands in the template."""
        tree = super()._parse(source, name, filename)
        for loop in list(tree.find_all(nodes.For)):
            if not loop.recursive:
                loop.iter = nodes.Filter(loop.iter, "_counted", [], [], None, None, lineno=loop.lineno)
        measured = _MeasuredJoins().visit(tree)
        assert isinstance(measured, nodes.Template)
        return measured

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        # Named as in jinja2, so that a template's own keyword arguments can't clash with them.
        __self._tick()
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            _refuse_growth(owner, getattr(__obj, "__name__", ""), args)
        return __self._charged(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Jinja's safe `format`, less what makes a text of gigabytes out of nothing."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        form = str(value.__self__)
        if _WIDE_FORMAT.search(form):
            raise SecurityError("a format that wide isn't allowed in chat templates")
        kept: Callable[..., str] = wrapped

        def narrow(*args: Any, **kwargs: Any) -> str:
            longest = max((_size(part) for part in (*args, *kwargs.values())), default=0)
            if len(form) + form.count("{") * longest > CHARACTERS:
                raise TooMuch("characters")
            return kept(*args, **kwargs)

        return narrow

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr in _PADDING:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self._tick()
        if operator == "*":
            for many, times in ((left, right), (right, left)):
                if isinstance(many, str | list | tuple) and isinstance(times, int):
                    most = CHARACTERS if isinstance(many, str) else ITEMS
                    if len(many) * times > most:
                        raise TooMuch("characters")
            if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 4_096:
                raise TooMuch("number")
        elif operator == "**":
            bits = left.bit_length() if isinstance(left, int) else 64
            if not isinstance(right, int | float) or bits * abs(right) > 4_096:
                raise TooMuch("number")
        elif operator == "%" and isinstance(left, str):
            raise SecurityError("formatting with % isn't allowed in chat templates")
        return self._charged(super().call_binop(context, operator, left, right))


def _refuse_underscore(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"names in a namespace can't begin with an underscore, as {name!r} does")


def _refuse_growth(owner: str, name: str, args: tuple[Any, ...]) -> None:
    """Raises `TooMuch` for a replacement or join whose result would be too long."""
    grown = 0
    if name == "replace" and len(args) >= 2 and isinstance(args[0], str) and isinstance(args[1], str):
        grown = len(owner) + owner.count(args[0]) * len(args[1])
    elif name == "join" and args and isinstance(args[0], list | tuple):
        grown = sum(len(part) + len(owner) for part in args[0] if isinstance(part, str))
    elif name in ("split", "rsplit", "splitlines") and len(owner) > _SLOW_CHARACTERS:
        pieces = (
            owner.count(args[0]) if args and isinstance(args[0], str) and args[0] else len(owner.split(None, ITEMS))
        )
        if pieces > ITEMS:
            raise TooMuch("items")
    elif name in ("title", "encode", "casefold", "swapcase") and len(owner) > _SLOW_CHARACTERS:
        raise TooMuch("characters")
    if grown > CHARACTERS:
        raise TooMuch("characters")


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > CHARACTERS:
            raise TooMuch("characters")
    elif isinstance(value, list | tuple | dict | set | frozenset) and len(value) > ITEMS:
        raise TooMuch("items")
    return value


def _size(value: object) -> int:
    """About how many characters a value is when it is printed. Raises `TooMuch` as soon as that is too many."""
    if isinstance(value, str):
        return len(value)
    total, waiting, seen = 0, [value], 0
    while waiting:
        held = waiting.pop()
        seen += 1
        if isinstance(held, str):
            total += len(held) + 2
        elif isinstance(held, Mapping):
            waiting.extend(held.keys())
            waiting.extend(held.values())
        elif isinstance(held, list | tuple | set | frozenset):
            waiting.extend(held)
        else:
            total += 8
        if total > CHARACTERS or seen + len(waiting) > 2 * ITEMS:
            raise TooMuch("characters")
    return total


def _printable(value: Any) -> Any:
    """`value`, once it is sure that printing it takes little."""
    if not isinstance(value, str | int | float | None):
        _size(value)
    return value


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own escapes HTML, which chat templates don't want.
    _size(value)
    if isinstance(indent, int):
        indent = min(indent, 16)
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    if (width if isinstance(width, int) else len(width)) > _WIDEST or len(text) > CHARACTERS // 4:
        raise TooMuch("characters")
    if text.count("\n") * (width if isinstance(width, int) else len(width)) + len(text) > CHARACTERS:
        raise TooMuch("characters")
    indented: Callable[..., str] = jinja2.filters.do_indent
    return indented(text, width, first, blank)


@jinja2.pass_environment
def _join(
    environment: jinja2.Environment, value: Iterable[Any], d: str = "", attribute: str | int | None = None
) -> str:
    """Jinja's `join`, measured before it is made."""
    if attribute is not None:
        value = map(jinja2.filters.make_attrgetter(environment, attribute), value)
    parts: list[str] = []
    length = 0
    for item in value:
        length += _size(item) + len(str(d))
        if length > CHARACTERS:
            raise TooMuch("characters")
        parts.append(str(item))
    return str(d).join(parts)


@jinja2.pass_environment
def _sum(
    environment: jinja2.Environment, value: Iterable[Any], attribute: str | int | None = None, start: Any = 0
) -> Any:
    """Jinja's `sum` for numbers; lists added up one by one would grow without end."""
    if attribute is not None:
        value = map(jinja2.filters.make_attrgetter(environment, attribute), value)
    total = start
    for item in value:
        if not isinstance(item, int | float) or not isinstance(total, int | float):
            raise SecurityError("only numbers can be summed in chat templates")
        total += item
    return total


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.exceptions.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().strftime(form[:_WIDEST])
