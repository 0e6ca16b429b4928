"""Templates of somebody who means harm. `python -m tests.tokenization.hostile SECONDS` renders each with that limit
and prints what came of it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from studio.core.conversation import Message
from studio.core.problems import ProblemError
from studio.tokenization import sandbox
from studio.tokenization.chat_template import ChatTemplate

CONVERSATION = (
    Message(role="system", content="Be <kind> & brief."),
    Message(role="user", content="Where?"),
    Message(role="assistant", content="There."),
)

_BIG = "{% set x = 'x' * 4000000 %}"
_LIST = "{% set l = range(99999) | list + range(99999) | list %}"

HUNGRY = {
    "a range of a thousand million": "{% for a in range(10**9) %}{% endfor %}",
    "a range of a thousand million as a number": "{% for a in range(1000000000) %}{% endfor %}",
    "loops in loops": "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    "loops over slow work": "{% for a in range(99999) %}{% set b = range(99999) | list %}{% endfor %}",
    "sorting again and again": _LIST + "{% for a in range(9999) %}{% set b = l | sort(reverse=true) %}{% endfor %}",
    "mapping maps": _LIST
    + "{{ l | map('string') | map('upper') | map('lower') | map('title') | map('trim') | list | length }}" * 40,
    "unique of everything": _LIST + "{% for a in range(9999) %}{% set b = l | unique | list %}{% endfor %}",
    "grouping again and again": _LIST + "{% for a in range(9999) %}{% set b = l | groupby('real') %}{% endfor %}",
    "selecting again and again": _LIST + "{% for a in range(9999) %}{% set b = l | select('odd') | list %}{% endfor %}",
    "membership in a list": _LIST + "{% for a in range(99999) %}{% set b = 'x' in l %}{% endfor %}",
    "membership in a text": _BIG + "{% for a in range(99999) %}{% set b = ('x' * 2000000 ~ 'y') in x %}{% endfor %}",
    "comparing lists": _LIST + "{% set m = l + [] %}{% for a in range(99999) %}{% set b = l == m %}{% endfor %}",
    "comparing texts": _BIG
    + "{% set y = x ~ 'a' %}{% set z = x ~ 'b' %}{% for a in range(99999) %}{% set c = y < z %}{% endfor %}",
    "counting in a text": _BIG + "{% for a in range(99999) %}{% set b = x.count('xx') %}{% endfor %}",
    "finding in a text": _BIG + "{% for a in range(99999) %}{% set b = x.find('x' * 1000 ~ 'y') %}{% endfor %}",
    "splitting a text": _BIG + "{{ x.split('x') | length }}",
    "splitting many texts": "{% set x = 'x ' * 100000 %}{% for a in range(99999) %}{% set b = x.split() %}{% endfor %}",
    "letters of a text": _BIG + "{{ x | list | length }}",
    "letters of a text in a loop": _BIG + "{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}",
    "reversed letters": _BIG + "{% for a in range(99999) %}{% set b = x | reverse %}{% endfor %}",
    "slices of a text": _BIG + "{% for a in range(99999) %}{% set b = x[::-1] %}{% endfor %}",
    "titles": _BIG + "{% for a in range(999) %}{% set b = x | title %}{% endfor %}",
    "titles by method": _BIG + "{% for a in range(999) %}{% set b = x.title() %}{% endfor %}",
    "tags stripped": "{% set x = '<' * 4000000 %}{{ x | striptags }}",
    "tags nested": "{% set x = '<!--' * 90000 %}{% for a in range(9999) %}{% set b = x | striptags %}{% endfor %}",
    "letters for addresses": _BIG + "{% for a in range(999) %}{% set b = x | urlencode %}{% endfor %}",
    "words counted": _BIG + "{% for a in range(999) %}{% set b = x | wordcount %}{% endfor %}",
    "truncated": _BIG + "{% for a in range(99999) %}{% set b = x | truncate(2999999, true) %}{% endfor %}",
    "joined with itself": _BIG + "{{ ([x] * 100000) | join(x) }}",
    "joined by method": _BIG + "{{ x.join(['a'] * 100000) }}",
    "a list printed": _BIG + "{{ [x] * 100000 }}",
    "a list as text": _BIG + "{{ ([x] * 100000) | string | length }}",
    "a list joined on": _BIG + "{{ 'a' ~ ([x] * 100000) }}",
    "a list in a format": _BIG + "{{ '{}'.format([x] * 100000) }}",
    "a list as JSON": _BIG + "{{ ([x] * 100000) | tojson }}",
    "lists of lists as JSON": "{% set n = namespace(l=['x']) %}{% for a in range(60) %}"
    "{% set n.l = [n.l, n.l] %}{% endfor %}"
    "{{ n.l | tojson }}",
    "lists of lists printed": "{% set n = namespace(l=['x']) %}{% for a in range(60) %}"
    "{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}",
    "deep lists": "{% set n = namespace(l=[]) %}{% for a in range(99999) %}{% set n.l = [n.l] %}"
    "{% endfor %}{{ n.l | tojson }}",
    "deep lists printed": "{% set n = namespace(l=[]) %}{% for a in range(99999) %}"
    "{% set n.l = [n.l] %}{% endfor %}{{ n.l }}",
    "a format with many places": "{{ ('{0}' * 1000000).format('x' * 4000000) }}",
    "a format within a format": "{{ '{:{}}'.format(1, 9999999999) }}",
    "a wide format": "{{ '{:9999999999}'.format(1) }}",
    "percent": "{{ '%9999999999d' % 1 }}",
    "a format by filter": "{{ '%9999999999d' | format(1) }}",
    "replaced by itself": _BIG + "{{ x.replace('x', x) }}",
    "replaced by filter": _BIG + "{{ x | replace('x', x) }}",
    "replaced again and again": _BIG + "{% for a in range(99999) %}{% set b = x.replace('x', 'y') %}{% endfor %}",
    "doubled": "{% set n = namespace(x='xxxxxxxx') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubled by adding": "{% set n = namespace(x='xx') %}{% for a in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubled by a block": "{% set x = 'xxxxxxxx' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60,
    "doubled by a macro": "{% macro m(x, n) %}{% if n %}{{ m(x ~ x, n - 1) }}{% else %}{{ x }}"
    "{% endif %}{% endmacro %}{{ m('xx', 60) }}",
    "a list doubled": "{% set n = namespace(l=[1]) %}{% for a in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}",
    "lists summed": _LIST + "{{ ([l] * 99999) | sum(start=[]) | length }}",
    "texts piled up": "{% set n = namespace(l=[]) %}{% for a in range(99999) %}"
    "{% set n.l = n.l + ['x' * 4000000] %}{% endfor %}",
    "text written in a macro": "{% macro m() %}{% for a in range(99999) %}"
    + "y" * 90_000
    + "{% endfor %}{% endmacro %}{{ m() }}",
    "text written in a block": "{% set x %}{% for a in range(99999) %}"
    + "y" * 90_000
    + "{% endfor %}{% endset %}{{ x | length }}",
    "text without end": "{% for a in range(9999) %}{{ 'x' * 99999 }}{% endfor %}",
    "powers": "{{ 10 ** (10 ** 10) }}",
    "powers of powers": "{% set n = namespace(x=9) %}{% for a in range(99) %}{% set n.x = n.x ** 60 %}{% endfor %}",
    "large numbers printed": "{% set n = namespace(x=2 ** 4000) %}{% for a in range(99) %}"
    "{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}",
    "numbers of many figures": "{% set x = '9' * 4000 %}{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% set c = x | int %}{% endfor %}{% endfor %}",
    "a macro in itself": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "a macro in itself, twice": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}"
    "{% endmacro %}{{ m(60) }}",
    "a loop in itself": "{% for a in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "a loop in itself over a long list": "{% for a in range(99999) recursive %}"
    "{% if loop.depth < 3 %}{{ loop(range(99999)) }}{% endif %}{% endfor %}",
    "a call in a call": "{% macro m() %}{{ caller() }}{% endmacro %}"
    + "{% call m() %}" * 300
    + "x"
    + "{% endcall %}" * 300,
    "filters in filters": "{{ 'x'" + " | upper | lower" * 10_000 + " }}",
    "brackets in brackets": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "blocks in blocks": "{% if 1 %}" * 2_000 + "x" + "{% endif %}" * 2_000,
    "loops in the text": "{% for a in [1, 2] %}" * 19 + "x" + "{% endfor %}" * 19,
    "a sum of many": "{{ 1" + " + 1" * 40_000 + " }}",
    "a long list in the text": "{{ [" + "1, " * 60_000 + "] | length }}" + "{% for a in range(999999) %}{% endfor %}",
    "bytes doubled": _BIG + "{{ x.encode() * 100000 }}",
    "bytes of a number": "{{ (1).to_bytes(10**10, 'big') }}",
    "padded": "{{ 'x'.ljust(10**10) }}",
    "centered": "{{ 'x' | center(10**10) }}",
    "indented": "{{ 'x\ny' | indent(10**10) }}",
    "indented many": "{{ ('x\n' * 1000000) | indent(999) }}",
    "filled": "{{ [1] | batch(10**9, 0) | list }}",
    "sliced": "{{ [1] | slice(10**9) | list }}",
    "wrapped": "{{ ('x ' * 1000000) | wordwrap(1) }}",
    "words of filler": "{{ lipsum(n=10**9) }}",
    "cycling": "{% set c = cycler(*range(99999)) %}{% for a in range(99999) %}"
    "{% for b in range(99999) %}{{ c.next() }}{% endfor %}{% endfor %}",
    "joiners": "{% set j = joiner('x' * 4000000) %}{% for a in range(9999) %}{{ j() }}{% endfor %}",
    "dates": "{{ strftime_now('%A' * 1000000) }}{% for a in range(10**9) %}{% endfor %}",
    "a dictionary of many": "{{ dict.fromkeys(range(99999), 'x' * 4000000) | tojson }}",
    "keyword arguments": "{{ dict(**dict.fromkeys(('x' * 99999) | list, 1)) }}{% for a in range(10**9) %}{% endfor %}",
}
"""Each would go on without end or fill the memory, and has to be stopped."""

CURIOUS = {
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals of a method": "{{ messages.__init__.__globals__ }}",
    "globals of a class": "{{ cycler.__init__.__globals__.os.popen('touch canary') }}",
    "globals of a function": "{{ raise_exception.__globals__['json'].codecs.open('canary', 'w') }}",
    "globals of a date": "{{ strftime_now.__globals__ }}",
    "globals of a namespace": "{{ namespace.__init__.__globals__ }}",
    "a format that walks": "{% set s = '{0.__class__.__init__.__globals__}' %}{{ s.format(raise_exception) }}",
    "a format that walks by name": "{{ '{x.__class__}'.format(x=raise_exception) }}",
    "format_map": "{{ '{x.__class__}'.format_map({'x': 1}) }}",
    "a format by attr": "{{ ('{0.__class__}' | attr('format'))(1) }}",
    "the filter attr": "{{ messages | attr('__class__') | attr('__mro__') | last }}",
    "attributes in map": "{{ [raise_exception] | map(attribute='__globals__') | list }}",
    "attributes in sort": "{{ messages | sort(attribute='__class__') }}",
    "attributes in groupby": "{{ messages | groupby('__class__') }}",
    "attributes in sum": "{{ messages | sum(attribute='__class__') }}",
    "attributes in join": "{{ messages | join(',', attribute='__class__') }}",
    "a generator's frame": "{% set g = (messages | map('upper')) %}{{ g.gi_frame.f_globals }}",
    "a macro's function": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "the environment": "{{ self._TemplateReference__context.environment.__class__ }}",
    "the context": "{{ self.__init__.__globals__ }}",
    "the loop": "{% for m in messages %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "the caller": "{% macro m() %}{{ caller._func.__code__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "the block's context": "{% block b %}{{ self.b._stack[0].__globals__ }}{% endblock %}",
    "changing the messages": "{{ messages.append(messages[0]) }}",
    "changing a message": "{{ messages[0].update({'content': 'changed'}) }}",
    "changing a namespace": "{% set n = namespace() %}{% set n.__class__ = 1 %}{{ n.__class__ }}",
    "an underscore in a namespace": "{{ namespace(__class__=1) }}",
    "another file": "{% include 'chat_template.jinja' %}",
    "an import": "{% import 'os' as os %}{{ os }}",
    "inheritance": "{% extends '/etc/passwd' %}",
    "a mark that isn't there": "{% debug %}",
}
"""Each tries to reach what isn't the conversation."""


def outcome(source: str) -> dict[str, object]:
    """What came of rendering: the text or the problem's code, seconds of computing, and the most memory so far."""
    began = time.process_time()
    text = code = ""
    try:
        text = ChatTemplate(source, {"bos_token": "<s>", "eos_token": "</s>"}).render(CONVERSATION)
    except ProblemError as error:
        code = error.problem.code
    seconds = time.process_time() - began
    return {"code": code, "text": text[:500], "seconds": seconds, "memory": most_memory()}


def most_memory() -> int:
    """MiB that this process held at most so far; 0 where the system doesn't tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    sandbox.SECONDS = float(sys.argv[1])
    for name, source in {**HUNGRY, **CURIOUS}.items():
        print(json.dumps({"name": name, **outcome(source)}), flush=True)  # noqa: T201 - read by the test
