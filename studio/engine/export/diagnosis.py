"""What is wrong with an export, by name, from what it answered and how likely it held the run's own answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from studio.core.export_check import NEVER_ENDS, ExportCheck, ExportFault
from studio.core.translatable import N_, sentence, type_of_value
from studio.engine.export.measurement import Floats, Found, Measured, NotMeasured, Reference, without_bos


@dataclass(frozen=True)
class Limits:
    """The largest mean Kullback-Leibler divergence (nats a token) and the smallest share of equal likeliest tokens that
    an export may have."""

    kl: float
    top_one: float


_AS_STORED = Limits(0.01, 0.95)

LIMITS: Mapping[str, Limits] = {
    **dict.fromkeys(("bfloat16", "float16", "bf16", "f16", "q8_0", "adapter"), _AS_STORED),
    "q6_k": Limits(0.03, 0.93),
    "q5_k_m": Limits(0.10, 0.90),
    "q4_k_m": Limits(0.20, 0.85),
    "adapter-other-base": Limits(0.50, 0.75),
}
"""By the format of the weights; an adapter's by whether its base is in as many bits as in the training.

Chosen from what good exports measure, `python -m tests.benchmarks.export_check` (docs/benchmarks.md), which is ten to
fifty times less: bf16, f16 and a merged model 0.0001 to 0.0002 nats and 1.00, Q8_0 0.0007, Q6_K 0.0015, Q5_K_M and
Q4_K_M 0.009 and 0.98 for the starter model. Exports that were broken on purpose measure 0.16 (half the strength) to 8
(nonsense). An adapter that was trained on a base in 4 bits measures 0.06 and 0.96 on it in 16, and says
the same in other words; one of a tiny model trained in 16 bits measures 0.01 in 4. The share has room for one
token in twenty, since a few questions have few tokens.
"""

_NOTICEABLE, _NEAR, _CLEARLY_NEARER = 0.01, 0.5, 0.3
"""An export is the run's own model in another strength where its divergence from the run's is noticeable and that from
the model in this strength small, both in nats, and the second clearly the smaller one, as their ratio."""

_ALIKE = 0.01
"""Nats between two likeliest tokens of which rounding decides which one is the likelier."""


def check_of(program: str, reference: Reference, found: Sequence[Found], limits: Limits) -> ExportCheck:
    """The verdict on an export that was asked all questions, or on one that couldn't be: then the last of `found` says
    why."""
    measured = [one for one in found if isinstance(one, Measured)]
    questions = reference.questions
    refused = next((one for one in found if isinstance(one, NotMeasured)), None)
    if refused is None and len(measured) < len(questions):
        refused = NotMeasured(reason=f"{len(measured)} of {len(questions)}")
    if refused is not None:
        return ExportCheck.model_validate(
            {
                "program": program,
                "questions": len(questions),
                "same": 0,
                "faults": (_refusal(refused),),
                "passed": False,
            }
        )
    kl, top_one = _divergence(reference, measured)
    faults = [
        *_prompt_faults(reference, measured),
        *_end_faults(reference, measured),
        *_probability_faults(reference, measured, top_one),
    ]
    kept = kl <= limits.kl and top_one >= limits.top_one
    return ExportCheck.model_validate(
        {
            "program": program,
            "questions": len(questions),
            "same": sum(
                one.answer in (question.answer, *question.alternatives)
                for one, question in zip(measured, questions, strict=True)
            ),
            "kl": round(kl, 6),
            "top_one": round(top_one, 6),
            "faults": tuple(faults),
            "passed": kept and all(fault.code == NEVER_ENDS for fault in faults),
        }
    )


def _fault(code: str, text: str, **values: type_of_value) -> ExportFault:
    return ExportFault(code=f"export.{code}", text=sentence(text, **values))


def _refusal(refused: NotMeasured) -> ExportFault:
    if refused.out_of_memory:
        return _fault(
            "out_of_memory",
            N_(
                "It couldn't be checked: there was too little memory to load it once more. It may be good. Close other "
                "programs and export again."
            ),
        )
    return _fault(
        "unreadable",
        N_(
            "It can't be loaded: a file is cut off, damaged or in a form that the program doesn't know. It says: "
            "{reason}"
        ),
        reason=refused.reason[:300],
    )


# Prompts


def _prompt_faults(reference: Reference, measured: Sequence[Measured]) -> list[ExportFault]:
    """The first question whose prompt has other tokens than in the training, by what is different there."""
    for question, one in zip(reference.questions, measured, strict=True):
        if one.same_prompt:
            continue
        if reference.bos and _begins(one.prompt, reference.bos) > max(1, _begins(question.text, reference.bos)):
            return [
                _fault(
                    "doubled_begin",
                    N_(
                        "Its prompts begin with {token} twice, and the model has learned with it once: its chat "
                        "template writes it too often, or its tokenizer adds it once more."
                    ),
                    token=reference.bos,
                )
            ]
        wanted, text = without_bos(question.text, reference.bos), without_bos(one.prompt, reference.bos)
        if wanted == text and _begins(one.prompt, reference.bos) == _begins(question.text, reference.bos):
            return [
                _fault(
                    "other_tokens",
                    N_(
                        "Its tokenizer cuts the same text into other tokens than in the training: it belongs to "
                        "another model, or was changed."
                    ),
                )
            ]
        if wanted == text:
            wanted, text = question.text, one.prompt
        return [_other_prompt(wanted, text)]
    return []


def _other_prompt(wanted: str, text: str) -> ExportFault:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(wanted, text, strict=False)))
    return _fault(
        "other_prompt",
        N_(
            "Its chat template writes another prompt than in the training. The first difference: {found} instead of "
            "{wanted}, after {before}."
        ),
        found=_shown(text[same : same + 40]),
        wanted=_shown(wanted[same : same + 40]),
        before=_shown(wanted[max(0, same - 30) : same]),
    )


def _begins(text: str, bos: str) -> int:
    count = 0
    while bos and text.lstrip(" ").startswith(bos):
        count, text = count + 1, text.lstrip(" ").removeprefix(bos)
    return count


def _shown(text: str) -> str:
    """In quotes, with line breaks and the like written out."""
    return json.dumps(text, ensure_ascii=False)


# Ends


def _end_faults(reference: Reference, measured: Sequence[Measured]) -> list[ExportFault]:
    faults = []
    questions = reference.questions
    used = {question.answer[-1] for question in questions if question.ended}
    past = sum(any(token in used for token in one.answer[:-1]) for one in measured)
    if past:
        faults.append(
            _fault(
                "missing_stop",
                N_(
                    "{count} of {total} answers {count:goes on after the token that ends it|go on after the "
                    "token that ends them}: the export doesn't name it as one, so other programs don't stop "
                    "there."
                ),
                count=past,
                total=len(questions),
            )
        )
    if 2 * reference.endless > len(questions):
        faults.append(
            _fault(
                "never_ends",
                N_(
                    "{count} of {total} answers of the trained model itself {count:doesn't|don't} end: it "
                    "hasn't learned the token that ends them. Train longer, or with more examples."
                ),
                count=reference.endless,
                total=len(questions),
            )
        )
    return faults


# Probabilities


def _divergence(reference: Reference, measured: Sequence[Measured]) -> tuple[float, float]:
    """The mean Kullback-Leibler divergence and the share of equal likeliest tokens, over all tokens of all answers, the
    first over those of which something was told. Of two that the run holds as good as equally likely, either counts."""
    divergences, equal = [], []
    for likeliest, one in zip(reference.likeliest, measured, strict=True):
        divergences.append(_kl(likeliest.run, _floored(one)))
        is_theirs = likeliest.ids == np.array(one.likeliest, dtype=np.int32)[:, None]
        equal.append(np.where(is_theirs, likeliest.run, -np.inf).max(axis=1) >= likeliest.run[:, 0] - _ALIKE)
    return float(np.nanmean(np.concatenate(divergences))), float(np.concatenate(equal).mean())


def _floored(one: Measured) -> Floats:
    """What it told of, and for other tokens the most that can be: the divergence is at least what it comes to. NaN at
    places of which it told nothing."""
    told = one.told()
    least = np.array(one.least or [0.0] * len(one.likeliest), dtype=np.float32)
    return np.where(np.isnan(told), least[:, None], told)


def _kl(run: Floats, export: Floats) -> Floats:
    """For each token, in nats, over the tokens that were kept and all others as one."""
    p, q = np.exp(run.astype(np.float64)), np.exp(export.astype(np.float64))
    rest_p = np.clip(1 - p.sum(1), 1e-6, 1)
    rest_q = np.clip(1 - q.sum(1), 1e-6, 1)
    found = (p * (run - export)).sum(1) + rest_p * np.log(rest_p / rest_q)
    divergence: Floats = np.maximum(found, 0).astype(np.float32)
    return divergence


def _probability_faults(reference: Reference, measured: Sequence[Measured], top_one: float) -> list[ExportFault]:
    factor = _nearest_strength(reference, measured)
    if factor == 0:
        return [
            _fault(
                "answers_as_base",
                N_("It answers as the base model does: nothing of what was learned is in it."),
            )
        ]
    if factor != 1:
        return [
            _fault(
                "wrong_strength",
                N_(
                    "What was learned is in it about {factor:g} times as strong as it was trained: the add-on was "
                    "scaled wrongly."
                ),
                factor=factor,
            )
        ]
    if top_one < 0.5:
        return [
            _fault(
                "nonsense",
                N_(
                    "It answers nonsense: of the tokens that it holds likeliest only {share:.0%} are the trained "
                    "model's."
                ),
                share=top_one,
            )
        ]
    return []


def _nearest_strength(reference: Reference, measured: Sequence[Measured]) -> float:
    """The strength of the adapter with which the run's own model would hold likely what the export does; 1 unless
    another one is clearly nearer."""
    distances = {}
    for strength in reference.strengths:
        floored = [_floored(one) for one in measured[: len(strength.told)]]
        rows = zip(strength.told, reference.likeliest, floored, strict=False)
        pairs = [
            (np.nanmean(_kl(other, export)), np.nanmean(_kl(likeliest.run, export)))
            for other, likeliest, export in rows
        ]
        other, own = np.mean(pairs, axis=0)
        if other < _NEAR and own > _NOTICEABLE:
            distances[strength.factor] = float(other / own) if own else 1.0
    nearest = min(distances, key=lambda factor: distances[factor], default=1.0)
    return nearest if distances.get(nearest, 1.0) < _CLEARLY_NEARER else 1.0
