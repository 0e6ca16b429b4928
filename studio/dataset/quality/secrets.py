"""Keys and passwords that open something."""

from __future__ import annotations

import re

from studio.dataset.quality.personal_data import Mark

_KEYS = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"sk-(?:proj-|ant-|svcacct-|or-)?[A-Za-z0-9_-]{20,}"
    r"|(?:sk|rk|pk)_live_[A-Za-z0-9]{16,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|hf_[A-Za-z0-9]{30,}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|AIza[A-Za-z0-9_-]{35}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r")(?![A-Za-z0-9_-])"
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:.*?-----END [A-Z ]{0,20}PRIVATE KEY-----|.*)", re.DOTALL
)
_ASSIGNED = re.compile(
    r"(?:password|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?token|auth[_-]?token|비밀번호|암호)"
    r"[\"']?\s?[:=]\s?[\"']?(?P<value>[^\s\"'<>{}()\[\],;]{10,})",
    re.IGNORECASE,
)
_MADE_UP = re.compile(
    r"your|example|xxx|\*\*|\.\.\.|change|placeholder|insert|https?:|\$|%|^[A-Za-z_.]+$|^[0-9.]+$|\.\w+\.|1234",
    re.IGNORECASE,
)

MAYBE = (
    r"sk-[a-z0-9_-]{20}|[srp]k_live_|(?:akia|asia)[a-z0-9]{16}|gh[pousr]_|github_pat_|glpat-|hf_[a-z0-9]{30}"
    r"|xox[abprs]-|aiza[a-z0-9_-]{35}|eyj[a-z0-9_-]{10,}\.eyj|private key-----"
    r"|(?:password|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?token|auth[_-]?token|비밀번호|암호)[\"']? ?[:=]"
)
"""What one of the patterns above begins with, as RE2 takes it."""


def secrets(text: str) -> list[Mark]:
    """Keys of well-known services, private keys, signed tokens, and long passwords after a word that says so."""
    marks = [found.span() for found in _KEYS.finditer(text) if len(set(found.group())) > 8]
    marks += [found.span() for found in _PRIVATE_KEY.finditer(text)]
    for found in _ASSIGNED.finditer(text):
        value = found.group("value").rstrip(".!?")
        mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
        span = (found.start("value"), found.start("value") + len(value))
        if (
            mixed
            and len(value) >= 10
            and not _MADE_UP.search(value)
            and not any(a < span[1] and span[0] < b for a, b in marks)
        ):
            marks.append(span)
    return sorted(marks)
