"""Words that a tokenizer is to read as one token each, added behind those that it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.models.config import damaged

LONGEST = 64
"""Characters of a word."""


def read_tokenizer(folder: Path) -> tokenizers.Tokenizer:
    """tokenizer.json of a model's folder. Raises `ProblemError`."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise problem(
            "model.no_tokenizer",
            N_("The model in {folder} has no tokenizer.json."),
            N_("That file says how text is cut into the pieces that the model reads."),
            N_("Fetch the model once more, or choose one that comes with it."),
            remedy=Remedy.choose_model,
            folder=str(folder),
        )
    try:
        return tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception for whatever is wrong in the file
        raise damaged(file) from error


def add_tokens(tokenizer: tokenizers.Tokenizer, words: Sequence[str]) -> None:
    """Let `tokenizer` read each of `words` as one token, wherever it stands in a text. Raises `ProblemError` for what
    can't become one."""
    for word in words:
        if len(word) > LONGEST:
            raise _refused(word, N_("It has {length} characters, and a token has {longest} at most."), length=len(word))
        if tokenizer.token_to_id(word) is not None:
            raise _refused(word, N_("It is one token already, so there is nothing to add."))
    tokenizer.add_tokens([tokenizers.AddedToken(word, normalized=False) for word in words])


def pieces_of(tokenizer: tokenizers.Tokenizer, words: Sequence[str]) -> list[list[int]]:
    """The tokens of which each of `words` consists for a tokenizer that hasn't been given them."""
    return [tokenizer.encode(word, add_special_tokens=False).ids for word in words]


def unused(folder: Path, words: Sequence[str], texts: Iterable[Sequence[int]]) -> list[str]:
    """Those of `words` that stand in none of `texts`, given as the tokens of a tokenizer that has them; `folder` is the
    model's."""
    tokenizer, used = read_tokenizer(folder), set[int]()
    add_tokens(tokenizer, words)
    used.update(*texts)
    return [word for word in words if tokenizer.token_to_id(word) not in used]


def _refused(word: str, why: str, **values: int) -> ProblemError:
    return problem(
        "method.not_a_new_word",
        N_('"{word}" can\'t be added as a new word.'),
        why,
        N_('Take it out of "New words".'),
        remedy=Remedy.see_settings,
        word=word[:40],
        longest=LONGEST,
        **values,
    )
