"""Sizes, lengths of time and counts in words, as people say them."""

from __future__ import annotations

from studio.core.translatable import N_, Sentence, sentence

NOT_AVAILABLE = N_("not available")


def size_in_words(count: int | None) -> Sentence:
    """Bytes as people read them (1 GB is 10^9 bytes); unknown stays unknown."""
    if count is None:
        return sentence(NOT_AVAILABLE)
    if count < 1_000_000:
        return sentence(N_("{n} KB"), n=max(1, round(count / 1e3)) if count else 0)
    if count < 1_000_000_000:
        return sentence(N_("{n} MB"), n=round(count / 1e6))
    return sentence(N_("{n} GB"), n=f"{count / 1e9:.1f}")


def duration_in_words(seconds: float) -> Sentence:
    """A length of time, rounded as people say it."""
    if seconds < 50:
        return sentence(N_("{n} s"), n=max(1, round(seconds)))
    minutes = round(seconds / 60)
    if minutes < 60:
        return sentence(N_("{n} min"), n=max(1, minutes))
    hours, rest = divmod(minutes, 60)
    return sentence(N_("{hours} h {minutes} min") if rest else N_("{hours} h"), hours=hours, minutes=rest)


def counted(count: int, one: str, many: str = "") -> str:
    """A count in English with what is counted, as it is called where there is one and where there are more (with an
    s)."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
