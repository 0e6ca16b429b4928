"""What the chat's memories find and keep with a model: the right turn, in English of 100 and in Korean of 40; names
and relations; and what a summary leaves of what was told. Prints figures for docs/benchmarks.md.

    .venv/bin/python -m tests.benchmarks.memory_quality MODEL_FOLDER [retrieval] [facts] [summaries]

Without the name of a part, all of them: on two cores retrieval takes about two minutes with the starter model, the
others about three each.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from studio.chat.knowledge import in_words
from studio.chat.memories import split_exchanges
from studio.chat.retrieval import FOUND_AT_ONCE, nearest_turns
from studio.chat.summaries import SUMMARY_TOKENS, details, summarize, summary_request
from studio.core.commands import Remember
from studio.core.conversation import Message
from studio.core.events import BASE
from studio.engine.evaluation.generate import Generator, of_folder
from studio.engine.remembering import TurnReader
from tests.benchmarks.told import CHOSEN_WITH, MEASURED_IN_KOREAN, MEASURED_WITH, TOLD, TOLD_IN_KOREAN

READ = range(0, 100, 4)
"""The turns that are read for names and relations."""


def main(folder: str, *parts: str) -> None:
    generator = of_folder(Path(folder))
    reader = TurnReader(generator)
    if not parts or "retrieval" in parts:
        retrieval(reader, "English, chosen with", TOLD, CHOSEN_WITH)
        retrieval(reader, "English", TOLD, MEASURED_WITH)
        retrieval(reader, "Korean", TOLD_IN_KOREAN, MEASURED_IN_KOREAN)
    if not parts or "facts" in parts:
        facts(reader)
    if not parts or "summaries" in parts:
        summaries(generator)


def retrieval(reader: TurnReader, name: str, told: Sequence[str], questions: Sequence[tuple[str, int]]) -> None:
    began = time.monotonic()
    known = [_embedded(reader, text) for text in told]
    seconds = (time.monotonic() - began) / len(told)
    asked = [_embedded(reader, question) for question, _ in questions]
    ways = {
        "meaning and words": (asked, told),
        "meaning alone": (asked, [""] * len(told)),
        "words alone": ([b""] * len(questions), told),
    }
    for how, (embeddings, texts) in ways.items():
        found = [
            nearest_turns(question, embedding, texts, known)
            for (question, _), embedding in zip(questions, embeddings, strict=True)
        ]
        hits = {
            count: sum(wanted in places[:count] for places, (_, wanted) in zip(found, questions, strict=True))
            for count in (1, 3, FOUND_AT_ONCE)
        }
        told_hits = ", ".join(f"hit@{count} {right}" for count, right in hits.items())
        print(f"{name}: {how}: {told_hits} of {len(questions)}", flush=True)
    chance = FOUND_AT_ONCE / len(told)
    print(f"{name}: by chance hit@{FOUND_AT_ONCE} {chance:.0%}; {seconds:.2f} s to read a turn", flush=True)


def facts(reader: TurnReader) -> None:
    began = time.monotonic()
    wanted = found = kept = relations = 0
    for place in READ:
        text = TOLD[place]
        names = {one for one in details(text) if not one[0].isdigit()}
        read = reader.read(Remember(id="x", question=text, answer="", wanted=("entities", "relations")), lambda: False)
        entities = {fact.subject.casefold() for fact in read.facts if fact.kind == "entity"}
        triples = [in_words(fact) for fact in read.facts if fact.kind == "relation"]
        wanted += len(names)
        found += sum(any(name in entity.split() for entity in entities) for name in names)
        kept += len(entities)
        relations += len(triples)
        print(f"  {text}\n    {', '.join(sorted(entities)) or '-'}\n    {'; '.join(triples) or '-'}")
    seconds = (time.monotonic() - began) / len(READ)
    print(
        f"names found: {found} of {wanted}; entities kept: {kept}; relations kept: {relations}; {seconds:.1f} s a turn"
    )


def summaries(generator: Generator) -> None:
    by_model = by_both = told = invented = 0
    for start in range(0, 40, 10):
        messages = [
            message
            for text in TOLD[start : start + 10]
            for message in (Message(role="user", content=text), Message(role="assistant", content="I see."))
        ]
        exchanges = split_exchanges(messages)
        source = "\n".join(TOLD[start : start + 10])
        wanted = details(source) - {"i"}

        tokens = generator.stream(summary_request("", exchanges), BASE, SUMMARY_TOKENS, 0.0, None, lambda _: False)
        written = generator.encoder.decode(tokens)
        both = summarize("", exchanges, partial(_as_written, written))
        told += len(wanted)
        by_model += len(wanted & _words(written))
        by_both += len(wanted & _words(both))
        invented += len({one for one in details(written) if one not in source.casefold()})
        print(f"  model: {written!r}\n  kept: {both!r}")
    print(f"names and numbers told: {told}; left by the model alone: {by_model}, made up: {invented}; kept: {by_both}")


def _embedded(reader: TurnReader, text: str) -> bytes:
    return reader.read(Remember(id="x", question=text), lambda: False).embedding_bytes


def _as_written(text: str, _request: tuple[Message, ...]) -> str:
    return text


def _words(text: str) -> set[str]:
    return {one.strip(".,:;").casefold() for one in re.findall(r"[^\s'\"]+", text)}


if __name__ == "__main__":
    main(*sys.argv[1:])
