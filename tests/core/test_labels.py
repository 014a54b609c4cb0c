"""The label of a pair is the arithmetic of its votes, whatever order they came in."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.consensus import dawid_skene
from core.labels import LOST, METHODS, Method, Policy, label
from core.ratings import Ratings
from core.records import CHOICES

votes = st.lists(st.lists(st.sampled_from(CHOICES), min_size=1, max_size=6), min_size=1, max_size=8)


def ratings(said: list[list[str]]) -> Ratings:
    rows = [(f"x{i}", f"u{j}", choice) for i, unit in enumerate(said) for j, choice in enumerate(unit)]
    return Ratings.from_rows(rows, CHOICES)


@given(votes, st.sampled_from(["half", "drop"]), st.sampled_from(["votes", "majority"]))
def test_shares_and_majorities(said: list[list[str]], ties: str, consensus: str) -> None:
    found = label(ratings(said), Policy(consensus, ties))  # type: ignore[arg-type]
    for i, unit in enumerate(said):
        count = Counter(unit)
        a, b, tie = count["a"], count["b"], count["tie"] * (ties == "half")
        if a + b + tie == 0:
            assert found.lost[i] == ("tie" if count["tie"] else "both_bad") and np.isnan(found.target[i])
            continue
        assert found.weight[i] == a + b + tie
        if consensus == "votes":
            assert found.lost[i] == "" and found.target[i] == pytest.approx((a + tie / 2) / (a + b + tie))
        else:
            top = [name for name, n in (("a", a), ("b", b), ("tie", tie)) if n == max(a, b, tie)]
            if len(top) > 1:
                assert found.lost[i] == "no_majority" and np.isnan(found.target[i])
            else:
                assert found.target[i] == {"a": 1, "b": 0, "tie": 0.5}[top[0]]


@given(votes, st.sampled_from(["votes", "majority", "dawid_skene"]), st.sampled_from(["half", "drop"]))
def test_naming_the_answers_the_other_way_round_turns_the_target(
    said: list[list[str]], consensus: str, ties: str
) -> None:
    policy = Policy(consensus, ties)  # type: ignore[arg-type]
    there = label(ratings(said), policy)
    back = label(ratings([[{"a": "b", "b": "a"}.get(c, c) for c in unit] for unit in said]), policy)
    assert there.target == pytest.approx(1 - back.target, nan_ok=True, abs=1e-6)
    assert there.lost == back.lost and set(there.lost) <= {"", *LOST}
    assert (np.isnan(there.target) == (np.array(there.lost) != "")).all()


def test_dawid_skene_is_its_posterior() -> None:
    random = np.random.default_rng(0)
    said = [[str(c) for c in random.choice(["a", "b", "tie"], 5, p=p)] for p in ([0.7, 0.2, 0.1], [0.1, 0.7, 0.2]) * 20]  # fmt: skip
    whole = Ratings.from_rows([(f"x{i:02}", f"u{j}", c) for i, unit in enumerate(said) for j, c in enumerate(unit)], ("a", "b", "tie"))  # fmt: skip
    posterior = dawid_skene(whole).posterior
    found = label(whole, Policy("dawid_skene"))
    assert found.target == pytest.approx(posterior[:, 0] + posterior[:, 2] / 2)
    decisive = label(whole, Policy("dawid_skene", "drop"))
    assert decisive.target == pytest.approx(dawid_skene(whole, ties="drop").posterior[:, 0], nan_ok=True)


def test_only_the_first_judgement_of_an_annotator_counts() -> None:
    rows = [("x", "u", "a"), ("x", "u", "b"), ("x", "v", "a")]
    assert label(Ratings.from_rows(rows, CHOICES), Policy()).target.tolist() == [1.0]


def test_nothing_to_label() -> None:
    assert label(Ratings.from_rows([], CHOICES), Policy("dawid_skene")).lost == []


def test_policies_there_are_not() -> None:
    with pytest.raises(ValueError, match="consensus is 'mean'"):
        Policy("mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ties is 'keep'; it must be half or drop"):
        Policy(ties="keep")  # type: ignore[arg-type]


@pytest.mark.parametrize("consensus", METHODS)
def test_a_resolution_is_the_label_whatever_the_votes(consensus: Method) -> None:
    rows = [(u, who, "a") for u in ("to b", "to tie", "to bad", "left") for who in ("ann", "bob")]
    said = Ratings.from_rows([*rows, ("no votes", "ann", "both_bad")], categories=CHOICES)
    settled = {"to b": "b", "to tie": "tie", "to bad": "both_bad", "no votes": "a"}
    resolution = np.array([CHOICES.index(settled[u]) if u in settled else -1 for u in said.units])
    found = label(said, Policy(consensus), resolution)
    before = label(said, Policy(consensus))
    told = {
        u: (t, w, lost)
        for u, t, w, lost in zip(said.units, found.target, found.weight, found.lost, strict=True)
    }
    assert (
        told["to b"] == (0.0, 3, "") and told["to tie"] == (0.5, 3, "") and told["no votes"] == (1.0, 1, "")
    )
    assert np.isnan(told["to bad"][0]) and told["to bad"][2] == "both_bad"
    assert told["left"] == tuple(
        getattr(before, f)[said.units.index("left")] for f in ("target", "weight", "lost")
    )
    dropped = label(said, Policy(consensus, ties="drop"), resolution)
    assert dropped.lost[said.units.index("to tie")] == "tie"
    assert np.isnan(dropped.target[said.units.index("to tie")])
