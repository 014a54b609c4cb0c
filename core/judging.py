"""What an annotator says about a pair, and what a campaign lets them say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from core.reading import forbidden
from core.records import Choice

MAX_REASON = 10_000
STRENGTHS = {1: "slightly", 2: "clearly", 3: "far"}


class InvalidJudgement(ValueError):
    """The judgement cannot be taken as it is; ``field`` is what to mend."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Verdict:
    """``choice`` is relative to the pair's own a and b, never to a side of the screen.

    ``strength`` 1 to 3 (slightly, clearly, far better), only beside a or b; ``confidence`` 1 to 5; ``aspects`` maps an
    aspect to a, b or tie; ``seconds`` from shown to submitted, without idle time.
    """

    choice: Choice
    strength: int | None = None
    confidence: int | None = None
    aspects: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    seconds: float | None = None


def check(verdict: Verdict, *, ties: bool, both_bad: bool, strength: bool, aspects: Sequence[str]) -> None:
    """Raises InvalidJudgement naming the first field that the campaign's rules do not allow."""
    if verdict.choice not in get_args(Choice):
        raise InvalidJudgement(
            "choice", f"must be one of {', '.join(get_args(Choice))}, not {verdict.choice!r}"
        )
    if verdict.choice == "tie" and not ties:
        raise InvalidJudgement("choice", "this campaign takes no ties; choose the better answer or skip")
    if verdict.choice == "both_bad" and not both_bad:
        raise InvalidJudgement(
            "choice", "this campaign does not offer both_bad; choose the better answer or skip"
        )
    if verdict.strength is not None:
        if verdict.strength not in STRENGTHS:
            raise InvalidJudgement("strength", f"must be 1, 2 or 3, not {verdict.strength}")
        if not strength or verdict.choice not in ("a", "b"):
            raise InvalidJudgement("strength", "goes only with a or b, in a campaign that asks for it")
    if verdict.confidence is not None and not 1 <= verdict.confidence <= 5:
        raise InvalidJudgement("confidence", f"must be from 1 to 5, not {verdict.confidence}")
    for aspect, side in verdict.aspects.items():
        if aspect not in aspects:
            raise InvalidJudgement("aspects", f"{aspect!r} is not among {list(aspects)}")
        if side not in ("a", "b", "tie"):
            raise InvalidJudgement("aspects", f"{aspect!r} must be a, b or tie, not {side!r}")
    if verdict.reason is not None:
        if len(verdict.reason) > MAX_REASON:
            raise InvalidJudgement("reason", f"has {len(verdict.reason)} characters; {MAX_REASON} fit")
        if flaw := forbidden(verdict.reason):
            raise InvalidJudgement("reason", f"{flaw}; remove it")
    if verdict.seconds is not None and not (
        math.isfinite(verdict.seconds) and 0 <= verdict.seconds <= 86_400
    ):
        raise InvalidJudgement("seconds", f"must be from 0 to 86400, not {verdict.seconds}")
