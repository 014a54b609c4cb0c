"""The alignment figure holds the estimates it is given, each with its interval, its line and its part."""

import numpy as np
import pytest

from core.alignment_figures import alignment_figure
from core.estimate import Estimate

ONE = [
    Estimate(0.7, 0.6, 0.8, 40),
    Estimate.unavailable("Nothing."),
    Estimate(0.9, None, None, 25, reason="One prompt."),
]
TWO = [Estimate(0.6, 0.5, 0.7, 40), Estimate(0.5, 0.4, 0.6, 30), Estimate(0.4, 0.3, 0.5, 25)]
DAYS = ["2026-01-05", "2026-01-12", "2026-01-26"]


@pytest.mark.parametrize(("names", "over_time"), [(DAYS, True), (["math", "coding", "general"], False)])
def test_each_line_stands_at_its_parts_beside_the_others(names: list[str], over_time: bool) -> None:
    figure = alignment_figure(names, {"Accuracy": ONE, "Confidence": TWO}, over_time)
    for trace, line, estimates in zip(figure.data, ("Accuracy", "Confidence"), (ONE, TWO), strict=True):
        assert trace.name == line and list(trace.y) == [e.value for e in estimates]
        assert [(row[0], row[1]) for row in trace.customdata] == [(line, name) for name in names]
        for e, low, high in zip(estimates, trace.error_y.arrayminus, trace.error_y.array, strict=True):
            if e.low is not None:
                assert (e.value - low, e.value + high) == pytest.approx((e.low, e.high))
    first, second = (np.array(trace.x) for trace in figure.data)
    assert (first < second).all()
    exact = np.array(names, dtype="datetime64[s]") if over_time else np.arange(3.0)
    apart = np.abs(first.astype(exact.dtype) - exact)
    assert (apart < (np.timedelta64(1, "D") if over_time else 0.1)).all()
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)" and figure.layout.font.color is None


def test_one_window_can_be_drawn() -> None:
    figure = alignment_figure(DAYS[:1], {"Accuracy": ONE[:1]}, True)
    assert len(figure.data[0].x) == 1
