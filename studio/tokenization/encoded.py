"""What an example becomes for a model: token ids with labels, and the stretches in which that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from studio.core.translatable import Sentence

IGNORE_INDEX = -100
"""The label of tokens that the loss leaves out, as PyTorch and transformers have it."""

Span = tuple[int, int]
"""The first character of a stretch of text and the one after its last."""


@dataclass(frozen=True)
class Encoded:
    """`ids` and `labels` have equal lengths; a label is the token's own id where it has one, else `IGNORE_INDEX`.

    `text` is the whole rendering, before the cut; `truncated_tokens` counts the tokens cut away at the end;
    `label_tokens` those with a label, 0 when the cut left nothing to learn. `plain` tells a text from a conversation.
    `literal_spans` are the places in `text` of what looks like a special token and is read as characters.
    `adaptations` say what was written in another way than usual, because this model's template wouldn't have written it
    at all.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    text: str
    truncated_tokens: int
    label_tokens: int
    plain: bool = False
    literal_spans: tuple[Span, ...] = ()
    adaptations: tuple[Sentence, ...] = ()


@dataclass(frozen=True)
class Prompt:
    """What a model is asked, up to where it begins its answer: `turns` and `tools` as its chat template is given them,
    the `text` that it makes of them and the token `ids` of that. `literal` says that some of the text looks like a
    special token and is read as characters, which other programs don't do."""

    turns: tuple[dict[str, object], ...]
    tools: tuple[dict[str, object], ...]
    text: str
    ids: tuple[int, ...]
    literal: bool


@dataclass(frozen=True)
class Piece:
    """A stretch of the rendered text: only read, learned, cut away, or avoided, as a worse answer is that is made less
    likely. Pieces joined give the whole text."""

    text: str
    kind: Literal["read", "learned", "cut", "avoided"]
