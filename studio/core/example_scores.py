"""How likely a model holds answers and texts: what is told while it learns from them, and afterwards."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class PreferenceScores(BaseModel):
    """How a model holds pairs of a better and a worse answer: the share of pairs in which training has made the better
    one likelier than the worse one (`accuracy`) and by how much on average (`margin`, times beta, in nats), both
    compared with the model as it began; and the share in which the better one is likelier by itself, per token
    (`likelier`). A tie counts half. Of marked answers, the share that went the way that their mark says, and how far on
    average; `likelier` is None then."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    accuracy: float
    margin: float
    likelier: float | None = None


class ExampleScore(BaseModel):
    """How likely a model holds what stands in one example: `first` is the summed log probability of the `tokens` of its
    answer, or of a text, in nats. Of a pair it is that of the better answer, and `worse` that of the other one; of a
    marked answer `good` says how it is marked."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    first: float
    tokens: int
    worse: float | None = None
    worse_tokens: int = 0
    good: bool | None = None
