"""A GGUF file in llama.cpp's own server, in a process of its own, asked what its run was asked.

`python -m studio.engine.export.llama_answers FOLDER`: reads a `LlamaRequest` there, and a `Reference` where that has no
conversations of its own, and writes a line for each question to a file beside them.

The server runs in this process, as xllamacpp builds it: its own template engine on the template in the file, its own
tokenizer, sampling and stops. It listens on a socket in a folder that is this user's alone, and on no port.

It tells the probabilities of tokens that it wrote itself. So the run's answer is put to it up to a place, and it goes
on from there; as long as it writes the same, each token comes with its probabilities, and where it writes another one,
the run's own is put in its place and it goes on from there. Of a token that ends in the middle of a letter it tells no
probabilities.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from studio.engine.export.llama_cpp import end_with_parent
from studio.engine.export.measurement import (
    REQUEST,
    Conversation,
    Likeliest,
    Measured,
    NotMeasured,
    Question,
    Reference,
    Said,
    rounded,
    write_answer,
)

_TOLD = 256
"""Likeliest tokens whose probabilities llama.cpp is asked for at each place."""


class LlamaRequest(BaseModel):
    """`adapter` is a GGUF adapter on the model in `file`. With `conversations`, these are answered in at most `limit`
    tokens each, and nothing is measured; the longest of them needs `room` tokens with its answer."""

    model_config = ConfigDict(frozen=True)

    file: Path
    adapter: Path | None = None
    flash_attention: bool = False
    conversations: tuple[Conversation, ...] = ()
    limit: int = 0
    room: int = 0


class _Likely(BaseModel):
    """A token and the logarithm of its probability."""

    id: int
    logprob: float


class _Place(BaseModel):
    """A token that llama.cpp wrote, and the likeliest ones at its place: none where it tells none."""

    id: int
    top_logprobs: tuple[_Likely, ...] = ()


class _Told(BaseModel):
    """Of `__verbose`: `prompt` is what the tokens that it read stand for, `tokens` what it wrote, `content` as text;
    `stop_type` is "limit" where it would have gone on."""

    prompt: str
    tokens: tuple[int, ...]
    tokens_evaluated: int
    content: str = ""
    stop_type: str = ""
    completion_probabilities: tuple[_Place, ...] = ()
    cached: int = 0

    @property
    def places(self) -> tuple[_Place, ...]:
        """All that was written, or nothing where some tokens have no probabilities: which of several isn't told."""
        if len(self.completion_probabilities) == len(self.tokens):
            return self.completion_probabilities
        return (_Place(id=self.tokens[0]),) if len(self.tokens) == 1 else ()


def main(arguments: list[str]) -> int:
    from studio.engine.environment import prepare_environment

    prepare_environment(online=False)
    end_with_parent()
    work = Path(arguments[0])
    request = LlamaRequest.model_validate_json((work / REQUEST).read_bytes())
    log = work / "llama.log"
    kept = os.dup(2)
    with open(log, "wb") as chatter:  # it tells what it has rendered only where it tells everything
        os.dup2(chatter.fileno(), 2)
    try:
        _ask(request, work)
    except Exception as error:  # what llama.cpp throws is whatever its bindings make of it
        os.dup2(kept, 2)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line.partition(" E ")[2] for line in lines if " E " in line]
        no_memory = any("allocate" in line for line in errors)
        write_answer(work, NotMeasured(reason=" ".join([*errors[:2], str(error)])[:400], out_of_memory=no_memory))
        raise
    return 0


class LlamaServer:
    """llama.cpp's server with one model, greedy. Raises whatever its bindings raise where it can't load it."""

    def __init__(self, request: LlamaRequest, context_length: int, socket: Path) -> None:
        # Under Windows llama.cpp can't open paths with other letters than English ones: from its own folder it can.
        os.chdir(request.file.parent)
        llama: Any = importlib.import_module("xllamacpp")
        settings = llama.CommonParams()
        settings.model.path = request.file.name
        settings.hostnames = [str(socket)]
        settings.n_ctx = context_length
        settings.n_parallel = 1
        settings.cache_ram_mib = 0
        settings.warmup = False
        settings.verbosity = 10
        attention = llama.llama_flash_attn_type
        settings.flash_attn_type = (
            attention.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if request.flash_attention
            else attention.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        if request.adapter is not None:
            beside = request.adapter.parent == request.file.parent
            adapter = request.adapter.name if beside else str(request.adapter)
            settings.lora_adapters = [llama.CommonAdapterLoraInfo(adapter, 1.0)]
        self._server = llama.Server(settings)

    def go_on(self, ids: Sequence[int], most: int) -> _Told:
        """What it writes after these tokens, at most so many, with their probabilities."""
        asked = {"prompt": list(ids), "n_predict": most, "n_probs": _TOLD, **_GREEDY}
        return _told(self._server.handle_completions(asked))

    def answer(self, question: Conversation, most: int) -> _Told:
        """What it answers to the conversation, which its own template puts into text."""
        turns, tools = json.loads(question.turns), json.loads(question.tools)
        for turn in turns:
            for call in turn.get("tool_calls", ()):
                if not isinstance(call["function"]["arguments"], str):
                    call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
        asked = {"messages": turns, **({"tools": tools} if tools else {}), "max_tokens": most, **_GREEDY}
        return _told(self._server.handle_chat_completions(asked))


_GREEDY = {"temperature": 0, "return_tokens": True, "cache_prompt": True}


def _told(answer: dict[str, Any]) -> _Told:
    if "error" in answer or "__verbose" not in answer:
        raise ValueError(str(answer.get("error", answer))[:300])
    told = answer["__verbose"]
    return _Told.model_validate({**told, "cached": told["timings"]["cache_n"]})


def _ask(request: LlamaRequest, work: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="studio-") as private:
        socket = Path(private) / "llama.sock"
        if request.conversations:
            server = LlamaServer(request, _rounded(request.room), socket)
            for conversation in request.conversations:
                told = server.answer(conversation, request.limit)
                write_answer(work, Said(text=told.content, ended=told.stop_type != "limit"))
            del server
            return
        reference = Reference.read(work)
        longest = max(len(question.prompt) for question in reference.questions)
        server = LlamaServer(request, _rounded(longest + reference.limit), socket)
        for question, likeliest in zip(reference.questions, reference.likeliest, strict=True):
            write_answer(work, _measured(server, question, likeliest, reference.limit))
        del server


def _rounded(room: int) -> int:
    """What llama.cpp is given for so many tokens, with some to spare for what its own template writes."""
    return -(-(room + 64) // 256) * 256


def _measured(server: LlamaServer, question: Question, likeliest: Likeliest, limit: int) -> Measured:
    first = server.go_on(question.prompt, limit)
    places = _places(server, question, first)
    again = server.go_on(question.prompt, 1)
    own = server.answer(question, 1)
    same = (own.prompt, own.tokens_evaluated) == (again.prompt, len(question.prompt))
    if again.cached == len(question.prompt) - 1:  # else this kind of model can't go back to a place that it has passed
        same &= own.cached == again.cached  # the tokens themselves are the same up to there
    answer = first if same else server.answer(question, limit)
    return Measured(
        prompt=own.prompt,
        same_prompt=same,
        answer=answer.tokens,
        likeliest=tuple(place.top_logprobs[0].id if place.top_logprobs else place.id for place in places),
        log_probabilities=tuple(_of(ids, place) for ids, place in zip(likeliest.ids.tolist(), places, strict=True)),
        least=tuple(rounded([place.top_logprobs[-1].logprob])[0] if place.top_logprobs else None for place in places),
    )


def _places(server: LlamaServer, question: Question, told: _Told) -> list[_Place]:
    """For each token of the run's answer what llama.cpp holds likely there, beginning with what it wrote itself. One
    token at a time from where it can't be told apart which of them has no probabilities."""
    places: list[_Place] = []
    wanted = question.answer
    most = len(wanted)
    while True:
        if not told.tokens:
            raise ValueError("no tokens")
        for place in told.places[: len(wanted) - len(places)]:
            places.append(place)
            if place.id != wanted[len(places) - 1]:
                break
        if len(places) == len(wanted):
            return places
        most = len(wanted) - len(places) if told.places and most > 1 else 1
        told = server.go_on((*question.prompt, *wanted[: len(places)]), most)


def _of(ids: Sequence[int], place: _Place) -> tuple[float | None, ...]:
    known = {one.id: one.logprob for one in place.top_logprobs}
    return tuple(None if (found := known.get(one)) is None else round(found, 5) for one in ids)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
