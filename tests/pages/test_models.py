"""The Models page: versions and what leads do with them, the evolution, two versions on pairs neither has seen, lineage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.comparing import compare
from core.estimate import Estimate
from core.evolution_figures import difference_figure, evolution_figure, learning_figure
from core.held_out import windows
from pages import _held_out, _model_compare
from storage import campaigns, models
from storage.tables import CampaignRow
from storage.workbench import Workbench
from tests.pages.conftest import Filled
from tests.pages.registered import judged, version

PAGES = Path(__file__).resolve().parents[2] / "pages"
VIEWS = ("Versions", "Evolution", "Compare", "In production", "Lineage", "History")


def opened(view: str = "Versions", **state: Any) -> AppTest:
    at = AppTest.from_file(str(PAGES / "_shell.py"), default_timeout=300)
    at.session_state["name"] = "Ada"
    at.session_state["models view"] = view
    for key, value in state.items():
        at.session_state[key] = value
    return at.switch_page("models.py").run()


def shown(at: AppTest) -> str:
    found = [*at.markdown, *at.caption, *at.info, *at.warning]
    return "\n".join(element.value for element in found)


def press(at: AppTest, key: str) -> AppTest:
    """Click a button and go on to what it leads to."""
    at.button(key=key).click().run()
    assert not at.exception
    return at


def two_versions(bench: Workbench) -> None:
    judged(bench, 400)
    version(bench, skill=0.3)
    judged(bench, 200, start=400)
    version(bench, skill=2.0, noise=1)


@pytest.fixture(scope="module")
def project(filled: Filled) -> Path:
    return filled(two_versions)


@pytest.fixture
def two(project: Path, bench: Workbench) -> Workbench:
    """Two versions, the second of them better, that learnt from 400 and 600 pairs."""
    return bench


def ids(bench: Workbench) -> list[str]:
    """Oldest first."""
    return [model.id for model in reversed(models.listed(bench.store, archived=True))]


@pytest.mark.parametrize("view", VIEWS)
def test_without_a_model_it_says_to_train_one(bench: Workbench, view: str) -> None:
    at = opened(view)
    assert not at.exception
    assert "There is no model yet. Every training makes" in at.info[0].value


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws(two: Workbench, view: str) -> None:
    at = opened(view)
    assert not at.exception and not at.error


@pytest.mark.parametrize("view", VIEWS)
def test_a_campaign_narrows_every_view(bench: Workbench, view: str) -> None:
    judged(bench, 100)
    here = campaigns.first(bench.store)
    made = [
        version(bench, noise=n, campaign_id=campaign_id)
        for n, campaign_id in enumerate((None, here.id, here.id))
    ]
    for one in (made[1], made[2], made[0]):
        models.deploy(bench.store, one.id, "ann")
    at = opened(view)

    def told() -> str:
        cells = [frame.value.to_csv() for frame in at.dataframe]
        options = [o for box in at.selectbox for o in box.options]
        drawn = [chart.proto.spec for chart in at.get("plotly_chart")]
        return "\n".join([shown(at), *cells, *options, *drawn]).replace("\\", "")

    assert "1.0.0" in told() and "1.1.0" in told()
    at.toggle(key="only this campaign").set_value(True).run()
    assert not at.exception
    assert "1.0.0" not in told() and "1.1.0" in told() and "1.2.0" in told()
    assert "so the scoring API does not use it" not in told()
    other = campaigns.create(bench.store, CampaignRow(id="", name="Other"), "test")
    at.run()
    at.selectbox(key="campaign").set_value(other.id).run()
    assert "No version has learnt from this campaign alone." in shown(at)


def test_a_version_shows_its_status_its_figures_and_what_it_learnt_from(two: Workbench) -> None:
    models.set_alias(two.store, ids(two)[0], "champion *one*", "ann")
    at = opened()
    said = shown(at)
    assert "**1\\.1\\.0** :blue-badge" in said and "400 pairs, 800 annotations" in said
    assert r"champion \*one\*" in said
    assert [m.value for m in at.metric if m.label == "Accuracy"] == ["0.800", "0.800"]
    assert "No version of votes is deployed" in said and "POST /api/score" in said


def test_a_lead_deploys_rolls_back_archives_and_restores_after_a_confirmation(two: Workbench) -> None:
    first, second = ids(two)
    at = press(opened(), f"Deploy {first}")
    assert models.deployed(two.store) is None
    press(at, "models cancel")
    assert models.deployed(two.store) is None and "models ask" not in at.session_state
    press(press(at, f"Deploy {first}"), "models confirm")
    press(at, f"Deploy {second}")
    assert "Version 1\\.0\\.0, deployed now, becomes deprecated" in shown(at)
    press(at, "models confirm")
    assert models.deployed(two.store).id == second  # type: ignore[union-attr]
    press(press(at, f"Roll back {second}"), "models confirm")
    assert models.deployed(two.store).id == first  # type: ignore[union-attr]
    press(press(at, f"Archive {second}"), "models confirm")
    assert models.get(two.store, second).status == "archived"
    at.toggle(key="archived votes").set_value(True).run()
    press(press(at, f"Restore {second}"), "models confirm")
    assert models.get(two.store, second).status == "testing"
    done = [
        action
        for (action,) in two.store.rows(
            "SELECT action FROM audit WHERE record_type = 'model' ORDER BY occurred_at"
        )
    ]
    assert done[-5:] == ["deploy", "deploy", "roll back", "archive", "restore"]


def test_what_cannot_be_done_is_said_and_changes_nothing(two: Workbench) -> None:
    first, _ = ids(two)
    models.deploy(two.store, first, "ann")
    at = press(opened(), f"Roll back {first}")
    press(at, "models confirm")
    assert "was deployed before" in at.error[0].value
    assert models.deployed(two.store).id == first  # type: ignore[union-attr]


def test_aliases_are_put_on_and_taken_off(two: Workbench) -> None:
    first, second = ids(two)
    at = opened()
    for model_id in (first, second):
        at.text_input(key=f"alias {model_id}").set_value("champion")
        press(at, f"add alias {model_id}")
    assert models.get(two.store, first).aliases == () and models.get(two.store, second).aliases == (
        "champion",
    )
    press(at, f"drop champion {second}")
    assert models.get(two.store, second).aliases == ()
    press(at, f"add alias {first}")
    assert "alias: give a name" in at.error[0].value


def test_a_version_whose_files_are_damaged_is_not_deployed(two: Workbench) -> None:
    first = models.get(two.store, ids(two)[0])
    (two.settings.data_dir / first.path / "model.safetensors").write_bytes(b"damaged")
    at = opened("Versions")
    at.session_state["models ask"] = ("Deploy", first.id)
    at.run()
    press(at, "models confirm")
    said = at.error[0].value.replace("\\", "")
    assert f"{first.name} {first.version}/model.safetensors is not the file that was saved" in said
    assert str(two.settings.data_dir) not in said and models.deployed(two.store) is None


def test_a_version_whose_files_are_damaged_is_not_rolled_back_to(two: Workbench) -> None:
    first, second = (models.get(two.store, key) for key in ids(two))
    for model in (first, second):
        models.deploy(two.store, model.id, "ann")
    damaged = two.settings.data_dir / first.path / "model.safetensors"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"damaged")
    at = press(press(opened(), f"Roll back {second.id}"), "models confirm")
    said = at.error[0].value.replace("\\", "")
    assert "votes 1.1.0 stays deployed" in said and "votes 1.0.0/model.safetensors is not the file" in said
    assert models.deployed(two.store).id == second.id  # type: ignore[union-attr]
    damaged.write_bytes(whole)
    press(at, "models confirm")
    assert models.deployed(two.store).id == first.id  # type: ignore[union-attr]


def test_a_researcher_looks_and_changes_nothing(two: Workbench, sign_in: Any) -> None:
    sign_in("researcher")
    at = AppTest.from_file(str(PAGES / "models.py"), default_timeout=300)
    at.session_state["models ask"] = ("Deploy", ids(two)[0])
    at.run()
    assert not at.exception and not at.button
    assert models.deployed(two.store) is None


def test_an_annotator_sees_nothing(two: Workbench, sign_in: Any) -> None:
    sign_in("annotator")
    at = AppTest.from_file(str(PAGES / "models.py"), default_timeout=300).run()
    assert "This page is for the role researcher" in at.warning[0].value and not at.metric


def test_the_comparison_is_that_of_the_core_on_pairs_neither_has_seen(two: Workbench) -> None:
    first, second = ids(two)
    held = _held_out.match(two.store, first, second)
    seen = models.seen_prompts(two.store, first) | models.seen_prompts(two.store, second)
    assert len(held.first) > 0 and not set(held.first.group) & seen
    assert list(held.first.pair_id) == list(held.second.pair_id)
    whole = compare(held.first.as_stored(), held.second.as_stored())
    at = opened("Compare")
    tiles = {metric.label: metric for metric in at.metric}
    assert tiles["Accuracy, change"].value == f"{whole.accuracy.value:+.3f}"
    assert tiles["Flips"].delta == f"{len(whole.gained)} gained, {len(whole.lost)} lost"
    assert f"n {len(held.first)} pairs" in tiles["McNemar, exact"].delta
    assert "1.1.0 is better than 1.0.0" in shown(at)
    flips = at.dataframe[0].value
    assert len(flips) == len(whole.gained)
    wrong = (flips["first"] - 0.5) * (flips["votes"] - 0.5)
    right = (flips["second"] - 0.5) * (flips["votes"] - 0.5)
    assert (wrong < 0).all() and (right > 0).all()
    assert set(at.dataframe[1].value["Category"]) == {"math", "coding"}


def test_a_prompt_that_one_of_the_two_learnt_from_is_left_out(bench: Workbench) -> None:
    """The second version is split by another seed, so that half of its test pairs taught the first one."""
    judged(bench, 400)
    first, second = version(bench, seed=0), version(bench, seed=1)
    held = _held_out.match(bench.store, first.id, second.id)
    tested = [
        set(models.predictions(bench.store, m.id, ("test",))["group"].to_pylist()) for m in (first, second)
    ]
    assert set(held.first.group) == tested[0] & tested[1]


def test_what_a_parent_learnt_from_counts_as_seen(bench: Workbench) -> None:
    judged(bench, 300)
    parent = version(bench, seed=1)
    child, other = version(bench, parent_id=parent.id), version(bench)
    held = _held_out.match(bench.store, child.id, other.id)
    assert held.both > len(held.first) > 0
    assert not set(held.first.group) & models.seen_prompts(bench.store, parent.id)


def test_versions_without_a_common_unseen_pair_say_what_to_do(bench: Workbench) -> None:
    judged(bench, 100)
    version(bench)
    version(bench, parts=("train",))
    at = opened("Compare")
    assert not at.exception
    assert "There is no pair with votes that neither version has seen" in at.warning[0].value
    assert "probe both versions" in at.warning[0].value


def test_a_single_version_cannot_be_compared(bench: Workbench) -> None:
    judged(bench, 100)
    version(bench)
    assert "Train another to compare" in opened("Compare").info[0].value


def test_a_flip_opens_as_the_pair_with_its_votes(two: Workbench) -> None:
    first, second = ids(two)
    key = f"compare {first} {second} gained"
    at = opened("Compare", **{key: {"selection": {"rows": [0], "columns": [], "cells": []}}})
    assert not at.exception
    held = _held_out.match(two.store, first, second)
    table = _model_compare.flipped(held, held.whole, "gained")  # type: ignore[arg-type]
    card = two.desks.cards.get(table["pair_id"].iloc[0])
    assert card is not None
    said = shown(at)
    assert card.a.text in said and card.b.text in said and "Votes: " in said


def test_the_evolution_says_when_test_sets_differ_and_what_each_batch_gave(two: Workbench) -> None:
    at = opened("Evolution")
    assert "These test sets differ" in shown(at)
    table = at.dataframe[0].value
    assert list(table["Step"]) == ["1.0.0 → 1.1.0"] and list(table["Labels added"]) == [400]
    held = _held_out.match(two.store, *ids(two))
    assert held.whole is not None
    assert table["Accuracy"][0].startswith(f"{held.whole.accuracy.value:+.3f}")
    for along in ("Time", "Labels"):
        assert not opened("Evolution", **{"models along": along}).exception


def test_versions_tested_on_the_same_pairs_are_said_to_be(bench: Workbench) -> None:
    judged(bench, 100)
    version(bench)
    version(bench, skill=2.0)
    assert "the same pairs for every version" in shown(opened("Evolution"))


def test_a_learning_curve_is_drawn_where_the_training_made_one(bench: Workbench) -> None:
    judged(bench, 100)
    estimate = {"value": 0.7, "low": 0.6, "high": 0.8, "n": 50, "target": None, "reason": None}
    points = [{"labels": n, "accuracy": estimate, "log_loss": estimate, "gain": estimate} for n in (50, 100)]
    version(bench, figures={"accuracy": estimate, "learning_curve": points})
    at = opened("Evolution")
    assert not at.exception
    assert "Learning curve of 1.0.0" in [heading.value for heading in at.subheader]
    assert "The job did not measure it" in {m.help for m in opened().metric}.__str__()


def test_lineage_goes_down_to_the_annotations(two: Workbench) -> None:
    at = opened("Lineage")
    tiles = {metric.label: metric.value for metric in at.metric}
    assert tiles == {"Pairs": "600", "Annotations": "1,200"}
    rows, _ = models.annotations(two.store, ids(two)[1])
    assert list(at.dataframe[0].value["id"]) == [row["id"] for row in rows]
    assert set(at.dataframe[0].value["state"]) == {"stands"}
    assert "the share of the votes" in shown(at) and "simulated annotators are left out" in shown(at)


def test_a_version_that_learnt_from_simulated_annotators_says_so(two: Workbench) -> None:
    assert "Simulated annotators" not in shown(opened())
    version(two, lineage={"pairs": 9, "policy": {"simulated": True}})
    assert shown(opened()).count(":violet-badge[:material/smart_toy: Simulated annotators]") == 1


def test_the_history_has_every_change(two: Workbench) -> None:
    first, _ = ids(two)
    models.deploy(two.store, first, "ann")
    models.set_alias(two.store, first, "champion", "ann")
    changes = list(opened("History").dataframe[0].value["Change"])
    assert changes == [
        "alias champion added",
        "deployed",
        "registered, in testing",
        "registered, in testing",
    ]


def test_figures_hold_their_numbers_and_leave_colours_to_the_theme() -> None:
    some = [Estimate(0.7, 0.6, 0.8, 40), Estimate.unavailable("none"), Estimate(0.75, None, None, 5)]
    for x in (["1.0.0", "1.1.0", "1.2.0"], [100, 200, 300]):
        figure = evolution_figure(x, some, ["1.0.0", "1.1.0", "1.2.0"], "1.1.0", "Accuracy", "Version")
        assert list(figure.data[0].y) == [0.7, None, 0.75]
        assert list(figure.data[0].marker.symbol) == ["circle-open", "circle", "circle-open"]
        assert figure.layout.font.color is None and figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert list(learning_figure([(10, some[0])], "Accuracy").data[0].x) == [10]
    rows = difference_figure(dict(zip("abc", some, strict=True)))
    assert list(rows.data[0].y) == ["a", "c"]


def test_windows_are_the_finest_calendar_units_that_fit() -> None:
    start = np.datetime64("2026-01-05")
    for days, weekday in ((10, None), (100, 0), (500, None)):
        at = np.append(start + np.arange(days), np.datetime64("NaT")).astype("datetime64[us]")
        starts, code = windows(at)
        assert 0 < len(starts) <= 20 and code[-1] == -1 and code[0] == 0
        assert (at[:-1] >= starts[code[:-1]]).all() and (np.diff(code[:-1]) >= 0).all()
        if weekday is not None:
            assert {day.astype(object).weekday() for day in starts} == {weekday}
    assert len(windows(np.array(["NaT"], dtype="datetime64[us]"))[0]) == 0


def test_a_comparison_downloads_as_numbers(two: Workbench) -> None:
    first, second = (models.get(two.store, key) for key in ids(two))
    held = _held_out.match(two.store, first.id, second.id)
    assert held.whole is not None
    told = json.loads(_model_compare.told(first, second, held.whole))
    assert told["accuracy"]["value"] == held.whole.accuracy.value and told["mcnemar_p"] == held.whole.p_value
