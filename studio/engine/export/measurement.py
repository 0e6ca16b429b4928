"""What the check compares: the run's own model on some questions, and an export on the same ones.

Both are computed in processes of their own, so both go through files. Nothing here needs torch: llama.cpp's process
reads it, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

KEPT = 64
"""Likeliest tokens at each place whose probabilities are kept; the others' are summed up."""

REQUEST, ANSWERS = "request.json", "answers.jsonl"
"""What a child process is asked, and a line for each question that it has measured."""

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]


class Conversation(BaseModel):
    """`turns` and `tools` are JSON lists, as a chat template is given them."""

    model_config = ConfigDict(frozen=True)

    turns: str
    tools: str


class Question(Conversation):
    """`text` is the prompt that the training's template makes of the conversation and `prompt` its token ids. `answer`
    is the run's greedy one, with the token that ended it; `ended` is False where it went on to the last token allowed.

    `alternatives` are its answers where two tokens are exactly as likely and it had taken the other one: in 16 bits
    that happens, and which one comes then hangs on how many questions are computed at once."""

    text: str
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    ended: bool
    alternatives: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Likeliest:
    """The likeliest tokens of the run's own model at each token of an answer, the likeliest first: `ids`, and the
    natural logarithms of their probabilities, `run`. Both are tokens x `KEPT`."""

    ids: Ids
    run: Floats


@dataclass(frozen=True)
class OtherStrength:
    """What the run's own model would hold likely with its adapter `factor` times as strong, 0 is its base: for some of
    the questions, from the first on, log probabilities of the tokens in `Likeliest.ids`."""

    factor: float
    told: tuple[Floats, ...]


class _Written(BaseModel):
    questions: tuple[Question, ...]
    limit: int
    bos: str
    dtype: str
    factors: tuple[float, ...]
    told: int


@dataclass(frozen=True)
class Reference:
    """The run's own model, as it was tested, on `questions`. `likeliest` has an entry for each. Answers have up to
    `limit` tokens; `bos` is how the model's begin-of-text token is written, "" without; `dtype` what was computed in.
    """

    questions: tuple[Question, ...]
    likeliest: tuple[Likeliest, ...]
    limit: int
    bos: str
    dtype: str
    strengths: tuple[OtherStrength, ...] = ()

    @property
    def endless(self) -> int:
        """How many answers didn't end by themselves."""
        return sum(not question.ended for question in self.questions)

    def write(self, folder: Path) -> None:
        """Into a folder that is there, for another process."""
        written = _Written(
            questions=self.questions,
            limit=self.limit,
            bos=self.bos,
            dtype=self.dtype,
            factors=tuple(one.factor for one in self.strengths),
            told=min((len(one.told) for one in self.strengths), default=0),
        )
        (folder / "reference.json").write_text(written.model_dump_json(), encoding="utf-8")
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        for index, one in enumerate(self.likeliest):
            arrays |= {f"ids{index}": one.ids, f"run{index}": one.run}
        for strength in self.strengths:
            arrays |= {f"{strength.factor}-{index}": told for index, told in enumerate(strength.told)}
        np.savez(folder / "reference.npz", allow_pickle=False, **arrays)

    @staticmethod
    def read(folder: Path) -> Reference:
        """What `write` wrote there."""
        written = _Written.model_validate_json((folder / "reference.json").read_bytes())
        with np.load(folder / "reference.npz", allow_pickle=False) as held:
            likeliest = tuple(Likeliest(held[f"ids{n}"], held[f"run{n}"]) for n in range(len(written.questions)))
            strengths = tuple(
                OtherStrength(factor, tuple(held[f"{factor}-{n}"] for n in range(written.told)))
                for factor in written.factors
            )
        return Reference(written.questions, likeliest, written.limit, written.bos, written.dtype, strengths)


class Measured(BaseModel):
    """An export on one question. `prompt` is the text that its own template makes of it; `same_prompt` says whether its
    tokens are the training's. `answer` are the tokens of its greedy answer to that, with the one that ended it.

    At each token of the run's answer, after the training's own prompt: `likeliest` is the token that it holds
    likeliest, `log_probabilities` are those of the tokens in `Likeliest.ids`, None where they are less likely than the
    program tells; `least` is then the smallest that it told, None where it told nothing at all.
    """

    model_config = ConfigDict(frozen=True)

    prompt: str
    same_prompt: bool
    answer: tuple[int, ...]
    likeliest: tuple[int, ...]
    log_probabilities: tuple[tuple[float | None, ...], ...]
    least: tuple[float | None, ...] = ()

    def told(self) -> Floats:
        """`log_probabilities` as an array, tokens x `KEPT`, with NaN where nothing was told."""
        return np.array(self.log_probabilities, dtype=np.float32).reshape(len(self.likeliest), -1)


class Said(BaseModel):
    """What an export answered, where nothing but that was asked; `ended` is False where it went on to the last token
    allowed."""

    model_config = ConfigDict(frozen=True)

    text: str
    ended: bool


class NotMeasured(BaseModel):
    """Why an export couldn't be loaded or asked, in the words of the library."""

    model_config = ConfigDict(frozen=True)

    reason: str
    out_of_memory: bool = False


Found = Measured | Said | NotMeasured


class Answers(BaseModel):
    """One line of what a child process found."""

    model_config = ConfigDict(frozen=True)

    found: Found


def read_answers(folder: Path) -> list[Found]:
    """The whole lines that are there by now."""
    file = folder / ANSWERS
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
    return [Answers.model_validate_json(line).found for line in lines]


def write_answer(folder: Path, found: Found) -> None:
    """Append a line."""
    with open(folder / ANSWERS, "a", encoding="utf-8", newline="\n") as lines:
        lines.write(Answers(found=found).model_dump_json() + "\n")


def without_bos(text: str, bos: str) -> str:
    """`text` without the begin-of-text tokens and the space before it: some programs write those and some don't."""
    while bos and text.lstrip(" ").startswith(bos):
        text = text.lstrip(" ").removeprefix(bos)
    return text.lstrip(" ")


def rounded(values: Sequence[float]) -> tuple[float, ...]:
    """Log probabilities with as many digits as float32 holds, for a file."""
    return tuple(round(float(value), 5) for value in values)
