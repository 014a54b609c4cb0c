"""Reports: what they say is what the core computes, every text is escaped, and nothing in the file could ask for anything."""

from datetime import UTC, datetime

import numpy as np
import pytest

from core.calibration import report as calibrated
from core.comparing import accuracy, compare
from core.report import POLICY, Report, cells, render, told
from core.report_drift import drift_report
from core.report_evaluation import evaluation_report
from core.report_figures import DRAWN, map_of
from tests.reported import ARGUMENTS, FIRST, HOSTILE, SECOND, Read, drifted, evaluated

NOW = datetime(2026, 3, 16, 12, tzinfo=UTC)
ABOUT = [("Run", HOSTILE)]


def read(report: Report) -> Read:
    return Read(render(report))


def of_drift(*, drift: bool = True, arguments: dict[str, object] | None = ARGUMENTS) -> Read:
    figures, points = drifted(drift=drift)
    return read(drift_report(figures, points, arguments, ABOUT, "pairs", NOW))


def test_a_drift_run_tells_what_changed_where_and_how_to_find_it_again() -> None:
    figures, points = drifted()
    page = read(drift_report(figures, points, ARGUMENTS, ABOUT, "pairs", NOW))
    assert f"Drift of pairs {FIRST} against {SECOND}" in page.text
    assert (
        "200 pairs of 2026-03-02 to 2026-03-08 are held against 200 of 2026-03-09 to 2026-03-15." in page.text
    )
    first = figures["clusters"][0]
    assert first["cluster"] == 1, "the cluster that came has the best evidence"
    before, after = (first["share"][part] for part in ("before", "after"))
    share = f"{before['value']:.1%} ({100 * before['low']:.1f} to {before['high']:.1%})"
    assert f"What there is more of, the best evidence first: cluster 1 · {HOSTILE}, from {share}" in page.text
    row = page.row(f"1 · {HOSTILE}")
    assert row[1:3] == [str(first["n"]), share] and row[4] == "< 0.001"
    assert row[3].startswith(f"{after['value']:.1%} ({100 * after['low']:.1f} to ")
    assert page.row("Texts: maximum mean discrepancy")[5] == f"{figures['tests']['mmd']['p_value']:.3f}"
    assert "a classifier tells the windows apart" in page.text and "the labels shifted" not in page.text
    for source in (
        "Benjamini & Hochberg 1995",
        "Gretton et al. 2012",
        "Rao & Scott 1992",
        "Bifet & Gavaldà 2007",
    ):
        assert source in page.text
    assert "seed 11, alpha 0.05, view tfidf" in page.text and "scikit-learn" in page.text
    assert page.tags.count("svg") == 3


def test_without_drift_it_says_that_there_is_no_evidence() -> None:
    page = of_drift(drift=False, arguments=None)
    assert "No alert: there is no evidence that anything changed." in page.text
    assert "What there is more of" not in page.text and "No alarm." in page.text
    assert "Not kept: the run’s folder is gone." in page.text


def test_texts_without_clusters_have_a_report() -> None:
    figures, points = drifted(drift=False)
    figures |= {"clusters": [], "labels": [], "stream": {"outcomes": 0, "changes": []}}
    figures["calibration"]["gap_before"]["value"] = None
    page = read(drift_report(figures, points, ARGUMENTS, ABOUT, "pairs", NOW))
    assert "The texts form no clusters" in page.text
    assert "svg" not in page.tags and "Errors as they came" not in page.text


def test_an_evaluation_tells_what_the_core_computes() -> None:
    found = evaluated()
    page = read(
        evaluation_report("votes 1.0.0", found, ABOUT, [("model.json", "SHA-256 abc")], [("Seed", "7")], NOW)
    )
    right = accuracy(found.as_said)
    turned = (
        np.where(found.uncalibrated < 0.5, 1 - found.p, found.p),
        np.where(found.uncalibrated < 0.5, 1 - found.y, found.y),
    )
    figures = calibrated(found.as_said.of(*turned, None, found.group), 20).figures
    assert right.n == 570 and "30 pairs on which people were split evenly" in page.text
    assert page.row("Accuracy")[1:] == [f"{right.value:.3f}", f"{right.low:.3f} to {right.high:.3f}", "570"]
    for name, key in (
        ("Log loss", "log_loss"),
        ("Expected calibration error (ECE)", "ece"),
        ("Brier score", "brier"),
    ):
        one = figures[key]
        assert page.row(name)[1:] == [f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}", "600"]
    assert float(page.row("Log loss, before calibration")[1]) > float(page.row("Log loss")[1])
    assert found.longer is not None
    baseline = found.as_said.with_p(0.5 + np.sign(found.longer) / 4)
    gain = compare(baseline, found.as_said).accuracy
    assert gain.low is not None and gain.low > 0
    assert (
        f"{100 * (gain.value or 0):+.1f} ({100 * gain.low:+.1f} to" in page.text
        and "so the model does better" in page.text
    )
    assert page.row("math")[1] == "300" and page.row(HOSTILE)[1] == "300"
    assert "SHA-256 abc" in page.text and "Seed 7" in page.text and "Hesterberg 2015" in page.text


def test_what_cannot_be_computed_says_why() -> None:
    page = read(evaluation_report("votes 1.0.0", evaluated(200, prompts=1), [], [], [], NOW))
    value, interval, n = page.row("Accuracy")[1:]
    assert float(value) > 0.5 and n == "170" and "in one group" in interval
    assert "All this rests on 1 prompt" in page.text and "nan" not in page.text.lower().split()


def test_single_answers_are_not_turned() -> None:
    page = read(evaluation_report("stars", evaluated(pairs=False), [], [], [], NOW))
    assert "right on whether an answer is good" in page.text and "longer" not in page.text
    assert page.row("0.00 to 0.05") and "answers that are good" in page.text


@pytest.mark.parametrize("what", ["drift", "evaluation"])
def test_every_text_is_escaped_and_nothing_is_asked_for(what: str) -> None:
    if what == "drift":
        figures, points = drifted()
        figures["labels"][0]["label"] = HOSTILE
        html = render(
            drift_report(figures, points, {**ARGUMENTS, "seed": HOSTILE}, [(HOSTILE, HOSTILE)], HOSTILE, NOW)
        )
    else:
        html = render(
            evaluation_report(
                HOSTILE, evaluated(), [(HOSTILE, HOSTILE)], [("x", HOSTILE)], [("y", HOSTILE)], NOW
            )
        )
    page = Read(html)
    assert HOSTILE in page.text and "49" not in page.text.replace(HOSTILE, "").split()
    assert not {"script", "img", "iframe", "object", "embed", "form", "a"} & set(page.tags)
    assert page.links == ["data:,"] and not page.handlers
    assert POLICY.startswith("default-src 'none'") and html.count("url(") == html.count("@import") == 0


def test_a_large_map_is_drawn_from_a_sample() -> None:
    r = np.random.default_rng(0)
    point = r.normal(size=(3 * DRAWN, 2)).astype(np.float32)
    rows = np.ones(len(point), dtype=bool)
    svg = map_of(point, {"all": (rows, "first")}, [], "map")
    assert svg.count("h0") == DRAWN and len(svg) < 400_000


def test_points_in_one_place_have_a_map() -> None:
    svg = map_of(
        np.zeros((5, 2), dtype=np.float32),
        {"all": (np.ones(5, dtype=bool), "first")},
        [(0.0, 0.0, HOSTILE)],
        "map",
    )
    assert "nan" not in svg and "<script" not in svg


def test_an_interval_stays_on_one_line() -> None:
    right = accuracy(evaluated().as_said)
    assert told(right, "{:.1%}").count(" ") == 1 and cells(right)[2] == "570"
