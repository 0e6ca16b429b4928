"""Who takes part in an exam: models by what they are, how they are loaded, and what tells their answers from others'.

Models of which one is loaded at a time: the run's own base and adapter are one network, everybody else is alone.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from studio.core.events import BASE, PROMPTED, THIS_RUN, ModelUnderTest
from studio.core.example_scores import ExampleScore
from studio.core.jobs import Contestant, Exam
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import TRAINING_STATE, RunFolder, choose_checkpoint
from studio.core.storage import read_manifest
from studio.core.translatable import N_
from studio.core.versions import library_versions
from studio.dataset.examples import Example, read_frozen
from studio.dataset.fingerprint import DataFingerprint
from studio.dataset.leakage import studied_by
from studio.dataset.nearest import NearestExamples, shown_before
from studio.engine.evaluation.generate import (
    BATCH,
    Generator,
    compute_exactly,
    device_of,
    longest_useful,
    of_base,
    of_run,
    speed_up,
)
from studio.engine.export import llama_cpp
from studio.engine.export.check import answers_of_gguf
from studio.engine.export.measurement import Conversation, NotMeasured, Said
from studio.engine.export.reload import Reload, load_export
from studio.engine.job_context import JobContext, is_out_of_memory
from studio.engine.methods.base_model import keep_weights_as_they_are
from studio.engine.objectives.registry import objective_of
from studio.engine.objectives.supervised import held_out_loss, tokenize_frozen
from studio.models.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from studio.models.base_model import base_of_run, model_facts
from studio.models.weights import BaseFingerprint, weight_files
from studio.tokenization.encoding import NO_LIMIT, Encoder
from studio.tokenization.end_tokens import end_tokens, generation_ends


@dataclass(frozen=True)
class HeldOut:
    """What everybody is asked: the `examples` that `run` set aside. `tokenizer` is the folder of the tokenizer of
    `run` on its `base`. Answers have at most `max_tokens`, see `longest_useful`."""

    run: RunFolder
    recipe: Recipe
    base: Path
    tokenizer: Path
    examples: tuple[Example, ...]
    max_tokens: int

    def encoder(self) -> Encoder:
        training = self.recipe.training
        return Encoder.from_folder(self.tokenizer, training.max_length, training.loss_on)

    def limit(self, encoder: Encoder) -> int:
        return min(self.max_tokens, longest_useful(encoder, self.examples))


@dataclass(frozen=True)
class Given:
    """An answer to the example at `position` of those that were asked; `ended` is True as well for a model that knows
    no end."""

    position: int
    text: str
    ended: bool


class Loaded(Protocol):
    """Models in memory. `unchanged` says that what they learned has no effect."""

    unchanged: bool

    def loss(self, model: ModelUnderTest) -> float | None:
        """On the held-out examples, as the training of the run computes it; None where it can't be compared."""

    def scores(self, model: ModelUnderTest) -> tuple[ExampleScore, ...]:
        """How likely it holds the held-out pairs, marked answers or texts; empty for ordinary answers, and where it
        can't be told."""

    def answers(self, model: ModelUnderTest, examples: Sequence[Example], most: int | None) -> Iterator[list[Given]]:
        """Batches in any order. `most` tokens each, None for what is useful with the held-out examples. Raises
        `ProblemError`."""


class Contestants(ABC):
    """Models that are in memory together. `name` is how the one that was trained is called, `studied` are the positions
    of the held-out examples that it was trained on."""

    name: str
    models: tuple[ModelUnderTest, ...]
    studied: frozenset[int] = frozenset()
    origin_known = True
    """Whether it is known what they were trained on."""

    @abstractmethod
    def identity(self, model: ModelUnderTest) -> dict[str, object]:
        """All that decides on the answers of `model`, apart from the questions. Reads files, and no weights twice."""

    @abstractmethod
    def load(self, context: JobContext) -> Loaded:
        """Raises `ProblemError`."""


@dataclass
class Networks:
    """Networks that transformers has loaded, on the held-out examples. `comparable` says that they read these in the
    run's own tokens."""

    held_out: HeldOut
    generator: Generator
    comparable: bool = True
    in_prompt: Mapping[ModelUnderTest, int] = field(default_factory=dict)
    unchanged: bool = False
    _fast: bool = False

    def loss(self, model: ModelUnderTest) -> float | None:
        mine = self.held_out
        if model == PROMPTED or not self.comparable or mine.recipe.objective.uses == "marks":
            return None
        encoded = tokenize_frozen(mine.run.held_out_data, mine.recipe, mine.base, mine.tokenizer).encoded
        if not encoded:
            return None
        with self.generator.network_of(model) as network:
            batch = mine.recipe.training.batch_size or BATCH
            return held_out_loss(network, encoded, batch, self.generator.device)

    def scores(self, model: ModelUnderTest) -> tuple[ExampleScore, ...]:
        if model == PROMPTED or not self.comparable:
            return ()
        mine = self.held_out
        objective = objective_of(mine.recipe.objective)
        dataset = objective.tokenize_frozen(mine.run.held_out_data, mine.recipe, mine.base, mine.tokenizer)
        if not dataset.encoded:
            return ()
        with self.generator.network_of(model) as network:
            batch = mine.recipe.training.batch_size or BATCH
            return objective.example_scores(network, dataset, batch, self.generator.device)

    def answers(self, model: ModelUnderTest, examples: Sequence[Example], most: int | None) -> Iterator[list[Given]]:
        if not self._fast:  # after all losses were measured, on the model as it was trained
            speed_up(self.generator)
            compute_exactly(self.generator)
            self._fast = True
        limit = most or self.held_out.limit(self.generator.encoder)
        asked = self._with_examples(examples, limit) if model == PROMPTED else examples
        for batch in self.generator.in_batches(asked, model, limit):
            yield [Given(place, answer.text, answer.ended or not self.generator.ends) for place, answer in batch]

    def _with_examples(self, examples: Sequence[Example], limit: int) -> list[Example]:
        """Each example with those of the training part before its question that are nearest to it, as many as the
        model can read: learning in context, without any training."""
        train = [one for one in read_frozen(self.held_out.run.train_data) if one.messages and one.good is not False]
        index, room = NearestExamples(train), self.generator.context_length - limit
        encoder = self.generator.encoder
        prompted = []
        for example in examples:
            shown = index.nearest(example.question, self.in_prompt[PROMPTED])
            made = shown_before(example, shown)
            while shown and len(encoder.prompt_ids(made.prompt, made.tools)) > room:
                shown = shown[1:]
                made = shown_before(example, shown)
            prompted.append(made)
        return prompted


class OwnModels(Contestants):
    """The base of the run whose exam it is, what the run learned, and the base with examples in its prompt."""

    def __init__(self, held_out: HeldOut, job: Exam) -> None:
        self._held_out, self._untrained, self._in_prompt = held_out, job.untrained, job.in_prompt
        self.name = held_out.run.path.name
        prompted = job.in_prompt and held_out.run.train_data.is_file()  # a run of another program has none
        self.models = (BASE, *(() if job.untrained else (THIS_RUN,)), *((PROMPTED,) if prompted else ()))
        if not job.untrained:  # it may have begun with what a run learned that set others aside
            self.studied = studied_by(held_out.run, held_out.run, held_out.examples)

    def identity(self, model: ModelUnderTest) -> dict[str, object]:
        mine = self._held_out
        found = _identity(mine.run, mine.recipe, mine, trained=model == THIS_RUN)
        if model == PROMPTED:
            shown = DataFingerprint.read(mine.run).train_sha256 or str(mine.run.train_data)
            found |= {"in_prompt": self._in_prompt, "shown": shown}
        return found

    def load(self, context: JobContext) -> Loaded:
        run = self._held_out.run
        generator, _ = of_base(context, run) if self._untrained else of_run(context, run)
        if PROMPTED in self.models:
            generator.networks[PROMPTED] = generator.networks[BASE]
        in_prompt = {PROMPTED: self._in_prompt}
        return Networks(self._held_out, generator, in_prompt=in_prompt, unchanged=generator.nothing_changed)


class OtherRun(Contestants):
    """What another run learned, of the same base or of another one."""

    def __init__(self, held_out: HeldOut, run: RunFolder) -> None:
        if not run.recipe.is_file():
            raise _gone(run.path)
        choose_checkpoint(run, fully=False)
        self._held_out, self._run, self._recipe = held_out, run, load(run.recipe)
        self._base = base_of_run(run, self._recipe.model)
        self.name = run.path.name
        self.models = (ModelUnderTest(kind="other_run", name=self.name),)
        self.studied = studied_by(run, held_out.run, held_out.examples)
        self.origin_known = run.train_data.is_file()

    @property
    def same_base(self) -> bool:
        return BaseFingerprint.of(self._base).parts == BaseFingerprint.of(self._held_out.base).parts

    def identity(self, model: ModelUnderTest) -> dict[str, object]:
        return _identity(self._run, self._recipe, self._held_out, trained=True)

    def load(self, context: JobContext) -> Loaded:
        generator, _ = of_run(context, self._run, tells=False)
        (model,) = self.models
        generator.networks = {model: generator.networks[THIS_RUN]}
        comparable = self.same_base and not self.studied
        return Networks(self._held_out, generator, comparable=comparable, unchanged=generator.nothing_changed)


class Export(Contestants):
    """What was exported, or any model or add-on in a folder, loaded as other programs load it."""

    def __init__(self, held_out: HeldOut, contestant: Contestant) -> None:
        self._held_out, self._place = held_out, contestant.path
        self._origin = RunFolder(contestant.run) if contestant.run is not None else None
        self._gguf = find_gguf(contestant.path)
        self.name = contestant.path.name
        self.models = (ModelUnderTest(kind="export", name=str(contestant.path)),)
        self.origin_known = self._origin is not None
        if self._origin is not None and self._origin != held_out.run:
            self.studied = studied_by(self._origin, held_out.run, held_out.examples)

    def identity(self, model: ModelUnderTest) -> dict[str, object]:
        files = [self._gguf] if self._gguf is not None else sorted(p for p in self._place.rglob("*") if p.is_file())
        found: dict[str, object] = {
            "files": [[str(one), one.stat().st_size, one.stat().st_mtime_ns] for one in files],
            "versions": library_versions(),
        }
        if self._gguf is not None:
            return {**found, "llama.cpp": llama_cpp.tools_folder().name}
        return {**found, **_computed(self._held_out.run, self._held_out.recipe)}

    def load(self, context: JobContext) -> Loaded:
        if self._gguf is not None:
            return _Gguf(self._held_out, self._gguf, context)
        context.phase("loading", N_("Loading {place}."), long=True, place=self._place.name)
        mine = self._held_out
        run, recipe, base = mine.run, mine.recipe, mine.base
        if self._origin is not None:
            run, recipe = self._origin, load(self._origin.recipe)
            base = base_of_run(run, recipe.model)
        request = Reload(folder=self._place)
        if (self._place / ADAPTER_CONFIG).is_file():
            request = Reload(folder=self._place, base=base, storage=recipe.method.storage)
        device = device_of(run, recipe)
        try:
            network = load_export(request, device)
        except Exception as error:  # whatever a library makes of a file that is broken
            raise _not_loaded(self._place, error) from error
        keep_weights_as_they_are(network)  # else the loss packs 4-bit layers, which are dequantized after it
        tokenizer = self._place if (self._place / "tokenizer.json").is_file() else base
        encoder = Encoder.from_folder(tokenizer, NO_LIMIT)
        ends = sorted(generation_ends(self._place)) or end_tokens(tokenizer, encoder)
        facts = model_facts(self._place if request.base is None else base)
        generator = Generator({self.models[0]: network}, encoder, device, facts, ends)
        generator.know_tokens(network.config.get_text_config().vocab_size)
        same = (tokenizer / "tokenizer.json").read_bytes() == (mine.tokenizer / "tokenizer.json").read_bytes()
        return Networks(mine, generator, comparable=same and not self.studied)


@dataclass
class _Gguf:
    """A GGUF file in llama.cpp, which is started for the questions."""

    held_out: HeldOut
    file: Path
    context: JobContext
    unchanged: bool = False

    def loss(self, model: ModelUnderTest) -> float | None:
        return None  # llama.cpp tells no probabilities of what it didn't write

    def scores(self, model: ModelUnderTest) -> tuple[ExampleScore, ...]:
        return ()

    def answers(self, model: ModelUnderTest, examples: Sequence[Example], most: int | None) -> Iterator[list[Given]]:
        tools = llama_cpp.ensure_tools(self.context)
        self.context.phase("answering", N_("Asking {place} in llama.cpp."), long=True, place=self.file.name)
        encoder = self.held_out.encoder()
        prompts = [encoder.prompt(example.prompt, example.tools) for example in examples]
        asked = [
            Conversation(
                turns=json.dumps(prompt.turns, ensure_ascii=False), tools=json.dumps(prompt.tools, ensure_ascii=False)
            )
            for prompt in prompts
        ]
        limit = most or self.held_out.limit(encoder)
        room = max(len(prompt.ids) for prompt in prompts) + limit
        found = answers_of_gguf(self.context, tools, self.file, asked, limit, room)
        said = [one for one in found if isinstance(one, Said)]
        yield [Given(place, one.text, one.ended) for place, one in enumerate(said)]
        if len(said) < len(examples):
            reason = next((one for one in found if isinstance(one, NotMeasured)), None)
            raise _not_loaded(self.file, RuntimeError(reason.reason if reason is not None else "no answer"))


def contestants_of(held_out: HeldOut, job: Exam) -> list[Contestants]:
    """Everybody who takes part, the run's own models first. Raises `ProblemError` for what can't: it is gone, it is no
    model, or it was trained on all that it would be asked."""
    found: list[Contestants] = [OwnModels(held_out, job)]
    known: set[Path] = {held_out.run.path.resolve()}
    for one in job.against:
        if one.path.resolve() not in known:
            known.add(one.path.resolve())
            is_run = (one.path / "recipe.yaml").is_file()
            found.append(OtherRun(held_out, RunFolder(one.path)) if is_run else Export(held_out, one))
    for made in found:
        if held_out.examples and len(made.studied) == len(held_out.examples):
            raise problem(
                "exam.studied_all",
                N_("{place} was trained on all of the examples that were set aside here."),
                N_("It would only repeat what it was shown, and seem better than it is."),
                N_("Leave it out, or test runs that set the same examples aside from the first one on."),
                place=made.name,
            )
    return found


def find_gguf(place: Path) -> Path | None:
    """The GGUF file that is meant by `place`; None where that is the folder of a model or an add-on. Raises
    `ProblemError` where it is neither."""
    if place.is_file() and place.suffix.lower() == ".gguf":
        return _whole_gguf(place)
    if not place.is_dir():
        raise _gone(place)
    files = sorted(p for p in place.iterdir() if p.suffix.lower() == ".gguf" and p.is_file())
    if len(files) == 1:
        return _whole_gguf(files[0])
    if files:
        raise problem(
            "exam.several_files",
            N_("{place} holds several GGUF files."),
            fix=N_("Choose one of them: {names}"),
            remedy=Remedy.choose_file,
            place=str(place),
            names=", ".join(p.name for p in files[:6]),
        )
    if (place / ADAPTER_WEIGHTS).is_file() and (place / ADAPTER_CONFIG).is_file():
        return None
    if (place / "config.json").is_file() and weight_files(place):
        return None
    raise problem(
        "exam.no_model",
        N_("There is no model in {place} that can be tested."),
        N_("A run's folder can be tested, a model or an add-on in the form of Python's libraries, and a GGUF file."),
        N_("Choose another folder."),
        remedy=Remedy.choose_folder,
        place=str(place),
    )


def _whole_gguf(file: Path) -> Path:
    """Raises `ProblemError` where it is an add-on, which llama.cpp only uses on a model."""
    from gguf import GGUFReader

    try:
        kind = GGUFReader(file).fields.get("general.type")
        told = kind.contents() if kind is not None else "model"
    except Exception as error:  # whatever a library makes of a file that is broken
        raise _not_loaded(file, error) from error
    if told == "adapter":
        raise problem(
            "exam.gguf_adapter",
            N_("{place} is an add-on for llama.cpp, which can't be asked without a GGUF file of its base model."),
            fix=N_("Test the run that it was made from, or an export as one file."),
            place=file.name,
        )
    return file


def _gone(place: Path) -> ProblemError:
    return problem(
        "exam.gone",
        N_("There is nothing at {place} any more."),
        N_("It was moved, renamed or deleted."),
        N_("Leave it out of the test, or choose where it is now."),
        remedy=Remedy.choose_folder,
        place=str(place),
    )


def _not_loaded(place: Path, error: Exception) -> ProblemError:
    if is_out_of_memory(error):
        return problem(
            "exam.no_memory",
            N_("There was too little memory to load {place}."),
            fix=N_("Close other programs and test again: the answers of the others are kept."),
            remedy=Remedy.try_again,
            place=place.name,
        )
    return problem(
        "exam.not_loaded",
        N_("{place} can't be loaded: a file is damaged, cut off, or belongs to another model."),
        N_("The library says: {error}"),
        N_("Export it once more."),
        place=place.name,
        error=f"{type(error).__name__}: {error}"[:300],
    )


def _identity(run: RunFolder, recipe: Recipe, held_out: HeldOut, *, trained: bool) -> dict[str, object]:
    """Of the base of `run`, or of what it `trained`, asked as in its training."""
    training = held_out.recipe.training
    found: dict[str, object] = {
        "base": BaseFingerprint.of(base_of_run(run, recipe.model)).parts,
        "stored": asdict(recipe.method.storage),
        "read": [training.max_length, training.loss_on, held_out.recipe.data.truncation],
        "versions": library_versions(),
        **_computed(run, recipe),
    }
    if trained:
        manifest = read_manifest(choose_checkpoint(run))
        files = manifest.files if manifest is not None else ()
        found["learned"] = [[one.name, one.sha256] for one in files if one.name not in TRAINING_STATE]
    return found


def _computed(run: RunFolder, recipe: Recipe) -> dict[str, object]:
    device = device_of(run, recipe)
    return {"device": device.torch_device.type, "dtype": str(device.dtype)}
