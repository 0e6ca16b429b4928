"""How fast a chat answers on the starter model: to the first token, from token to token beside plain `generate`, and
from one add-on to another.

    python -m tests.benchmarks.chat_speed --home FOLDER

FOLDER is a home of the program with the starter model in it. Each pair is measured in turns, in wall and in processor
time, since other programs may be busy.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # before torch: see studio.engine.environment

import torch
from transformers import GenerationConfig

from studio.core import paths
from studio.core.command_queue import new_id, send
from studio.core.commands import Ask, Stop
from studio.core.conversation import Message
from studio.core.events import BASE, THIS_RUN, AnswerEnded, AnswerGrew, ChatReady, ModelUnderTest
from studio.core.jobs import Chat
from studio.core.recipe.method import QLora
from studio.core.run_folder import JobFolder
from studio.engine import device as devices
from studio.engine.evaluation.generate import Generator, speed_up
from studio.engine.methods.registry import method_of
from studio.models.base_model import model_facts
from studio.runs.start import start_job
from studio.tokenization.encoding import NO_LIMIT, Encoder
from studio.tokenization.end_tokens import end_tokens

OTHERS = tuple(ModelUnderTest(kind="other_run", name=name) for name in ("second", "third"))
TOKENS, ROUNDS = 32, 3
SHORT = "Tell me a long story about a fox and a crow in the forest."


def said(*texts: str) -> tuple[Message, ...]:
    """A conversation of questions and answers in turns."""
    return tuple(Message(role="assistant" if n % 2 else "user", content=text) for n, text in enumerate(texts))


LONG = said(
    *(f"Part {n}: " + "the fox looked at the crow and said something kind about her voice. " * 8 for n in range(9))
)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and processor seconds, and what came of it."""
    wall, busy = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - busy, found


def make_generator(model: Path, folder: Path) -> tuple[Generator, list[float]]:
    """The starter model as QLoRA holds it, with three add-ons of random numbers; and the seconds that each but the
    first took to be loaded beside it."""
    method, device = method_of(QLora(rank=16, alpha=32)), devices.choose()
    network = method.make_trainable(method.load_base(model, device))
    for number in range(3):
        torch.manual_seed(number)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(torch.randn_like(parameter) * 0.01)
        method.save(network, folder / str(number), "starter")
    network = method.load(method.load_base(model, device).eval(), folder / "0")
    encoder = Encoder.from_folder(model, NO_LIMIT)
    networks = {BASE: network, THIS_RUN: network}
    generator = Generator(networks, encoder, device, model_facts(model), end_tokens(model, encoder))
    speed_up(generator)
    loads = [
        timed(partial(generator.add_adapter, other, method, folder / str(number)))[0]
        for number, other in enumerate(OTHERS, 1)
    ]
    return generator, loads


def switching(generator: Generator) -> dict[str, float]:
    """From one model to another and back, until its network could be asked."""

    def switch(model: ModelUnderTest) -> None:
        with generator.network_of(model):
            pass

    order = (BASE, OTHERS[0], THIS_RUN, OTHERS[1]) * ROUNDS
    laps = [timed(partial(switch, model))[:2] for model in order]
    return {"wall_ms": 1000 * median(lap[0] for lap in laps), "busy_ms": 1000 * median(lap[1] for lap in laps)}


def first_token(generator: Generator, messages: tuple[Message, ...], model: ModelUnderTest) -> dict[str, float]:
    """Until there is one; then it is stopped."""
    wall, busy, _ = timed(lambda: generator.stream(messages, model, TOKENS, 0.0, None, bool))
    return {"wall_s": wall, "busy_s": busy}


def beside_plain(generator: Generator, model: ModelUnderTest) -> dict[str, float]:
    """The chat's own way, which tells each token, beside the library's alone, on the same network."""
    ids = torch.tensor([generator.encoder.prompt_ids(said(SHORT))])
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=TOKENS, do_sample=False, use_cache=True, eos_token_id=generator.ends, pad_token_id=0
    )

    def tell(tokens: list[int]) -> bool:
        generator.encoder.decode(tokens)
        return False

    def chat() -> list[int]:
        return generator.stream(said(SHORT), model, TOKENS, 0.0, None, tell)

    def plain() -> list[int]:
        with generator.network_of(model) as network, torch.inference_mode():
            found: list[int] = network.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings
            )[0, ids.shape[1] :].tolist()
        return [token for token in found if token not in generator.ends]

    chat(), plain()
    laps = [(timed(chat), timed(plain)) for _ in range(ROUNDS)]
    assert all(ours[2] == theirs[2] for ours, theirs in laps), "the same tokens"
    return {
        "wall_share": median(theirs[0] / ours[0] for ours, theirs in laps),
        "busy_share": median(theirs[1] / ours[1] for ours, theirs in laps),
        "tokens_per_second": median(len(ours[2]) / ours[0] for ours, _ in laps),
    }


def in_a_process(model: Path, folder: JobFolder) -> list[float]:
    """Seconds from a question to its first words in the journal, of a chat's real process that has answered before."""
    process = start_job(folder, Chat(model=model))
    reader, laps = folder.reader(), list[float]()

    def wait_for(kind: type[ChatReady] | type[AnswerGrew] | type[AnswerEnded]) -> None:
        while not any(isinstance(event, kind) for event in reader.read_new()):
            assert process.poll() is None
            time.sleep(0.01)

    wait_for(ChatReady)
    for number in range(ROUNDS + 1):
        began = time.perf_counter()
        send(folder, Ask(id=new_id(), messages=said(f"{SHORT} ({number})"), model=BASE, max_tokens=16))
        wait_for(AnswerGrew)
        laps.append(time.perf_counter() - began)
        wait_for(AnswerEnded)
    send(folder, Stop(id=new_id()))
    process.process.wait(30)
    return laps[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    os.environ[paths.HOME_VARIABLE] = str(parser.parse_args().home)
    model = paths.starter_model()
    with tempfile.TemporaryDirectory() as scratch:
        generator, loads = make_generator(model, Path(scratch))
        result: dict[str, object] = {
            "load_beside_ms": [1000 * seconds for seconds in loads],
            "switch": switching(generator),
            "first_token": [first_token(generator, said(f"{SHORT} {n}"), THIS_RUN) for n in range(ROUNDS)][-1],
            "first_token_of_a_long_conversation": first_token(generator, LONG, THIS_RUN),
            "its_tokens": len(generator.encoder.prompt_ids(LONG)),
            "first_token_of_its_next_turn": first_token(
                generator, (*LONG, *said("", "Yes.", "And then?")[1:]), THIS_RUN
            ),
            "base": beside_plain(generator, BASE),
            "trained": beside_plain(generator, THIS_RUN),
            "first_words_in_a_process_s": median(in_a_process(model, JobFolder(Path(scratch) / "chat"))),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
