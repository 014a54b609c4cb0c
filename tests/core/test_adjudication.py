"""Which pairs are disputed, and how much: held against a plain count and against SciPy's entropy."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import entr

from core.adjudication import disputes
from core.consensus import dawid_skene
from core.ratings import Ratings

SAID = st.lists(
    st.tuples(st.sampled_from("uvwx"), st.sampled_from(["ann", "bob", "cat", "dan"]), st.sampled_from(["a", "b", "tie"])),
    max_size=30,
    unique_by=lambda row: row[:2],
)  # fmt: skip


@given(SAID, st.integers(2, 4))
def test_disputed_are_the_units_with_two_choices_or_more_the_most_even_first(
    rows: list[tuple[str, str, str]], least: int
) -> None:
    votes: defaultdict[str, list[str]] = defaultdict(list)
    for unit, _, choice in rows:
        votes[unit].append(choice)
    against = {u: 1 - Counter(v).most_common(1)[0][1] / len(v) for u, v in votes.items() if len(v) >= least}
    expected = sorted((-share, -len(votes[u]), u) for u, share in against.items() if share > 0)
    found = disputes(Ratings.from_rows(rows), least=least)
    assert found.units == [u for _, _, u in expected]
    assert found.measure == pytest.approx([-share for share, _, _ in expected])
    assert found.votes.tolist() == [-n for _, n, _ in expected]


def test_doubt_weighs_whom_to_believe_where_the_split_cannot() -> None:
    """Eve contradicts everybody everywhere, so her word against Ann's leaves little doubt; Bob's leaves more."""
    rows = [(f"u{i:02}", who, "ab"[i % 2]) for i in range(40) for who in ("ann", "bob", "cat")]
    rows += [(f"u{i:02}", "eve", "ba"[(i + i % 7 // 6) % 2]) for i in range(40)]
    rows += [("x with eve", "ann", "a"), ("x with eve", "eve", "b")]
    rows += [("y with bob", "ann", "a"), ("y with bob", "bob", "b")]
    ratings = Ratings.from_rows(rows)
    shares = disputes(ratings)
    assert shares.measure[:2] == pytest.approx([0.5, 0.5]) and shares.units[:2] == [
        "x with eve",
        "y with bob",
    ]
    doubted = disputes(ratings, "doubt")
    assert doubted.units[0] == "y with bob" and set(doubted.units) == set(shares.units)
    posterior = dawid_skene(ratings).posterior
    bits = entr(posterior).sum(1) / np.log(2)
    assert doubted.measure == pytest.approx([bits[ratings.units.index(u)] for u in doubted.units])


def test_only_first_judgements_count_and_nothing_is_no_dispute() -> None:
    again = Ratings.from_rows([("u", "ann", "a"), ("u", "ann", "b"), ("u", "bob", "a")])
    assert disputes(again).units == []
    nothing = Ratings.from_rows([], ("a", "b"))
    assert disputes(nothing).units == [] == disputes(nothing, "doubt").units
