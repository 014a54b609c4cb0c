"""The Bias page: what is found in words, figures and tables; and each state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core import bias
from core.importing import read_judgements
from core.roles import Role
from storage import campaigns, pairs
from storage.judgements import judgements
from storage.workbench import Workbench

PAGE = Path(__file__).resolve().parents[2] / "pages" / "bias.py"
Visit = Callable[..., AppTest]


def opened(view: str = "Labels", **state: Any) -> AppTest:
    at = AppTest.from_file(str(PAGE), default_timeout=300)
    at.session_state["name"] = "Ada"
    at.session_state["bias view"] = view
    for key, value in state.items():
        at.session_state[f"bias {key}"] = value
    return at.run()


def shown(at: AppTest) -> str:
    return "\n".join(markdown.value for markdown in at.markdown)


def told(estimate: Any, digits: int = 3) -> str:
    return f"**{estimate.value:.{digits}f}** ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def judge(bench: Workbench, *rows: tuple[str, ...], **more: object) -> None:
    """Imported judgements (prompt, annotator, choice)."""
    parsed = read_judgements(
        [
            (i, {"prompt": row[0], "response_a": "a longer one", "response_b": "short", "annotator": row[1], "choice": row[2], **more})
            for i, row in enumerate(rows, start=1)
        ]
    )  # fmt: skip
    pairs.add_judged(bench.store, bench.desks, parsed, campaigns.first(bench.store).id, "test", source="test")


@pytest.mark.parametrize("view", ["Labels", "By annotator", "Haste"])
def test_an_empty_campaign_says_what_bias_needs(visit: Visit, bench: Workbench, view: str) -> None:
    at = visit("bias")
    at.segmented_control(key="bias view").set_value(view).run()
    assert not at.exception
    assert "Bias is told from judgements that prefer an answer" in at.info[0].value


def test_an_annotator_may_not_open_it(bench: Workbench, sign_in: Callable[[Role], str]) -> None:
    sign_in("annotator")
    at = AppTest.from_file(str(PAGE), default_timeout=300).run()
    assert "for the role researcher" in at.warning[0].value and not at.markdown


def test_everything_is_told_with_its_interval(sample: Workbench) -> None:
    at = opened()
    assert not at.exception
    found = bias.report(judgements(sample.store))
    text = shown(at)
    for estimate in (
        found.effects["left"].share, found.balanced, found.effects["length"].share, found.speed.quick, found.speed.hasty,
    ):  # fmt: skip
        assert told(estimate) in text
    assert told(found.effects["length"].odds, 2) in text
    assert f"Response A stood left in {found.a_left.value:.1%}" in text
    assert "No two answers differ in links" in text
    table = at.dataframe[0].value
    assert list(table["n"]) == [effect.share.n for effect in found.effects.values()]
    assert len(at.get("plotly_chart")) == len(at.get("download_button")) == 1


def test_imported_labels_say_what_cannot_be_told(bench: Workbench) -> None:
    judge(bench, *((f"p{i}", who, "a") for i in range(6) for who in ("ann", "bob")))
    text = shown(opened())
    assert f"**Position** cannot be told. {bias.NO_SIDES}" in text
    assert f"**Haste** cannot be told. {bias.NO_TIMES}" in text
    assert "**Layout** cannot be told. No two answers differ in list items, headings" in text
    assert "The longer answer is preferred in **1.000**" in text
    assert bias.NO_SIDES in opened("By annotator").info[0].value
    assert bias.NO_TIMES in opened("Haste").info[0].value


def test_ties_alone_prefer_nothing(bench: Workbench) -> None:
    judge(bench, ("p1", "ann", "tie"), ("p2", "ann", "both_bad"))
    at = opened()
    assert not at.exception and not at.get("plotly_chart")
    assert f"**Length** cannot be told. {bias.NOTHING}" in shown(at)


def test_one_prompt_has_no_interval(bench: Workbench) -> None:
    judge(bench, ("p1", "ann", "a"), ("p1", "bob", "b"))
    at = opened()
    assert not at.exception
    assert "The longer answer is preferred in **0.500** of 2 judgements" in shown(at)


@pytest.mark.parametrize("trait", bias.TRAITS)
def test_annotators_are_held_against_one_another(visit: Visit, sample: Workbench, trait: str) -> None:
    at = visit("bias")
    at.segmented_control(key="bias view").set_value("By annotator").run()
    at = at.segmented_control(key="bias trait").set_value(trait).run()
    assert not at.exception
    found = bias.by_annotator(judgements(sample.store), trait)
    if not found.share.n.any():
        assert bias.ALIKE in at.info[0].value
        return
    assert f"**{found.flagged.sum()}** of {(found.share.n > 0).sum()} annotators" in shown(at)
    assert at.get("plotly_chart") and at.get("download_button")


def test_haste_is_drawn_by_speed(sample: Workbench) -> None:
    at = opened("Haste")
    assert not at.exception and at.get("plotly_chart")
    assert told(bias.report(judgements(sample.store)).speed.careful) in shown(at)


def test_it_narrows_to_a_category(sample: Workbench) -> None:
    at = opened(category="coding")
    expected = bias.effects(judgements(sample.store, category="coding"))["left"].share
    assert told(expected) in shown(at)


def test_names_hidden_on_the_annotators_page_are_hidden_here(visit: Visit, sample: Workbench) -> None:
    at = visit("bias")
    at.segmented_control(key="bias view").set_value("By annotator").run()
    assert "Simulated 1" in str(at.get("plotly_chart")[0].proto)
    at.toggle(key="annotators hidden").set_value(True).run()
    assert not at.exception
    drawn = str(at.get("plotly_chart")[0].proto)
    assert "Simulated 1" not in drawn and "Annotator 1" in drawn
