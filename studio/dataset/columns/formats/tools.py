"""Tools and calls of tools in the forms that files keep them in, brought into the one that chat templates take."""

from __future__ import annotations

import json
from collections.abc import Mapping

from studio.core.conversation import ToolCall
from studio.core.translatable import N_
from studio.dataset.columns.formats.cells import CannotLearn, nested, writable


def read_tools(cell: object, drop_nulls: bool = False) -> str:
    """Tool definitions as a JSON list in text, each as `{"type": "function", "function": {...}}`; "" for none.

    Takes a list or its JSON text, of definitions or of their JSON texts, with or without that wrapping.
    `drop_nulls` leaves out what columnar files fill in where one tool has a part that another one lacks.
    Raises `CannotLearn` for anything else, since a tool must not be lost silently.
    """
    tools = nested(cell)
    if tools is None or tools == [] or tools == {} or _is_blank(tools):
        return ""
    if isinstance(tools, Mapping):
        tools = [tools]
    if not isinstance(tools, list | tuple):
        raise _unreadable_tools()
    read: list[object] = []
    for tool in tools:
        tool = nested(tool)
        if drop_nulls:
            tool = without_nulls(tool)
        if not isinstance(tool, Mapping):
            raise _unreadable_tools()
        inner = tool.get("function")
        if isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
            read.append({"type": "function", **tool})
        elif isinstance(tool.get("name"), str):
            # Some services say input_schema for what the others call parameters.
            names = {"input_schema": "parameters"}
            plain = {names.get(k, k): v for k, v in tool.items() if not (k == "type" and v in ("function", "custom"))}
            read.append({"type": "function", "function": plain})
        else:
            raise _unreadable_tools()
    return writable(json.dumps(read, ensure_ascii=False, default=str))


def read_calls(cell: object, drop_nulls: bool = False) -> tuple[ToolCall, ...]:
    """Calls from a list, a single one or their JSON text; arguments may be text or an object, in the wrapping
    `{"function": {...}}` or without. Raises `CannotLearn` where a call can't be read: none is lost silently."""
    calls = nested(cell)
    if calls is None or _is_blank(calls):
        return ()
    if isinstance(calls, Mapping):
        calls = [calls]
    if not isinstance(calls, list | tuple):
        raise _unreadable_call()
    return tuple(_call(nested(call), drop_nulls) for call in calls)


def looks_like_calls(cell: object) -> bool:
    """Whether a cell is nothing but calls of tools, as a list or as JSON text."""
    if isinstance(cell, str) and not cell.lstrip().startswith(("[", "{")):
        return False
    calls = nested(cell)
    calls = [calls] if isinstance(calls, Mapping) else calls
    return (
        isinstance(calls, list)
        and bool(calls)
        and all(
            isinstance(call, Mapping) and isinstance(call.get("name"), str) and {"arguments", "parameters"} & set(call)
            for call in calls
        )
    )


def looks_like_tools(cell: object) -> bool:
    """Whether a cell holds definitions of tools."""
    try:
        return bool(read_tools(cell))
    except CannotLearn:
        return False


def without_nulls(value: object) -> object:
    """`value` without the parts that are None, at any depth."""
    if isinstance(value, Mapping):
        return {name: without_nulls(held) for name, held in value.items() if held is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(held) for held in value]
    return value


def _call(call: object, drop_nulls: bool) -> ToolCall:
    if not isinstance(call, Mapping):
        raise _unreadable_call()
    inner = call.get("function")
    told: Mapping[object, object] = inner if isinstance(inner, Mapping) else call
    name = told.get("name") if told.get("name") is not None else told.get("tool_name")
    arguments: object = None
    for key in ("arguments", "parameters", "input", "args"):
        if told.get(key) is not None:
            arguments = told[key]
            break
    parsed = nested(arguments)
    if parsed is None or _is_blank(parsed):
        parsed = {}
    if not isinstance(name, str) or not name or not isinstance(parsed, Mapping):
        raise _unreadable_call()
    text = ""
    if not isinstance(arguments, str):
        text = json.dumps(without_nulls(parsed) if drop_nulls else parsed, ensure_ascii=False, default=str)
    elif _is_json(arguments):
        text = arguments  # letter by letter: it is what the model is to write
    text = text or json.dumps(parsed, ensure_ascii=False, default=str)
    given = call.get("id")
    identity = given if isinstance(given, str) else ""
    return ToolCall(name=writable(name), arguments=writable(text), id=writable(identity))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_blank(cell: object) -> bool:
    return isinstance(cell, str) and not cell.strip()


def _unreadable_tools() -> CannotLearn:
    return CannotLearn(N_("The tools can't be read: they aren't a list of definitions with names."))


def _unreadable_call() -> CannotLearn:
    return CannotLearn(N_("A call of a tool can't be read: it isn't a name with arguments."))
