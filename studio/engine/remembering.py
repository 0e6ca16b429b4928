"""What a model reads out of the turns of a conversation for the memories of a chat: embeddings and facts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Literal

import torch
from peft import PeftModel

from studio.chat.knowledge import goes_round, read_facts, request_for
from studio.core.commands import Remember
from studio.core.conversation import Fact
from studio.core.events import BASE, Remembered
from studio.engine.evaluation.generate import Generator
from studio.engine.methods.base_model import Network

FACT_TOKENS = 64
"""What a model may write down of one message."""

_EMBEDDED = 1000
"""Characters of a message that its embedding is made of."""

_FIRST = "Rewrite the sentence: {text}\nRewritten sentence:"

Role = Literal["user", "assistant"]
Kind = Literal["entity", "relation"]


class Interrupted(Exception):
    """Somebody waits for something else."""


class TurnReader:
    """Reads as the base model: one that learned to answer in a form of its own would write in it here too. What was
    read of a message last is known for a while, as two models side by side are asked the same."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._space = ""
        self._read: dict[tuple[Kind, str], str] = {}

    def read(self, request: Remember, interrupted: Callable[[], bool]) -> Remembered:
        """Raises `Interrupted` as soon as `interrupted` says so, and `ProblemError`."""
        facts: list[Fact] = []
        embedding = b""
        for wanted in request.wanted:
            if wanted == "meaning":
                embedding = self._embedding(request.question)
            else:
                kind: Kind = "entity" if wanted == "entities" else "relation"
                facts += self._facts(kind, request.question, "user", interrupted)
                facts += self._facts(kind, request.answer, "assistant", interrupted)
        return Remembered(
            request=request.id,
            embedding=base64.b64encode(embedding).decode(),
            space=self._space if embedding else "",
            facts=tuple(facts),
        )

    def _facts(self, kind: Kind, text: str, said_by: Role, interrupted: Callable[[], bool]) -> tuple[Fact, ...]:
        if not text.strip():
            return ()
        if (kind, text) not in self._read:
            if len(self._read) >= 16:
                self._read.clear()
            self._read[kind, text] = self._write(kind, text, interrupted)
        return read_facts(kind, self._read[kind, text], text, said_by)

    def _write(self, kind: Kind, text: str, interrupted: Callable[[], bool]) -> str:
        decode = self._generator.encoder.decode
        stopped = False

        def on_tokens(tokens: list[int]) -> bool:
            nonlocal stopped
            stopped = interrupted()
            return stopped or goes_round(decode(tokens))

        if interrupted():
            raise Interrupted
        tokens = self._generator.stream(request_for(kind, text), BASE, FACT_TOKENS, 0.0, None, on_tokens)
        if stopped:
            raise Interrupted
        return decode(tokens)

    def _embedding(self, text: str) -> bytes:
        """float16 numbers, the lower byte first. The text is read twice and pooled over the second time, when every
        token has seen all of it (echo embeddings: Springer et al. 2024, arXiv:2402.15449)."""
        said = " ".join(text.split())[:_EMBEDDED]
        before = _FIRST.format(text=said)
        encoder = self._generator.encoder.without_limit()
        whole = encoder.encode_text(f"{before} {said}", ends=False).ids
        first = len(encoder.encode_text(before, ends=False).ids)
        ids = torch.tensor([whole], device=self._generator.device.torch_device)
        with self._generator.network_of(BASE) as network, torch.inference_mode():
            plain = network.get_base_model() if isinstance(network, PeftModel) else network
            if not self._space:
                self._space = _space_of(plain)
            layers = plain(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
            pooled = layers[-2][0, first:].float().mean(0)
        numbers: bytes = (pooled / pooled.norm().clamp(min=1e-6)).cpu().numpy().astype("<f2").tobytes()
        return numbers


def _space_of(network: Network) -> str:
    """Which embeddings can be compared with which: the same for the same base model, whatever it is stored as."""
    weights = network.get_input_embeddings().weight
    some = weights[: min(64, len(weights))].detach().float().cpu().to(torch.bfloat16).float().numpy().tobytes()
    return hashlib.sha256(some).hexdigest()[:16]
