"""What a campaign's rules allow an annotator to say."""

import math
from typing import Any

import pytest

from core.judging import MAX_REASON, InvalidJudgement, Verdict, check

OPEN: dict[str, Any] = {"ties": True, "both_bad": True, "strength": True, "aspects": ("helpful", "honest")}


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict("a"),
        Verdict("b", strength=3, confidence=5, aspects={"helpful": "tie", "honest": "a"}, seconds=86_400),
        Verdict("tie", confidence=1, reason="x" * MAX_REASON, seconds=0),
        Verdict("both_bad"),
        Verdict("skip", reason="zu schwer · 難しい · 🤷"),
    ],
)
def test_what_the_campaign_offers_is_taken(verdict: Verdict) -> None:
    check(verdict, **OPEN)


@pytest.mark.parametrize(
    ("field", "given", "rules"),
    [
        ("choice", {"choice": "left"}, {}),
        ("choice", {"choice": "retracted"}, {}),
        ("choice", {"choice": "tie"}, {"ties": False}),
        ("choice", {"choice": "both_bad"}, {"both_bad": False}),
        ("strength", {"strength": 0}, {}),
        ("strength", {"strength": 4}, {}),
        ("strength", {"strength": 1}, {"strength": False}),
        ("strength", {"choice": "tie", "strength": 1}, {}),
        ("strength", {"choice": "skip", "strength": 1}, {}),
        ("confidence", {"confidence": 0}, {}),
        ("confidence", {"confidence": 6}, {}),
        ("aspects", {"aspects": {"harmless": "a"}}, {}),
        ("aspects", {"aspects": {"helpful": "skip"}}, {}),
        ("aspects", {"aspects": {"helpful": "a"}}, {"aspects": ()}),
        ("reason", {"reason": "x" * (MAX_REASON + 1)}, {}),
        ("reason", {"reason": "a\0b"}, {}),
        ("reason", {"reason": "half \ud83d"}, {}),
        ("seconds", {"seconds": -1}, {}),
        ("seconds", {"seconds": 86_401}, {}),
        ("seconds", {"seconds": math.nan}, {}),
        ("seconds", {"seconds": math.inf}, {}),
    ],
)
def test_anything_else_is_refused_by_its_field(
    field: str, given: dict[str, Any], rules: dict[str, Any]
) -> None:
    with pytest.raises(InvalidJudgement, match=f"^{field}: ") as error:
        check(Verdict(**({"choice": "a"} | given)), **(OPEN | rules))
    assert error.value.field == field
