"""Chat templates come with models, so they are programs of strangers: rendered in a sandbox, with limits.

What a template may do is what transformers lets it do (`apply_chat_template`: the same environment, filters and
functions), so that an honest one renders the same letter for letter. What a run-away or hostile one may use up is
bounded: time, turns of loops, calls, the length of every text it builds and the size of every list. No single
operation on values of that size takes long, and the clock is looked at between them. The process that trains renders
templates, too, and neither its memory nor its time has a limit of its own.
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

_WIDE_FORMAT = re.compile(r"\d{4}|\{[^}]*\{")
_NOT_OFFERED = ("format", "lipsum", "pprint", "urlize", "xmlattr")
_GROWING = set(
    """
    batch center expandtabs format format_map indent join ljust replace rjust slice string to_bytes tojson translate
    wordwrap zfill
    """.split()  # noqa: SIM905
)
"""Filters and methods whose result can be longer than what they are given."""
_QUICK = set(
    """
    count d default endswith find first join last length list lower lstrip map reject rejectattr removeprefix
    removesuffix replace reverse rsplit rstrip safe select selectattr split startswith string strip tojson trim upper
    """.split()  # noqa: SIM905
)
"""Filters and methods that may be given as much as there is; the others a twentieth of it."""


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
        Namespace.__init__(self)
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError(f"names in a namespace can't begin with an underscore, as {name!r} does")
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
        self.globals.update(
            dict=_Dict(), namespace=_Namespace, raise_exception=_raise_exception, strftime_now=_strftime_now
        )
        for name in _NOT_OFFERED:
            self.filters.pop(name, None)
            self.globals.pop(name, None)
        for name, kept in list(self.filters.items()):
            self.filters[name] = self._watched(name, kept)
        self.filters["_counted"] = self._counted
        self.filters["_joined"] = self._joined
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
        return self._joined(list(parts))

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
        first = int(hasattr(kept, "jinja_pass_arg"))  # the environment or context stands before the value

        @functools.wraps(kept)
        def watched(*args: Any, **kwargs: Any) -> Any:
            given = self._measured(name, args[first:], kwargs)
            made = kept(*args[:first], *given, **kwargs)
            return self._counted(made) if isinstance(made, Iterator) else self._charged(made)

        return watched

    def _measured(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """What a filter or method called `name` is given, lazy values as lists, once it is sure that it isn't too much.
        Of a method the first is what it belongs to."""
        self._tick()
        given = [list(value) if isinstance(value, Iterator) else value for value in args]
        share = 1 if name in _QUICK else 20
        for value in given:
            if isinstance(value, str | bytes | list | tuple | range | dict) and len(value) > _most(value) // share:
                raise TooMuch("characters")
        more = (*given[1:], *kwargs.values())
        if name == "sum" and not all(isinstance(value, str | int | float) for value in more):
            raise SecurityError("only numbers can be summed in chat templates")  # lists would grow with each
        if name in _GROWING:
            whole, rest = _weight(given[0]), sum(_weight(value) for value in more)
            if name == "replace" and len(given) >= 3 and given[1]:
                whole = str(given[0]).count(str(given[1]))
            # a format is filled in as often as it has places, and each can be as wide as it says
            if name.startswith("format") and _WIDE_FORMAT.search(str(given[0])):
                raise SecurityError("a format that wide isn't allowed in chat templates")
            if whole * rest > BUILT:
                raise TooMuch("characters")
        return given

    def _joined(self, parts: list[Any]) -> str:
        """What `~` makes."""
        self._tick()
        _weight(parts)
        return str(self._charged("".join(map(str, parts))))

    def _charged(self, value: Any) -> Any:
        """`value`, within the limits for one and for all that were built."""
        if isinstance(value, str | bytes | list | tuple | dict | set | frozenset):
            self._built += len(value)
            if len(value) > _most(value) or self._built > BUILT:
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
        owner = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)
        if isinstance(owner, str | bytes | int):
            args = tuple(__self._measured(getattr(__obj, "__name__", ""), (owner, *args), kwargs)[1:])
        else:
            __self._tick()
        return __self._charged(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self._tick()
        if operator in ("*", "**") and _weight(left) * _weight(right) > CHARACTERS:
            raise TooMuch("characters")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("formatting with % isn't allowed in chat templates")
        return self._charged(super().call_binop(context, operator, left, right))


def _most(value: object) -> int:
    return CHARACTERS if isinstance(value, str | bytes) else ITEMS


def _weight(value: object) -> float:
    """The size of a number; of anything else about how many characters it is when it is printed. Raises `TooMuch` as
    soon as that is too many."""
    if isinstance(value, int | float):
        return abs(value)
    total, waiting, seen = 0, [value], 0
    while waiting:
        held = waiting.pop()
        seen += 1
        if isinstance(held, str | bytes):
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
    if not isinstance(value, str):
        _weight(value)
    return value


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own escapes HTML, which chat templates don't want.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.exceptions.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().strftime(form[:1_000])
