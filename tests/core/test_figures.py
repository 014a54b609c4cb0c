"""Figures hold the data they are given, and no colour of their own for text or background."""

import numpy as np
import plotly.graph_objects as go
import pytest

from core import agreement, figures
from core.estimate import Estimate
from core.ratings import Ratings


@pytest.fixture
def ratings() -> Ratings:
    """Four annotators: z works on twelve pairs, the rest on fewer; w shares none with x."""
    votes = "ababbaabtatb"
    rows = [(f"p{i:02}", "z", c) for i, c in enumerate(votes)]
    rows += [(f"p{i:02}", "y", "a" if i == 3 else c) for i, c in enumerate(votes[:11])]
    rows += [(f"p{i:02}", "x", c) for i, c in enumerate(votes[:4])]
    rows += [("p11", "w", "b")]
    return Ratings.from_rows([(u, r, {"t": "tie"}.get(c, c)) for u, r, c in rows], ("a", "b", "tie"))


def assert_takes_the_theme(figure: go.Figure) -> None:
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.font.color is None
    assert all(trace.textfont.color is None for trace in figure.data)


def test_agreement_figure_shows_values_intervals_targets_and_reasons(ratings: Ratings) -> None:
    report = agreement.agreement_report(ratings)
    figure = figures.agreement_figure(report)
    value, target, missing = figure.data
    known = [e for e in report.values() if e.value is not None]
    assert list(value.x) == [e.value for e in known]
    assert list(np.array(value.x) + value.error_x.array) == pytest.approx([e.high for e in known])
    assert list(np.array(value.x) - value.error_x.arrayminus) == pytest.approx([e.low for e in known])
    assert [row[1] for row in value.customdata] == [str(e.n) for e in known]
    assert list(target.x) == [e.target for e in known]
    assert list(missing.y) == ["Confidence-weighted agreement", "Self-consistency"]
    assert missing.text[0] == "No annotation carries a confidence."
    assert figure.layout.yaxis.categoryarray[0] == "Raw agreement"
    assert_takes_the_theme(figure)


def test_agreement_figure_of_a_value_without_an_interval_and_of_nothing() -> None:
    figure = figures.agreement_figure({"gwet_ac1": Estimate(0.5, None, None, 1, reason="one pair")})
    assert figure.data[0].error_x.array == (0,) and figure.data[0].customdata[0][0] == "no interval"
    empty = figures.agreement_figure(agreement.agreement_report(Ratings.from_rows([], ("a", "b"))))
    assert len(empty.data[2].text) == 7


def test_kappa_matrix_is_symmetric_and_says_n_or_why_not(ratings: Ratings) -> None:
    kappas = agreement.cohen_kappas(ratings)
    judged = np.bincount(ratings.rater)
    heat = figures.kappa_matrix(kappas, ratings.raters, judged).data[0]
    assert list(heat.x) == list(heat.y) == ["z", "y", "x", "w"]
    row = int(np.flatnonzero((kappas.rater_a == 2) & (kappas.rater_b == 3))[0])
    assert heat.z[0, 1] == heat.z[1, 0] == kappas.value[row]
    assert heat.customdata[0, 1].endswith("11 pairs")
    assert np.isnan(heat.z[0, 2]) and heat.customdata[0, 2] == "These two share 4 pairs; kappa needs 10."
    assert heat.customdata[2, 3] == "share no pair"
    capped = figures.kappa_matrix(kappas, ratings.raters, judged, limit=2)
    assert list(capped.data[0].x) == ["z", "y"]
    assert capped.layout.paper_bgcolor == "rgba(0,0,0,0)"
