"""Calibration figures hold the numbers they are given and leave text and background to the theme."""

from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go
import pytest

from core import calibration_figures as figures
from core.calibration import Predictions, reliability, risk_coverage
from core.estimate import Estimate


@pytest.fixture
def predictions() -> Predictions:
    r = np.random.default_rng(0)
    p = r.beta(5, 2, 500)
    return Predictions.of(p, r.random(500) < p**1.5)


@pytest.fixture(autouse=True)
def themed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test draws takes the theme's text colour and a clear background."""
    drawn: list[go.Figure] = []
    plain = figures.style
    monkeypatch.setattr(
        figures, "style", lambda figure, height: drawn.append(figure) or plain(figure, height)
    )
    yield
    for figure in drawn:
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
        assert figure.layout.font.color is None


def test_reliability_figure_shows_bins_bands_counts_and_the_null_ece(predictions: Predictions) -> None:
    diagrams = {
        "Before": reliability(predictions),
        "After": reliability(predictions.with_p(predictions.p**1.5)),
    }
    figure = figures.reliability_figure(diagrams)
    _, band, before, before_counts, after, after_counts = figure.data
    assert list(band.base) == list(diagrams["After"].band_low)
    assert np.array(band.base) + band.y == pytest.approx(diagrams["After"].band_high)
    for line, counts, (name, diagram) in (
        (before, before_counts, ("Before", diagrams["Before"])),
        (after, after_counts, ("After", diagrams["After"])),
    ):
        assert list(line.x) == list(diagram.predicted)
        assert list(line.y) == [e.value for e in diagram.observed]
        assert np.array(line.y) + line.error_y.array == pytest.approx([e.high for e in diagram.observed])
        assert [(row[0], row[1]) for row in line.customdata] == [(name, b) for b in range(len(diagram.rows))]
        assert list(counts.y) == [len(rows) for rows in diagram.rows]
        assert line.line.color == counts.marker.color
    note = figure.layout.annotations[0].text
    null = diagrams["After"].null
    assert f"ECE {diagrams['After'].ece:.3f}" in note and f"below {null.p95:.3f} in 95 of 100" in note


def test_confidence_figure_counts_every_pair_and_marks_both_means(predictions: Predictions) -> None:
    after = predictions.with_p(predictions.p**1.5)
    figure = figures.confidence_figure({"Before": predictions, "After": after})
    for row, (name, said) in enumerate((("Before", predictions), ("After", after))):
        bars, mean, accuracy = figure.data[3 * row : 3 * row + 3]
        assert sum(bars.y) == 500 and bars.yaxis == mean.yaxis == ("y", "y2")[row]
        assert mean.x[0] == pytest.approx(np.maximum(said.p, 1 - said.p).mean())
        assert accuracy.x[0] == pytest.approx(((said.p > 0.5) == (said.y == 1)).mean())
        told = figure.layout.annotations[row].text
        assert f"<b>{name}</b>" in told and f"Mean confidence {mean.x[0]:.3f}" in told
    assert len(figures.confidence_figure({"None": Predictions.of([], [])}).data) == 1


def test_risk_figure_has_a_band_about_each_curve(predictions: Predictions) -> None:
    curve = risk_coverage(predictions)
    band, line = figures.risk_figure({"After": curve}).data
    assert list(line.y) == [e.value for e in curve.risk]
    assert list(band.y) == [e.high for e in curve.risk] + [e.low for e in curve.risk][::-1]
    assert list(band.x) == [*curve.coverage, *curve.coverage[::-1]]


def test_category_and_time_figures_show_intervals_and_leave_gaps() -> None:
    estimates = [Estimate(0.05, 0.01, 0.09, 40), Estimate.unavailable("none"), Estimate(0.1, None, None, 1)]
    rows = figures.category_figure({"Before": dict(zip("abc", estimates, strict=True))})
    assert list(rows.data[0].y) == ["a", "c"] and list(rows.layout.yaxis.categoryarray) == ["a", "b", "c"]
    months = ["2026-01", "2026-02", "2026-03"]
    line = figures.time_figure({"Before": dict(zip(months, estimates, strict=True))}, "ECE").data[0]
    assert list(line.y) == [0.05, None, 0.1]
    assert line.error_y.array == pytest.approx((0.04, 0, 0))
    assert list(line.customdata[2]) == [0.1, 0.1, 1]


def test_calibrators_stand_beside_each_other_each_by_its_own_limit() -> None:
    estimates = {"a": Estimate(0.05, 0.01, 0.09, 40), "b": Estimate(0.1, 0.02, 0.2, 40)}
    lines = {"Before": estimates, "After": {name: Estimate(0.01, 0.0, 0.02, 40) for name in estimates}}
    limits = {"Before": {"a": 0.03, "b": 0.04}, "After": {"a": 0.05, "b": 0.06}}
    rows, times = figures.category_figure(lines, limits), figures.time_figure(lines, "ECE", limits)
    for figure, told in ((rows, "x"), (times, "y")):
        assert figure.layout.scattermode == "group" and figure.layout.showlegend
        assert [trace.offsetgroup for trace in figure.data] == ["Before", "After"] * 2
        assert [list(trace[told]) for trace in figure.data] == [
            [0.05, 0.1],
            [0.01, 0.01],
            [0.03, 0.04],
            [0.05, 0.06],
        ]
        assert [trace.showlegend for trace in figure.data[2:]] == [True, False]
    assert {trace.orientation for trace in rows.data} == {"h"}
