"""The timeline counts what a plain loop over the judgements counts, and finds again what is behind each point."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.held_out import UNITS, windows
from core.timeline import MEASURES, SPLITS, timeline

NAMED = ("choice", "left", "annotator", "category", "model_a", "model_b")
START = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday


def table(rows: list[dict[str, object]]) -> pa.Table:
    """Judgements as the store gives them; what a row leaves out is the usual."""
    usual = {"choice": "a", "left": "a", "annotator": "ann", "category": "math", "model_a": "x", "model_b": "y",
             "length_a": 10, "length_b": 20, "submitted_at": START}  # fmt: skip
    whole = [{**usual, "pair": i, "prompt": i, **row} for i, row in enumerate(rows)]
    columns = {}
    for name in (*usual, "pair", "prompt"):
        values = [row[name] for row in whole]
        if name in NAMED:
            columns[name] = pa.array(values, pa.string()).dictionary_encode()
        elif name == "submitted_at":
            columns[name] = pa.array(values, pa.timestamp("us", "UTC"))
        else:
            columns[name] = pa.array(values, pa.int64())
    return pa.table(columns)


def days(*after: float) -> list[datetime]:
    return [START + timedelta(days=d) for d in after]


def test_a_count_for_every_window_and_category() -> None:
    kinds = ["math", "coding", "math", "math"]
    found = timeline(
        table([{"category": c, "submitted_at": at} for c, at in zip(kinds, days(0, 0.2, 1, 9), strict=True)]),
        "count",
        "category",
    )
    assert [str(day) for day in found.starts] == ["2026-03-02", "2026-03-03", "2026-03-11"]
    assert found.names == ["math", "coding"]
    assert found.counts().tolist() == [[1, 1, 1], [1, 0, 0]]
    assert found.behind(0, 2).tolist() == [3]


def test_the_share_for_the_longer_leaves_out_what_cannot_tell() -> None:
    rows = [
        {"choice": "b"}, {"choice": "a"}, {"choice": "b"}, {"choice": "tie"}, {"choice": "both_bad"}, {"length_b": 10},
    ]  # fmt: skip
    ((share,),) = timeline(table(rows), "longer").shares([0])
    assert (share.value, share.n) == (pytest.approx(2 / 3), 3)


def test_the_share_for_the_left_needs_to_know_it() -> None:
    rows = [{"choice": "a"}, {"choice": "b", "left": "b"}, {"choice": "b"}, {"left": None}, {"choice": "tie"}]
    ((share,),) = timeline(table(rows), "left").shares([0])
    assert (share.value, share.n) == (pytest.approx(2 / 3), 3)
    assert timeline(table([{"left": None}]), "left").names == []


def test_ties_and_both_bad_are_undecided() -> None:
    rows = [{"choice": choice} for choice in ("a", "b", "tie", "both_bad")]
    ((share,),) = timeline(table(rows), "undecided").shares([0])
    assert (share.value, share.n) == (0.5, 4)


def test_a_win_counts_for_one_model_and_against_the_other() -> None:
    rows = [
        {"choice": "a"}, {"choice": "tie"}, {"choice": "both_bad"}, {"model_a": "y", "model_b": "x", "choice": "b"},
        {"model_a": "x", "model_b": "x"}, {"model_b": None}, {"model_a": "z", "choice": "b"},
    ]  # fmt: skip
    found = timeline(table(rows), "wins", "model")
    told = {name: found.shares([i])[0][0] for i, name in enumerate(found.names)}
    assert {name: (e.value, e.n) for name, e in told.items()} == {
        "x": (pytest.approx(2.5 / 3), 3), "y": (pytest.approx(1.5 / 4), 4), "z": (0.0, 1),
    }  # fmt: skip
    alone = timeline(table(rows), "wins", "category", model="x")
    assert alone.shares([0])[0][0].value == pytest.approx(2.5 / 3)
    assert timeline(table(rows), "wins", model="nobody's").names == []
    with pytest.raises(ValueError, match="Whose wins"):
        timeline(table(rows), "wins")


def test_the_first_day_goes_by_the_hour_and_the_person_may_choose() -> None:
    one_day = table([{"submitted_at": at} for at in days(0, 0.1, 0.11)])
    assert len(timeline(one_day, "count").starts) == 2
    assert len(timeline(one_day, "count", unit="day").starts) == 1
    long = table([{"submitted_at": at} for at in days(*range(40))])
    assert len(timeline(long, "count").starts) == 6
    assert {unit: len(timeline(long, "count", unit=unit).starts) for unit in UNITS} == {
        "hour": 40, "day": 40, "week": 6, "month": 2, "year": 1,
    }  # fmt: skip


def test_without_a_judgement_there_is_nothing() -> None:
    for measure in MEASURES:
        found = timeline(table([]), measure, "model")
        assert (found.names, len(found.starts), found.counts().shape) == ([], 0, (0, 0))


row = st.fixed_dictionaries(
    {
        "choice": st.sampled_from(["a", "b", "tie", "both_bad"]), "left": st.sampled_from(["a", "b", None]),
        "annotator": st.sampled_from("uvw"), "category": st.sampled_from(["math", "coding"]),
        "model_a": st.sampled_from(["x", "y", None]), "model_b": st.sampled_from(["x", "y", None]),
        "length_a": st.integers(1, 3), "length_b": st.integers(1, 3), "prompt": st.integers(0, 5),
        "submitted_at": st.integers(0, 90).map(lambda d: START + timedelta(days=d)),
    }
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(row, max_size=40), st.sampled_from(MEASURES), st.sampled_from(SPLITS))
def test_every_judgement_that_tells_is_behind_one_point_for_each_group_it_is_of(
    rows: list[dict[str, object]], measure: str, split: str
) -> None:
    judged = table(rows)
    found = timeline(judged, measure, split, model="x")
    starts, code = windows(judged["submitted_at"].to_numpy().astype("datetime64[us]"))

    def groups(i: int) -> set[str]:
        if split == "all":
            return {"All"}
        if split == "model":
            return {str(name) for name in (rows[i]["model_a"], rows[i]["model_b"]) if name}
        return {str(rows[i][split])}

    def tells(i: int) -> bool:
        r = rows[i]
        preferred = r["choice"] in ("a", "b")
        two = None not in (r["model_a"], r["model_b"]) and r["model_a"] != r["model_b"]
        return {
            "count": True, "undecided": True, "longer": preferred and r["length_a"] != r["length_b"],
            "left": preferred and r["left"] is not None, "wins": two and r["choice"] != "both_bad",
        }[measure]  # fmt: skip

    expected = Counter((name, int(code[i])) for i in range(len(rows)) if tells(i) for name in groups(i))
    if len(starts) > 1:
        counts = found.counts()
        got = {
            (name, w): int(counts[g, w])
            for g, name in enumerate(found.names)
            for w in range(len(starts))
            if counts[g, w]
        }
        assert got == dict(expected)
    assert sum(len(found.behind(g, w)) for g in range(len(found.names)) for w in range(len(found.starts))) == sum(expected.values())  # fmt: skip
    sizes = found.counts().sum(1)
    assert (np.diff(sizes) <= 0).all()
    for line in found.shares(range(len(found.names))):
        for e in line:
            assert (e.value is None) == (e.n == 0)
            if e.low is not None:
                assert 0 <= e.low <= e.value <= e.high <= 1
