"""The figures of bias and of annotators: a row each, names as they are, a line where somebody changed."""

import numpy as np

from core.annotators import Series
from core.bias_figures import leaning_figure, speed_figure, timeline_figure
from core.estimate import Estimate

E = Estimate(0.6, 0.5, 0.7, 40)


def test_every_row_has_its_dot_and_flagged_ones_another_colour() -> None:
    rows = {"<b>Ann</b>": E, "Bob": Estimate(0.4, None, None, 1), "Cat": Estimate.unavailable("Nothing.")}
    figure = leaning_figure(rows, 0.5, "Share", {"Bob"}, ["judgements", "pairs", "pairs"])
    plain, flagged = figure.data
    assert (list(plain.y), list(flagged.y)) == (["&lt;b&gt;Ann&lt;/b&gt;"], ["Bob"])
    assert plain.marker.color != flagged.marker.color
    assert plain.customdata[0][2] == "judgements" and flagged.customdata[0][2] == "pairs"
    assert list(figure.layout.yaxis.categoryarray) == ["&lt;b&gt;Ann&lt;/b&gt;", "Bob", "Cat"]
    assert figure.layout.shapes[0].x0 == 0.5


def test_parts_by_speed_are_named_and_the_quick_ones_marked() -> None:
    figure = speed_figure([(3.0, 20.0, E), (20.0, 90.0, E), (101.0, 1234.0, E)])
    assert list(figure.data[0].x) == ["3 to 20", "20 to 90", "101 to 1,234"]
    colours = figure.data[0].marker.color
    assert colours[0] == colours[1] != colours[2]


def at(minute: int) -> np.datetime64:
    return np.datetime64("2026-03-01T10:00", "us") + np.timedelta64(minute, "m")


def test_a_change_is_a_line_within_its_window() -> None:
    windows = tuple((at(100 * i), at(100 * i + 50), E) for i in range(3))
    figure = timeline_figure(Series(windows, 0.01, at(125)), "Agreement", 0.5)
    upright = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1]
    assert [shape.x0 for shape in upright] == [2.0]
    assert list(figure.layout.xaxis.ticktext) == ["10:00", "11:40", "13:20"]
    assert not [
        s for s in timeline_figure(Series(windows, 0.2, at(125)), "Agreement").layout.shapes if s.x0 == s.x1
    ]
    days = tuple((at(1440 * i), at(1440 * i), E) for i in range(2))
    assert list(timeline_figure(Series(days, 0.01, at(0)), "x").layout.xaxis.ticktext) == [
        "2026-03-01",
        "2026-03-02",
    ]
