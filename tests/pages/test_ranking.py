"""The Model ranking page: its figures are those of the core, narrowed and controlled as asked; what it says where there is none."""

from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.importing import read_judgements
from core.ranking import Comparisons, head_to_head, rank
from pages import _strengths
from storage import campaigns, pairs
from storage.judgements import listed, style_differences
from storage.workbench import Workbench
from tests.pages.conftest import Visit

VIEWS = ("Strengths", "Head to head", "What style adds")


def judge(
    bench: Workbench, *rows: tuple[str, str, str | None, str | None, str], annotator: str = "ann"
) -> None:
    """Judgements (prompt, category, model of a, model of b, choice) of somebody from a file."""
    told = [
        (i, {"prompt": prompt, "category": category, "response_a": f"x{i} of {prompt}" * (1 + i % 3), "response_b": f"y of {prompt}",
             "model_a": a, "model_b": b, "annotator": annotator, "choice": choice})
        for i, (prompt, category, a, b, choice) in enumerate(rows, start=1)
    ]  # fmt: skip
    parsed = read_judgements(told)
    assert not parsed.refused
    pairs.add_judged(bench.store, bench.desks, parsed, campaigns.first(bench.store).id, "test", source="test")


def three(bench: Workbench) -> None:
    """Three models: one beats two beats three, mostly."""
    names = [("one", "two"), ("two", "three"), ("one", "three")]
    judge(
        bench,
        *((f"p{i}", ("math", "coding")[i % 2], *names[i % 3], "b" if i % 5 == 0 else "a") for i in range(60)),
    )


def texts(at: AppTest) -> str:
    return "\n".join(e.value for e in (*at.markdown, *at.caption, *at.info, *at.warning))


def chosen(at: AppTest, key: str, value: Any) -> AppTest:
    at.segmented_control(key).set_value(value)
    return at.run()


def table(bench: Workbench, **how: Any) -> Comparisons:
    found = Comparisons.of(listed(bench.store), **how)
    return found.with_style(style_differences(bench.store, found.pair))


def test_an_empty_campaign_says_what_a_ranking_needs(visit: Visit) -> None:
    at = visit("ranking")
    assert not at.exception
    assert "needs annotations of answers by two models" in at.info[0].value


def test_annotations_that_name_no_model_say_what_to_do(bench: Workbench, visit: Visit) -> None:
    judge(bench, ("p", "math", None, None, "a"), ("q", "math", "one", None, "b"))
    at = visit("ranking")
    assert not at.exception
    assert "None of these 2 annotations" in at.info[0].value and "`model_a`" in at.info[0].value


def test_one_model_leads_to_its_temperatures(bench: Workbench, visit: Visit) -> None:
    judge(bench, *((f"p{i}", "math", "one", "one", "a") for i in range(3)))
    at = visit("ranking")
    assert "Tell temperatures apart" in at.info[0].value
    at.toggle("ranking apart").set_value(True).run()
    assert not at.exception and at.info


def test_only_both_bad_is_no_comparison(bench: Workbench, visit: Visit) -> None:
    judge(bench, ("p", "math", "one", "two", "both_bad"))
    assert "No annotation here prefers an answer" in visit("ranking").info[0].value


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws_the_sample_and_says_it_is_simulated(
    sample: Workbench, visit: Visit, view: str
) -> None:
    at = chosen(visit("ranking"), "ranking view", view)
    assert not at.exception
    assert "nothing but simulated judgements" in texts(at)
    assert at.get("plotly_chart")
    assert "comparisons of 2 models by 6 annotators on" in texts(at)


def test_the_figures_are_those_of_the_core(bench: Workbench, visit: Visit) -> None:
    three(bench)
    at = visit("ranking")
    shown = at.dataframe[0].value
    plain, equal = rank(table(bench)), rank(table(bench), control=True)
    assert list(shown["Model"]) == [one.model for one in plain.standings]
    one, same = plain.standings[0], {e.model: e.strength for e in equal.standings}
    assert shown["As judged"][0] == f"{one.strength.value:+.2f} ({one.strength.low:+.2f} to {one.strength.high:+.2f})".replace("-", "−")  # fmt: skip
    assert shown["At equal style"][0].startswith(f"{same[one.model].value:+.2f}".replace("-", "−"))
    assert shown["Points"][0] == round(one.points.value)
    assert shown["n"].tolist() == [e.won.n for e in plain.standings]
    assert "Remark" not in shown
    chosen(at, "ranking control", "At equal style")
    assert list(at.dataframe[0].value["Model"]) == [e.model for e in equal.standings]
    assert at.get("download_button")


def test_head_to_head_is_that_of_the_core(bench: Workbench, visit: Visit) -> None:
    three(bench)
    at = chosen(visit("ranking"), "ranking view", "Head to head")
    ranking = rank(table(bench))
    first, second = (one.model for one in ranking.standings[:2])
    direct = head_to_head(table(bench), [first, second])[first, second]
    values = {metric.label: metric.value for metric in at.metric}
    assert values["Won of their comparisons"] == f"{direct.value:.0%}"
    assert values["By their strengths"] == f"{ranking.chance(0, 1).value:.0%}"
    at.selectbox("ranking first").set_value(ranking.standings[2].model).run()
    assert not at.exception


def test_category_ties_and_intervals_are_as_asked(bench: Workbench, visit: Visit) -> None:
    three(bench)
    judge(bench, ("t", "math", "one", "two", "tie"), annotator="bob")
    at = visit("ranking")
    assert "1 are ties, half a win for each" in texts(at)
    chosen(at, "ranking ties", "drop")
    assert "1 are ties" in texts(at) and "Left out: 1 are ties" in texts(at)
    at.selectbox("ranking category").set_value("coding").run()
    assert "30 comparisons of 3 models" in texts(at)
    chosen(at, "ranking over", "both")
    assert "Intervals over annotators need 10" in at.warning[0].value
    assert "(" not in at.dataframe[0].value["As judged"][0]


def test_a_model_that_never_lost_is_listed_with_the_reason(bench: Workbench, visit: Visit) -> None:
    three(bench)
    judge(bench, ("u", "math", "champion", "one", "a"))
    at = visit("ranking")
    last = at.dataframe[0].value.iloc[-1]
    assert last["Model"] == "champion" and "no upper limit" in last["Remark"]
    assert last["As judged"] == "–"
    chosen(at, "ranking view", "Head to head")
    at.selectbox("ranking first").set_value("champion").run()
    tiles = {metric.label: metric.value for metric in at.metric}
    assert tiles["By their strengths"] == "–"


def test_where_one_model_always_won_nothing_has_a_strength(bench: Workbench, visit: Visit) -> None:
    judge(bench, *((f"p{i}", "math", "one", "two", "a") for i in range(5)))
    for view in VIEWS:
        at = chosen(visit("ranking"), "ranking view", view)
        assert not at.exception
    assert "no strength has two limits" in at.info[0].value
    at = visit("ranking")
    assert "no strength has two limits" in at.warning[0].value
    assert at.dataframe[0].value["Won"].tolist()[0].startswith("100%")


def test_the_download_has_every_figure(bench: Workbench) -> None:
    three(bench)
    scope = _strengths.Scope(None, None, (), "half", False)
    plain = _strengths.ranked(bench.store, scope, False, "prompts")
    whole: pd.DataFrame = _strengths.whole(plain, _strengths.ranked(bench.store, scope, True, "prompts"))
    assert list(whole["model"]) == [one.model for one in plain.standings]
    assert whole["strength"].sum() == pytest.approx(0)
    assert (whole["strength_low"] < whole["strength"]).all() and (
        whole["best_rank"] <= whole["worst_rank"]
    ).all()
    models, observed = _strengths.against(bench.store, scope)
    assert models == [one.model for one in plain.standings] and len(observed) == 6


def test_an_annotator_does_not_see_it(sign_in: Any, visit: Visit) -> None:
    sign_in("annotator")
    with pytest.raises(ValueError, match="ranking"):
        visit("ranking", name="")
