"""The Annotators page: the ranking is that of the core, one annotator's line and disagreements, each state, hidden names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core import annotators, bias
from core.importing import read_judgements
from core.roles import Role
from pages import _annotators
from storage import campaigns, pairs
from storage.judgements import judgements
from storage.workbench import Workbench

PAGE = Path(__file__).resolve().parents[2] / "pages" / "annotators.py"
Visit = Callable[..., AppTest]
EVERYTHING = (None, None, ())


def opened(view: str = "Ranking", **state: Any) -> AppTest:
    at = AppTest.from_file(str(PAGE), default_timeout=300)
    at.session_state["name"] = "Ada"
    at.session_state["annotators view"] = view
    for key, value in state.items():
        at.session_state[key.replace("_", " ")] = value
    return at.run()


def judge(bench: Workbench, *rows: tuple[str, str, str], **more: object) -> None:
    """Imported judgements (prompt, annotator, choice)."""
    parsed = read_judgements(
        [
            (i, {"prompt": prompt, "response_a": "a longer one", "response_b": "short", "annotator": who, "choice": choice, **more})
            for i, (prompt, who, choice) in enumerate(rows, start=1)
        ]
    )  # fmt: skip
    pairs.add_judged(bench.store, bench.desks, parsed, campaigns.first(bench.store).id, "test", source="test")


def captions(at: AppTest) -> str:
    return "\n".join(caption.value for caption in at.caption)


@pytest.mark.parametrize("view", ["Ranking", "One annotator"])
def test_an_empty_campaign_says_so(visit: Visit, bench: Workbench, view: str) -> None:
    at = visit("annotators")
    at.segmented_control(key="annotators view").set_value(view).run()
    assert not at.exception
    assert "Nothing has been judged in this campaign yet" in at.info[0].value


def test_an_annotator_may_not_open_it(sample: Workbench, sign_in: Callable[[Role], str]) -> None:
    sign_in("annotator")
    at = AppTest.from_file(str(PAGE), default_timeout=300).run()
    assert "for the role researcher" in at.warning[0].value and not at.dataframe


@pytest.mark.parametrize("by", ["reliability", "agreement", "quick", "seconds", "left", "length", "judged"])
def test_the_ranking_is_that_of_the_core(sample: Workbench, by: str) -> None:
    at = opened()
    control = next(c for c in at.segmented_control if c.label == "On top")
    at = control.set_value(by).run()
    assert not at.exception
    judged = judgements(sample.store)
    found = annotators.profiles(judged)
    order = found.order(by)
    table = at.dataframe[0].value
    assert list(table["Annotator"]) == [judged.names[row] for row in order]
    assert list(table["Judged"]) == [found.judged[row] for row in order]
    one = found.figures["reliability"][int(order[0])]
    assert table["Reliability"].iloc[0] == f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
    assert at.get("plotly_chart") and at.get("download_button")
    assert f"**Right on gold** cannot be computed. {annotators.NO_GOLD}" in captions(at)


def test_names_can_be_hidden_in_table_figure_file_and_choice(sample: Workbench) -> None:
    shown = opened()
    hidden = opened(annotators_hidden=True)
    assert all(name.startswith("Simulated") for name in shown.dataframe[0].value["Annotator"])
    assert sorted(hidden.dataframe[0].value["Annotator"]) == [f"Annotator {i}" for i in range(1, 7)]
    assert "Simulated 1" not in str(hidden.get("plotly_chart")[0].proto)
    assert list(shown.dataframe[0].value["Reliability"]) == list(hidden.dataframe[0].value["Reliability"])
    file = _annotators.table(sample.store, *EVERYTHING, "judged", True)
    assert not file.astype(str).apply(lambda column: column.str.contains("careful|guesses")).any(axis=None)
    one = opened("One annotator", annotators_hidden=True)
    assert all(option.startswith("Annotator ") for option in one.selectbox(key="annotator").options)
    assert not any("careful" in markdown.value for markdown in one.markdown)


def test_the_file_has_every_figure_with_its_limits(sample: Workbench) -> None:
    found = annotators.profiles(judgements(sample.store))
    file = _annotators.table(sample.store, *EVERYTHING, "agreement", False)
    assert len(file) == 6
    for name, figure in found.figures.items():
        for suffix, column in (
            ("", figure.value),
            ("_low", figure.low),
            ("_high", figure.high),
            ("_n", figure.n),
        ):
            assert file[name + suffix].to_numpy() == pytest.approx(column[file.index], nan_ok=True)


def test_two_of_one_name_are_told_apart(bench: Workbench) -> None:
    judge(bench, ("p1", "ann", "a"), ("p1", "bob", "a"))
    parsed = read_judgements(
        [
            (
                1,
                {
                    "prompt": "p1",
                    "response_a": "a longer one",
                    "response_b": "short",
                    "annotator": "ann",
                    "choice": "b",
                },
            )
        ]
    )
    pairs.add_judged(
        bench.store, bench.desks, parsed, campaigns.first(bench.store).id, "test", source="other"
    )
    names = list(opened().dataframe[0].value["Annotator"])
    assert len(set(names)) == 3 and sum(name.startswith("ann (imported ") for name in names) == 2


def test_one_annotator_has_figures_a_line_and_disagreements(sample: Workbench) -> None:
    judged = judgements(sample.store)
    found = annotators.profiles(judged)
    row = judged.names.index("Simulated 6 · guesses")
    at = opened("One annotator", annotator=judged.annotators[row])
    assert not at.exception
    values = {metric.label: metric.value for metric in at.metric}
    assert values["Reliability"] == f"{found.figures['reliability'].value[row]:.2f}"
    assert values["Seconds"] == f"{found.figures['seconds'].value[row]:.1f}"
    assert values["Right on gold"] == "–"
    assert at.get("plotly_chart")
    assert any("No change beyond chance" in markdown.value for markdown in at.markdown)
    table = at.dataframe[0].value
    mine = judged.annotator == row
    agreement = bias.company(judged)[mine]
    assert len(table) == (agreement < 1).sum()
    assert list(table["agreement"]) == sorted(agreement[agreement < 1])
    assert set(table["said"]) <= {"A", "B", "Tie", "Both bad"}
    for line in ("pace", "left", "length"):
        at.segmented_control[-1].set_value(line).run()
        assert not at.exception


def test_the_votes_of_the_others_are_counted(bench: Workbench) -> None:
    judge(
        bench,
        ("p1", "ann", "a"),
        ("p1", "bob", "b"),
        ("p1", "cat", "b"),
        ("p1", "dan", "tie"),
        ("p2", "ann", "a"),
    )
    judged = judgements(bench.store)
    found = _annotators.disagreements(bench.store, *EVERYTHING, judged.names.index("ann"))
    assert found[["said", "others", "agreement"]].to_numpy().tolist() == [["A", "B 2 · Tie 1", 0.0]]


def test_one_alone_says_what_cannot_be_computed(bench: Workbench) -> None:
    judge(bench, *((f"p{i}", "ann", "a") for i in range(4)))
    at = opened()
    assert not at.exception
    assert "**Agreement and Beyond chance** cannot be computed. No pair has two annotators." in captions(at)
    one = opened("One annotator")
    assert not one.exception
    assert "there is nobody to differ" in one.info[-1].value
    assert any("cannot be told from fewer than 20" in markdown.value for markdown in one.markdown)


def test_nobody_differs_and_ties_draw_nothing(bench: Workbench) -> None:
    judge(bench, *((f"p{i}", who, "tie") for i in range(4) for who in ("ann", "bob")))
    one = opened("One annotator")
    assert not one.exception
    assert "Nobody differs from them" in one.info[-1].value
    assert not opened().exception


def test_gold_counts_once_there_is_some(bench: Workbench) -> None:
    judge(bench, *((f"p{i}", who, "a" if who == "ann" else "b") for i in range(4) for who in ("ann", "bob")))
    rows, _ = pairs.page(bench.store)
    for row in rows:
        pairs.set_gold(bench.store, bench.desks, row["id"], "a", "test")
    at = opened()
    control = next(c for c in at.segmented_control if c.label == "On top")
    table = control.set_value("gold").run().dataframe[0].value
    assert list(table["Annotator"]) == ["bob", "ann"]
    assert table["Right on gold"].iloc[1] == "1.00 (0.51 to 1.00)"
