"""The Agreement page: its figures are those of the core, narrowed as asked; disagreements, consensus, empty states."""

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.agreement import agreement_report, cohen_kappas
from core.consensus import dawid_skene, majority
from core.importing import read_judgements
from pages import _agreement
from storage import annotations, campaigns, pairs
from storage.workbench import Workbench

PAGES = Path(__file__).resolve().parents[2] / "pages"
VIEWS = ("Figures", "By category", "Between annotators", "Disagreements", "Consensus")


def opened(view: str = "Figures", page: str = "agreement.py", **state: Any) -> AppTest:
    at = AppTest.from_file(str(PAGES / page), default_timeout=300)
    at.session_state["name"] = "Ada"
    at.session_state["agreement view"] = view
    for key, value in state.items():
        at.session_state[key.replace("_", " ")] = value
    return at.run()


def shown(at: AppTest) -> list[str]:
    return [markdown.value for markdown in at.markdown]


def judge(bench: Workbench, *rows: tuple[str, str, str]) -> None:
    """Judgements (pair, annotator, choice) of people from a file."""
    parsed = read_judgements(
        [
            (i, {"prompt": pair, "response_a": "x", "response_b": "y", "annotator": who, "choice": choice})
            for i, (pair, who, choice) in enumerate(rows, start=1)
        ]
    )
    here = campaigns.first(bench.store).id
    pairs.add_judged(bench.store, bench.desks, parsed, here, "test", source="test")


@pytest.mark.parametrize("view", VIEWS)
def test_an_empty_campaign_says_what_agreement_needs(bench: Workbench, view: str) -> None:
    at = opened(view, "_shell.py").switch_page("agreement.py").run()
    assert not at.exception
    assert "Nothing has been judged in this campaign yet" in at.info[0].value


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws_the_sample(sample: Workbench, view: str) -> None:
    at = opened(view)
    assert not at.exception
    assert any("nothing but simulated" in text for text in shown(at))


def test_the_figures_are_those_of_the_core_with_interval_n_target_and_verdict(sample: Workbench) -> None:
    at = opened()
    report = agreement_report(*annotations.ratings(sample.store))
    texts = shown(at)
    for estimate in report.values():
        if estimate.value is not None:
            assert f"**{estimate.value:.3f}**" in texts
            assert f"{estimate.low:.3f} to {estimate.high:.3f}" in texts
        else:
            assert any(estimate.reason in text for text in texts)
    assert sum("not met" in text for text in texts) == sum(
        e.value is not None and e.value < e.target for e in report.values()
    )
    named = {markdown.value: markdown.help for markdown in at.markdown if markdown.help}
    assert len(named) >= len(report)
    assert at.get("plotly_chart")


def test_category_and_ties_narrow_the_figures(sample: Workbench) -> None:
    at = opened()
    at.selectbox("agreement category").set_value("math")
    at.segmented_control("agreement ties").set_value("drop").run()
    expected = agreement_report(*annotations.ratings(sample.store, category="math", ties="drop"))
    assert f"**{expected['raw_agreement'].value:.3f}**" in shown(at)


def test_simulated_annotators_can_be_left_out(sample: Workbench) -> None:
    judge(sample, ("p1", "ann", "a"), ("p1", "bob", "a"), ("p2", "ann", "a"), ("p2", "bob", "b"))
    at = opened()
    assert any("include simulated judgements" in text for text in shown(at))
    pills = next(group for group in at.pills if group.label == "Annotators")
    pills.set_value(["imported"]).run()
    assert not any("simulated judgements" in text for text in shown(at))
    assert "**0.500**" in shown(at)
    next(group for group in at.pills if group.label == "Annotators").set_value([]).run()
    assert "Choose whose judgements count" in at.info[0].value


def test_without_a_shared_pair_every_figure_says_why(bench: Workbench) -> None:
    judge(bench, ("p1", "ann", "a"), ("p2", "bob", "b"))
    at = opened()
    assert not at.exception
    assert not at.get("plotly_chart")
    assert any("No pair has two annotators" in text for text in shown(at))
    assert any("No annotation carries a strength of preference" in text for text in shown(at))


def test_each_category_has_its_row(sample: Workbench) -> None:
    table = opened("By category").dataframe[0].value
    assert set(table["Category"]) == {"math", "coding", "reasoning", "general"}
    math = agreement_report(*annotations.ratings(sample.store, category="math"))["krippendorff_alpha"]
    row = table[table["Category"] == "math"].iloc[0]
    told = row["krippendorff_alpha"].replace("\N{NO-BREAK SPACE}", " ")
    assert told == f"{math.value:.2f} ({math.low:.2f} to {math.high:.2f})"


def test_the_matrix_holds_the_kappas(sample: Workbench) -> None:
    ratings, _ = annotations.ratings(sample.store)
    figure, n = _agreement.matrix(sample.store, None, None, "keep", ())
    kappas = cohen_kappas(ratings)
    assert n == len(ratings.raters)
    for row in range(len(kappas.n)):
        x, y = (
            list(figure.data[0].x).index(ratings.raters[int(r[row])])
            for r in (kappas.rater_a, kappas.rater_b)
        )
        assert figure.data[0].z[y][x] == pytest.approx(kappas.value[row], nan_ok=True)


def test_the_pairs_people_disagree_on_come_worst_first_and_open(bench: Workbench) -> None:
    judge(
        bench,
        ("split", "ann", "a"), ("split", "bob", "b"), ("split", "cat", "tie"),
        ("most", "ann", "a"), ("most", "bob", "a"), ("most", "cat", "b"),
        ("one", "ann", "a"), ("one", "bob", "a"),
    )  # fmt: skip
    at = opened("Disagreements", "_shell.py").switch_page("agreement.py").run()
    table = at.dataframe[0].value
    assert list(table["prompt"]) == ["split", "most"]
    assert list(table["agreement"]) == [0, pytest.approx(1 / 3)]
    at.session_state["agreement pairs"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    at.run()
    assert not at.exception
    assert at.title[0].value == "Pairs"
    assert any("most" in text for text in shown(at))


def test_consensus_counts_what_each_method_settles(sample: Workbench) -> None:
    at = opened("Consensus")
    ratings, _ = annotations.ratings(sample.store)
    values = [metric.value for metric in at.metric if metric.label == "Settled"]
    assert values == [str(int((m.label >= 0).sum())) for m in (majority(ratings), dawid_skene(ratings))]
    assert [m.value for m in at.metric if m.label.startswith("Against")] == ["–", "–"]
    assert at.get("download_button")


def test_consensus_is_held_against_gold(bench: Workbench) -> None:
    judge(bench, *((f"p{i}", who, "a") for i in range(4) for who in ("ann", "bob")))
    rows, _ = pairs.page(bench.store)
    for row, gold in zip(rows, ("a", "a", "a", "b"), strict=True):
        pairs.set_gold(bench.store, bench.desks, row["id"], gold, "test")
    at = opened("Consensus")
    right = next(metric for metric in at.metric if metric.label.startswith("Against"))
    assert right.value == "75.0%"
    assert right.delta.endswith("n 4")


def test_the_consensus_table_has_a_row_for_every_judged_pair(sample: Workbench) -> None:
    for ties in ("keep", "drop"):
        table = _agreement.settled(sample.store, None, None, ties, ()).table()
        assert len(table) == 72
        assert set(table["majority"]) <= (
            {"a", "b", ""} if ties == "drop" else {"a", "b", "tie", "both_bad", ""}
        )
        assert table["dawid_skene_probability"].between(0, 1).all()
