"""What the chat's memories find and keep with a model: the right turn among 100, names, relations, and what a summary
leaves of what was told. Prints figures for docs/benchmarks.md.

    .venv/bin/python -m tests.benchmarks.memory_quality MODEL_FOLDER
"""

from __future__ import annotations

import re
import sys
import time
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
from tests.benchmarks.told import CHOSEN_WITH, MEASURED_WITH, TOLD

READ = range(0, 100, 4)
"""The turns that are read for names and relations."""


def main(folder: str) -> None:
    generator = of_folder(Path(folder))
    reader = TurnReader(generator)
    retrieval(reader)
    facts(reader)
    summaries(generator)


def retrieval(reader: TurnReader) -> None:
    began = time.monotonic()
    known = [_embedded(reader, text) for text in TOLD]
    print(f"reading a turn for its embedding: {(time.monotonic() - began) / len(TOLD):.2f} s")
    for name, questions in (("chosen with", CHOSEN_WITH), ("measured with", MEASURED_WITH)):
        for how in ("meaning and words", "words alone"):
            right = 0
            for question, wanted in questions:
                asked = _embedded(reader, question) if how == "meaning and words" else b""
                right += wanted in nearest_turns(question, asked, TOLD, known)
            print(f"{name}: {how}: the right turn among {FOUND_AT_ONCE} of 100: {right} of {len(questions)}")
    print(f"by chance: {FOUND_AT_ONCE / len(TOLD):.0%}")


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
    main(sys.argv[1])
