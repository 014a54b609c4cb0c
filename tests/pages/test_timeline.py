"""The Timeline page: counts and shares of the core, what is behind a point, and the history; what it says where there is nothing."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.importing import read_judgements
from core.timeline import timeline
from pages._scope import Scope
from storage import campaigns, pairs
from storage.judgements import listed
from storage.workbench import Workbench
from tests.pages.conftest import Visit

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
MEASURES = ("count", "longer", "left", "wins", "undecided")
SPLITS = ("all", "category", "model", "annotator")


@pytest.fixture
def weeks(bench: Workbench) -> Workbench:
    """90 judgements over nine weeks, of two models, by three annotators, imported."""
    told = [
        (i, {"prompt": f"Question {i % 30}", "category": ("math", "coding")[i % 2], "response_a": f"answer {i % 30}" + " more" * (i % 30 % 4),
             "response_b": f"reply {i % 30} to it", "model_a": "one", "model_b": "two", "annotator": f"w{i % 3}",
             "choice": ("a", "b", "a", "tie")[i % 4], "reason": f"because {i}",
             "submitted_at": (MONDAY + timedelta(days=i * 0.7)).isoformat()})
        for i in range(90)
    ]  # fmt: skip
    parsed = read_judgements(told)
    pairs.add_judged(bench.store, bench.desks, parsed, campaigns.first(bench.store).id, "t", source="test")
    return bench


def texts(at: AppTest) -> str:
    return "\n".join(e.value for e in (*at.markdown, *at.caption, *at.info, *at.warning))


def behind(at: AppTest) -> Any:
    return next(box for box in at.selectbox if box.label == "Annotations behind a point")


def test_an_empty_campaign_says_so_in_both_views(visit: Visit) -> None:
    at = visit("timeline")
    assert not at.exception
    assert "Trends begin with the first annotation" in at.info[0].value
    at.segmented_control("timeline view").set_value("History").run()
    assert "Nothing has been judged in this campaign yet" in at.info[0].value


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_draws_the_sample_in_every_way(sample: Workbench, visit: Visit, measure: str) -> None:
    at = visit("timeline")
    assert "nothing but simulated judgements" in texts(at)
    at.segmented_control("timeline measure").set_value(measure)
    for split in SPLITS:
        at.selectbox("timeline split").set_value(split).run()
        assert not at.exception
        assert at.get("plotly_chart")


def test_a_point_leads_to_the_annotations_behind_it_and_to_the_pair(weeks: Workbench, visit: Visit) -> None:
    at = visit("timeline")
    box = behind(at)
    found = timeline(listed(weeks.store), "count")
    assert len(box.options) == len(found.starts) == 9
    assert box.options[1] == f"{found.starts[1]} · {found.counts()[0, 1]} annotations"
    box.select_index(1).run()
    shown = at.dataframe[0].value
    assert len(shown) == found.counts()[0, 1]
    days = {stamp.date() for stamp in shown["submitted_at"]}
    assert min(days) >= found.starts[1].astype(object) and max(days) < found.starts[2].astype(object)
    assert shown["submitted_at"].is_monotonic_decreasing
    key = f"timeline figure {Scope(campaigns.first(weeks.store).id, None, 'keep', ())} count [0] {len(found.starts)} (0, 1) 0"
    at.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    at.run()
    assert not at.exception
    assert at.title[0].value == "Pairs" and any(shown["prompt"].iloc[0] in m.value for m in at.markdown)


def test_wins_of_a_model_are_those_of_the_core(weeks: Workbench, visit: Visit) -> None:
    at = visit("timeline")
    at.segmented_control("timeline measure").set_value("wins").run()
    assert at.selectbox("timeline model").options == ["one", "two"]
    at.selectbox("timeline unit").set_value("month").run()
    assert not at.exception and len(behind(at).options) == 3
    at.selectbox("timeline split").set_value("model").run()
    assert not [box for box in at.selectbox if box.label == "Model"]
    assert len(behind(at).options) == 6


def test_what_cannot_be_told_says_why(bench: Workbench, weeks: Workbench, visit: Visit) -> None:
    at = visit("timeline")
    at.segmented_control("timeline measure").set_value("left").run()
    assert "tells which answer stood left" in at.info[0].value
    with bench.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE response SET model = NULL")
    bench.store.revision += 1
    at.segmented_control("timeline measure").set_value("wins").run()
    assert "two different models" in at.info[0].value
    at.segmented_control("timeline measure").set_value("count")
    at.selectbox("timeline split").set_value("model").run()
    assert "models of the answers are not known" in at.info[0].value
    assert not at.exception


def test_lines_can_be_chosen(weeks: Workbench, visit: Visit) -> None:
    at = visit("timeline")
    at.selectbox("timeline split").set_value("annotator").run()
    assert at.multiselect[0].value == [0, 1, 2]
    at.multiselect[0].set_value([2]).run()
    assert not at.exception and len(behind(at).options) <= 10
    at.multiselect[0].set_value([]).run()
    assert not at.exception and not at.get("plotly_chart")


def test_the_history_is_found_by_word_annotator_verdict_and_day(weeks: Workbench, visit: Visit) -> None:
    at = visit("timeline")
    at.segmented_control("timeline view").set_value("History").run()
    assert len(at.dataframe[0].value) == 50 and "1 to 50 of 90" in texts(at)
    at.text_input("history search").set_value("because 7").run()
    assert "1 to 11 of 11" in texts(at)
    at.text_input("history search").set_value("")
    at.selectbox("history verdict").set_value("tie").run()
    assert set(at.dataframe[0].value["choice"]) == {"Tie"}
    at.selectbox("history annotator").select("w1").run()
    assert set(at.dataframe[0].value["annotator"]) == {"w1"}
    at.date_input("history days").set_value((date(2026, 3, 2), date(2026, 3, 9))).run()
    assert at.dataframe[0].value["submitted_at"].max() < datetime(2026, 3, 10, tzinfo=UTC)
    at.text_input("history search").set_value("no such word").run()
    assert "No annotation matches" in at.info[0].value and not at.exception


def test_an_annotator_does_not_see_it(sign_in: Any, visit: Visit) -> None:
    sign_in("annotator")
    with pytest.raises(ValueError, match="timeline"):
        visit("timeline", name="")
