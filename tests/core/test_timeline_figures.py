"""The figures show the numbers they were given; a point knows its group and its window."""

import numpy as np
import pytest

from core.estimate import Estimate
from core.timeline_figures import OTHERS, counts_figure, moment, shares_figure

DAYS = np.array(["2026-03-02", "2026-03-03", "2026-03-05"], dtype="datetime64[D]")
HOURS = np.array(["2026-03-02T09"], dtype="datetime64[h]")


def test_counts_are_stacked_bars() -> None:
    figure = counts_figure(DAYS, ["a<i>", OTHERS], np.array([[1, 2, 3], [4, 5, 6]]))
    assert [list(bar.y) for bar in figure.data] == [[1, 2, 3], [4, 5, 6]]
    assert figure.data[1].customdata[2][:3] == [1, 2, "2026-03-05"]
    assert figure.data[0].name == "a&lt;i&gt;" and figure.layout.barmode == "stack"


def test_shares_are_lines_with_gaps_and_intervals_side_by_side() -> None:
    known, bare, none = (
        Estimate(0.6, 0.5, 0.7, 10),
        Estimate(0.4, None, None, 2, reason="one"),
        Estimate.unavailable("none"),
    )
    figure = shares_figure(DAYS, ["a", "b"], [[known, none, bare], [bare, bare, bare]], "Prefer", even=True)
    first, second = figure.data
    assert list(first.y) == [0.6, None, 0.4]
    assert first.error_y.array[0] == pytest.approx(0.1) and first.error_y.array[2] == 0
    assert first.customdata[0][:3] == [0, 0, "2026-03-02"] and first.customdata[2][4] == "no interval"
    assert all(b > a for a, b in zip(first.x, second.x, strict=True))
    assert len(figure.layout.shapes) == 1
    assert not shares_figure(DAYS, ["a"], [[known] * 3], "Prefer", even=False).layout.shapes


def test_one_window_and_none_can_be_drawn() -> None:
    alone = shares_figure(HOURS, ["All"], [[Estimate(0.6, 0.5, 0.7, 10)]], "Prefer", even=True)
    assert alone.data[0].customdata[0][2] == "2026-03-02 09:00" == moment(HOURS[0])
    assert not counts_figure(DAYS[:0], [], np.zeros((0, 0), int)).data
