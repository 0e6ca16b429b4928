"""Keys and passwords that open something, by the forms that the services that give them document."""

from __future__ import annotations

import re

from studio.dataset.quality.report import Span

_TOKENS = (
    # models
    r"sk-(?:proj-|ant-(?:api\d\d-|admin\d\d-)?|svcacct-|admin-|or-(?:v1-)?)?[A-Za-z0-9_-]{20,}",
    r"hf_[A-Za-z0-9]{30,}",
    r"api_org_[A-Za-z]{30,}",
    r"gsk_[A-Za-z0-9]{40,}",
    r"xai-[A-Za-z0-9]{40,}",
    r"r8_[A-Za-z0-9]{30,}",
    r"pplx-[A-Za-z0-9]{40,}",
    r"nvapi-[A-Za-z0-9_-]{40,}",
    # code and packages
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"github_pat_[A-Za-z0-9_]{30,}",
    r"gl(?:pat|ptt|dt|rt|soat|cbt|ft|imt|agent|oas)-[A-Za-z0-9_-]{20,}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_-]{50,}",
    r"rubygems_[a-f0-9]{48}",
    r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}",
    r"ATATT3[A-Za-z0-9_=-]{60,}",
    r"sq[pu]_[a-f0-9]{40}",
    # clouds and hosts
    r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z2-7]{16}",
    r"AIza[A-Za-z0-9_-]{35}",
    r"GOCSPX-[A-Za-z0-9_-]{28}",
    r"ya29\.[A-Za-z0-9_-]{20,}",
    r"AccountKey=[A-Za-z0-9+/]{80,}={0,2}",
    r"do[por]_v1_[a-f0-9]{64}",
    r"LTAI[A-Za-z0-9]{17,21}",
    r"dapi[a-f0-9]{32}(?:-\d)?",
    r"hv[sb]\.[A-Za-z0-9_-]{24,}",
    r"pul-[a-f0-9]{40}",
    r"fo1_[A-Za-z0-9_-]{40,}|fm[12]_[A-Za-z0-9+/=_-]{90,}",
    r"HRKU-[A-Za-z0-9_-]{36,}",
    r"gl(?:sa|c)_[A-Za-z0-9_+/=]{32,}",
    r"NRAK-[A-Z0-9]{27}",
    r"sntry[su]_[A-Za-z0-9+/=_-]{40,}",
    r"ph[cx]_[A-Za-z0-9]{40,}",
    # money
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",
    r"whsec_[A-Za-z0-9+/=]{32,}",
    r"EAAA[A-Za-z0-9_-]{60}",
    r"sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,}",
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    r"FLWSECK(?:_TEST)?-[a-hA-H0-9]{12,}(?:-X)?",
    # messages
    r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}",
    r"xapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{20,}",
    r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,60}",
    r"discord(?:app)?\.com/api/webhooks/\d{17,20}/[A-Za-z0-9_-]{60,}",
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}",
    r"key-[a-f0-9]{32}",
    r"[a-f0-9]{32}-us\d\d?",
    r"SK[a-f0-9]{32}",
    r"\d{8,10}:AA[A-Za-z0-9_-]{33}",
    r"xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}",
    # work
    r"lin_api_[A-Za-z0-9]{40}",
    r"ntn_[A-Za-z0-9]{40,}",
    r"secret_[A-Za-z0-9]{43}",
    r"figd_[A-Za-z0-9_-]{38,}",
    r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}",
    r"dp\.(?:pt|st|ct|sa)\.[A-Za-z0-9]{40,}",
    r"ops_eyJ[A-Za-z0-9_=-]{100,}",
    r"A3-[A-Z0-9]{6}-[A-Z0-9]{6,11}(?:-[A-Z0-9]{5}){3,4}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
)
"""Forms of tokens, each with the beginning that its service gave it for being found."""

_KEYS = rf"(?<![A-Za-z0-9_-])(?:{'|'.join(_TOKENS)})(?![A-Za-z0-9_-])"
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:.*?-----END [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----|.*)",
    re.DOTALL,
)
_ADDRESS = re.compile(r"\b[a-z][a-z+]{2,14}://[^\s:/@]{1,40}:(?P<value>[^\s:/@]{6,80})@[A-Za-z0-9.-]+")
_ASSIGNED = re.compile(
    r"(?:password|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?(?:key|token)|auth[_-]?token|client[_-]?secret"
    r"|비밀번호|암호)[\"']?\s?[:=]\s?[\"']?(?P<value>[^\s\"'<>{}()\[\],;]{10,})",
    re.IGNORECASE,
)
_MADE_UP = re.compile(
    r"your|example|xxx|\*\*|\.\.\.|change|placeholder|insert|https?:|\$|%|^[A-Za-z_.]+$|^[0-9.]+$|\.\w+\.|1234",
    re.IGNORECASE,
)

_OTHERS = (
    "private key",
    "://[^ :/@]+:[^ :/@]{6,}@",
    "(?:password|passwd|pwd|passphrase|secret|key|token|비밀번호|암호)[\"']? ?[:=]",
)
# a token's first characters are enough
_BEGINNINGS = (re.sub(r"\{(\d+)[\d,]*\}", lambda found: f"{{{min(int(found[1]), 8)},}}", form) for form in _TOKENS)
HINT = "|".join((*_BEGINNINGS, *_OTHERS))
"""Stands, as RE2 takes it, in every text with a secret."""
ROUGH_HINT = "|".join(("[a-z0-9_.:/+=-]{14}", *_OTHERS))
"""The same, with any long word in the place of the tokens: so many beginnings take five times as long."""


def secrets(text: str) -> list[Span]:
    """Keys of well-known services, private keys, signed tokens, and long passwords after a word that says so."""
    spans = [found.span() for found in re.finditer(_KEYS, text) if len(set(found.group())) > 8]
    spans += [found.span() for found in _PRIVATE_KEY.finditer(text)]
    for pattern in (_ADDRESS, _ASSIGNED):
        for found in pattern.finditer(text):
            value = found.group("value").rstrip(".!?")
            mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
            span = (found.start("value"), found.start("value") + len(value))
            known = any(start < span[1] and span[0] < end for start, end in spans)
            if (mixed or pattern is _ADDRESS) and not known and not _MADE_UP.search(value):
                spans.append(span)
    return sorted(spans)
