"""Finding earlier turns that are about what is asked now, by embeddings and by words.

An embedding is the mean of what a model's last layer but one makes of a text's tokens. Those of models that were made
to go on writing all point the same way (anisotropy: Ethayarajh 2019, arXiv:1909.00512), so the mean of the
conversation's own is subtracted and each dimension is divided by its spread. What the words say (BM25) is added with
half the weight: it is sure where a name comes back, and silent where a question is worded otherwise.
`tests/benchmarks/memory_quality.py` measures it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from studio.dataset.nearest import word_scores

FOUND_AT_ONCE = 5
"""Earlier turns that are told with a question."""

WORDS_WEIGH = 0.5

_SHRUNK = 8.0
"""As many turns as the spread of all dimensions together counts against that of each of them: of few turns it is
chance."""


def nearest_turns(
    question: str, embedding: bytes, texts: Sequence[str], embeddings: Sequence[bytes], count: int = FOUND_AT_ONCE
) -> list[int]:
    """Places of those of `texts` that are nearest to `question`, the best first; fewer where nothing speaks for more.
    Embeddings are float16 numbers, the lower byte first, as `Remembered` has them.
    An embedding that is empty or of another length counts for nothing: the words alone then decide."""
    if not texts:
        return []
    scores = _standardized(_by_words(question, texts)) * WORDS_WEIGH
    known = [place for place, one in enumerate(embeddings) if embedding and len(one) == len(embedding)]
    if len(known) > 1:
        likeness = _likeness(
            np.frombuffer(embedding, "<f2").astype(np.float32),
            np.frombuffer(b"".join(embeddings[place] for place in known), "<f2")
            .reshape(len(known), -1)
            .astype(np.float32),
        )
        scores[known] += _standardized(likeness)
    best = np.argsort(-scores, kind="stable")[:count]
    return [int(place) for place in best if scores[place] > 0]


def _by_words(question: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    scores = np.zeros(len(texts), np.float32)
    for place, score in word_scores(question, texts).items():
        scores[place] = score
    return scores


def _likeness(question: npt.NDArray[np.float32], turns: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cosines of `question` (width) with `turns` (turns x width)."""
    mean = turns.mean(0)
    variance = turns.var(0)
    spread = np.sqrt((len(turns) * variance + _SHRUNK * variance.mean()) / (len(turns) + _SHRUNK)) + 1e-6
    asked, told = (question - mean) / spread, (turns - mean) / spread
    lengths = np.linalg.norm(told, axis=1) * np.linalg.norm(asked) + 1e-9
    cosines: npt.NDArray[np.float32] = told @ asked / lengths
    return cosines


def _standardized(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    spread = float(scores.std())
    return (scores - scores.mean()) / spread if spread > 1e-9 else np.zeros_like(scores)
