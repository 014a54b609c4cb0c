"""Figures of drift: what is in them, and that a map sends numbers alone."""

from datetime import date

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from core import drift_figures
from core.drift_figures import days_figure, inside, map_figure, shares_figure, stream_figure
from core.estimate import Estimate
from core.populations import Window

RANDOM = np.random.default_rng(3)
POINTS = RANDOM.normal(size=(500, 2)).astype(np.float32)
GROUPS = {"one": (POINTS[:, 0] < 0, "#111111"), "other": (POINTS[:, 0] >= 0, "#222222")}
MARKS = [{"x": 0.0, "y": 1.0, "name": "cats, dogs", "cluster": 4}]


def test_every_point_is_on_the_map_once_with_its_row() -> None:
    figure = map_figure(POINTS, GROUPS, MARKS)
    assert [trace.type for trace in figure.data] == ["scattergl", "scattergl", "scatter"]
    rows = np.concatenate([trace.customdata for trace in figure.data[:2]])
    assert sorted(rows.tolist()) == list(range(500))
    for trace in figure.data[:2]:
        assert np.array_equal(np.asarray(trace.x), POINTS[np.asarray(trace.customdata), 0])
        assert trace.text is None and trace.x.dtype == np.float32 and trace.customdata.dtype == np.int32
    assert figure.data[2].text == ("cats, dogs",) and figure.data[2].customdata[0] == -5


def test_100_000_points_are_two_megabytes_and_more_are_their_density(monkeypatch: pytest.MonkeyPatch) -> None:
    many = np.tile(POINTS, (200, 1))
    left = many[:, 0] < 0
    sent = len(map_figure(many, {"one": (left, "#111111"), "other": (~left, "#222222")}, MARKS).to_json())
    assert sent < 2_000_000
    monkeypatch.setattr(drift_figures, "DENSE", 499)
    figure = map_figure(POINTS, GROUPS, MARKS)
    assert [trace.type for trace in figure.data] == ["heatmap", "heatmap", "scattergl", "scatter"]
    assert sum(np.asarray(trace.customdata).sum() for trace in figure.data[:2]) == 500
    unseen = figure.data[2]
    there = sum(np.asarray(trace.customdata) for trace in figure.data[:2]) > 0
    assert unseen.marker.opacity == 0 and len(unseen.x) == pytest.approx(there.sum(), abs=3)
    assert np.array_equal(np.asarray(unseen.x), POINTS[np.asarray(unseen.customdata), 0])


def test_points_in_a_polygon_are_those_of_matplotlib() -> None:
    star = [(0, 2), (0.4, 0.4), (2, 0), (0.4, -0.4), (0, -2), (-0.4, -0.4), (-2, 0), (-0.4, 0.4)]
    assert np.array_equal(inside(POINTS, star), Outline(star).contains_points(POINTS))
    assert not inside(POINTS, []).any() and not inside(POINTS, [(0, 0)]).any()


def test_shares_are_drawn_with_their_intervals() -> None:
    known, missing = Estimate(0.2, 0.1, 0.4, 50), Estimate.unavailable("nothing")
    figure = shares_figure(["a", "b"], [known, missing], [known, known], ("then", "now"))
    then, now = figure.data
    assert (then.name, list(then.x), list(now.x)) == ("then", [0.2], [0.2, 0.2])
    assert list(then.error_x.array) == pytest.approx([0.2]) and list(
        then.error_x.arrayminus
    ) == pytest.approx([0.1])
    assert list(figure.layout.yaxis.ticktext) == ["a", "b"]


def test_days_are_in_the_colour_of_their_window() -> None:
    days = [(date(2026, 3, day), day) for day in range(1, 8)]
    windows = Window(date(2026, 3, 1), date(2026, 3, 2)), Window(date(2026, 3, 5), date(2026, 3, 6))
    figure = days_figure(days, windows, ("one", "two"))
    assert [list(trace.y) for trace in figure.data] == [[1, 2], [5, 6], [3, 4, 7]]


@pytest.mark.parametrize("n", [1, 30, 5000])
def test_the_stream_is_a_running_rate(n: int) -> None:
    wrong = (np.arange(n) % 4 == 0).astype(float)
    times = np.datetime64("2026-03-01") + np.arange(n).astype("timedelta64[m]")
    change = {"found_at": "2026-03-01T01:00", "since_at": "2026-03-01T00:10"}
    figure = stream_figure(times, wrong, [change])
    rate = figure.data[0].y
    assert len(figure.data[0].x) == len(rate) <= 2500
    assert rate[-1] == pytest.approx(wrong[-100:].mean())
    assert len(figure.layout.shapes) == 2
