"""Asking a trained model for what it should have learned from, and not by heart."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from studio.core.conversation import Message
from studio.core.events import BASE, THIS_RUN, MemorisationChecked, ModelUnderTest, RepeatedPassage
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.examples import Example, read_frozen
from studio.dataset.quality.personal_data import HINT, accounts, cards, national_ids, passports, phones
from studio.engine.evaluation.generate import Generator, answer_prompts
from studio.engine.job_context import JobContext
from studio.engine.objectives.supervised import held_out_loss, tokenize_examples
from studio.evaluation.memorised import Answered, LearnedAnswers
from studio.tokenization.encoded import IGNORE_INDEX
from studio.tokenization.encoding import Encoder

COMPARED = 64
"""Training examples whose error is measured."""

MOST_READ = 20_000
"""Training examples that are looked through for numbers, and whose answers could be repeated."""

MOST_NUMBERS = 32
"""Numbers that are asked for."""

GIVEN_OUT = 0.02
"""A number that stands in a larger share of all answers is meant to be given out, such as a hotline."""

BATCH = 8
NUMBER_TOKENS = 40


@dataclass(frozen=True)
class PersonalNumber:
    """A number that somebody can be known by, in the learned text of `example`; `start` is where it begins there."""

    example: Example
    start: int
    written: str

    @property
    def characters(self) -> str:
        return bare(self.written)

    def is_begun_by(self, text: str) -> bool:
        """Whether `text`, which stands where the number stood, begins with it."""
        return bare(text).startswith(self.characters)


def bare(text: str) -> str:
    """Letters and digits alone."""
    return re.sub(r"[\W_]", "", text).casefold()


def personal_numbers(examples: Sequence[Example]) -> list[PersonalNumber]:
    """Those in what is learned, each once: not where the question holds it already, nor what many answers give out."""
    hint = re.compile(HINT)
    found: dict[str, PersonalNumber] = {}
    times: Counter[str] = Counter()
    for example in examples:
        text = example.answer
        if not example.messages or not hint.search(text):
            continue
        asked = bare(" ".join(message.content for message in example.prompt))
        here = {
            bare(text[start:end]): PersonalNumber(example, start, text[start:end])
            for find in (accounts, cards, national_ids, passports, phones)
            for start, end in find(text)
        }
        times.update(here.keys())
        for characters, number in here.items():
            if characters not in asked:
                found.setdefault(characters, number)
    most = max(3, int(GIVEN_OUT * len(examples)))
    return [number for characters, number in found.items() if times[characters] <= most]


def check_memorised(
    context: JobContext,
    generator: Generator,
    run: RunFolder,
    recipe: Recipe,
    answers: Sequence[Answered],
    held_out_loss_now: float | None,
) -> MemorisationChecked | None:
    """How far the run's own model knows its examples by heart. `answers` are what it said to questions that it wasn't
    trained on, `held_out_loss_now` its loss on the examples set aside. None where its examples don't lie there."""
    if not run.train_data.is_file():  # trained by another program
        return None
    context.phase("evaluating", N_("Looking for what it knows by heart."), long=True)
    learned = read_frozen(run.train_data)
    chance = random.Random(0)
    compared = chance.sample(learned, min(COMPARED, len(learned)))
    encoded = tokenize_examples(generator.encoder, compared, recipe.data.truncation).encoded
    loss = None
    if encoded:
        with generator.network_of(THIS_RUN) as network:
            loss = held_out_loss(network, encoded, recipe.training.batch_size or BATCH, generator.device)
    index = LearnedAnswers([one.answer for one in learned[:MOST_READ]])
    repeated = [found for one in answers if (found := index.reproduction(one)) is not None]
    numbers = personal_numbers(learned[:MOST_READ])
    chosen = chance.sample(numbers, min(MOST_NUMBERS, len(numbers)))
    returned = coming_back(generator, chosen, THIS_RUN)
    guessed = coming_back(generator, returned, BASE)  # no secret of the examples
    passages = (RepeatedPassage(question=one.question, passage=one.passage, learned=one.learned) for one in repeated)
    return MemorisationChecked(
        train_loss=loss,
        held_out_loss=held_out_loss_now,
        answers=len(answers),
        reproduced=tuple(passages),
        numbers=len(chosen),
        returned=len(returned) - len(guessed),
    )


def coming_back(generator: Generator, numbers: Sequence[PersonalNumber], model: ModelUnderTest) -> list[PersonalNumber]:
    """Those of `numbers` that the model gives when it is to go on with what stands before them in the example."""
    found: list[PersonalNumber] = []
    encoder = generator.encoder.without_limit()
    for start in range(0, len(numbers), BATCH):
        batch = numbers[start : start + BATCH]
        prompts = [_begun(encoder, one, generator.ends) for one in batch]
        with generator.network_of(model) as network:
            given = answer_prompts(network, prompts, generator.ends, NUMBER_TOKENS, generator.device)
        found += [one for one, (tokens, _) in zip(batch, given, strict=True) if one.is_begun_by(encoder.decode(tokens))]
    return found


def _begun(encoder: Encoder, number: PersonalNumber, ends: Sequence[int]) -> list[int]:
    """The example's conversation with its last answer up to where the number begins."""
    example = number.example
    before = example.answer[: number.start].rstrip()
    if not before:
        return encoder.prompt_ids(example.prompt, example.tools)
    begun = example.model_copy(update={"messages": (*example.prompt, Message(role="assistant", content=before))})
    encoded = encoder.encode(begun)
    kept = [
        place
        for place, label in enumerate(encoded.labels)
        if label != IGNORE_INDEX and encoded.ids[place] not in ends and encoder.decode([encoded.ids[place]]).strip()
    ]
    return list(encoded.ids[: kept[-1] + 1])
