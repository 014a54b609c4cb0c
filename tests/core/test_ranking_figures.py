"""The figures show the numbers they were given, and names as text."""

import pytest

from core.estimate import Estimate
from core.ranking_figures import head_to_head_figure, strength_figure

ONE, TWO = Estimate(0.5, 0.2, 0.8, 40), Estimate(-0.5, -0.8, -0.2, 40)


def test_every_ranking_has_a_dot_and_an_interval_for_each_model_it_ranks() -> None:
    bare = Estimate(0.1, None, None, 9, reason="one prompt")
    figure = strength_figure(
        {"plain": {"a": ONE, "<b>b": TWO}, "control": {"<b>b": bare, "a": Estimate.unavailable("no")}}
    )
    plain, control = figure.data
    assert list(plain.x) == [0.5, -0.5] and plain.error_x.array == pytest.approx([0.3, 0.3])
    assert list(control.x) == [0.1] and list(control.error_x.array) == [0.0]
    assert control.customdata[0][1] == "no interval"
    assert control.y[0] == pytest.approx(1.1) and plain.y[1] == pytest.approx(0.9)
    assert list(figure.layout.yaxis.ticktext) == ["a", "&lt;b&gt;b"]
    assert plain.customdata[0][2] == "1087"


def test_the_matrix_has_a_cell_for_every_two_that_met() -> None:
    told = {("a", "b"): Estimate(0.75, 0.6, 0.9, 20), ("b", "a"): Estimate(0.25, 0.1, 0.4, 20)}
    (cells,) = head_to_head_figure(told, {("a", "b"): 0.7}, ["a", "b", "c"]).data
    assert (cells.z[0][1], cells.z[1][0]) == (0.75, 0.25)
    assert cells.text[0][1] == "75%<br>20"
    assert (
        "by their strengths 70.0%" in cells.customdata[0][1]
        and "by their strengths" not in cells.customdata[1][0]
    )
    assert cells.customdata[0][2] == "never compared"
    assert (cells.zmin, cells.zmax) == (0.25, 0.75)
