"""Campaigns: the list, making and changing one, bad rules, pairs from elsewhere, simulated annotators."""

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.simulation import SimulatedAnnotator
from storage import audits, campaigns
from storage.tables import CampaignRow
from storage.workbench import Workbench

Visit = Callable[..., AppTest]


def press(app: AppTest, label: str) -> AppTest:
    app = next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def test_the_list_shows_progress_and_says_what_is_not_known(visit: Visit, sample: Workbench) -> None:
    app = visit("campaigns")
    assert "Sample project" in [text.value for text in app.main.text]
    assert any("The work left cannot be estimated" in caption.value for caption in app.caption)


def test_a_new_campaign_is_made_chosen_and_audited(visit: Visit, sample: Workbench) -> None:
    app = press(visit("campaigns"), "New campaign")
    app.text_input(key="campaign::name").set_value("  Second  ")
    app.number_input(key="campaign::k").set_value(2)
    app.toggle(key="campaign::ties").set_value(False)
    app.number_input(key="campaign::gold_share").set_value(10)
    app.text_area(key="campaign::guidelines").set_value("Prefer the **right** answer.").run()
    assert "Prefer the **right** answer." in [text.value for text in app.markdown]
    press(app, "Create campaign")
    made = campaigns.listed(sample.store)[1]
    assert (made.name, made.k, made.ties, made.gold_share) == ("Second", 2, False, 0.1)
    assert made.guidelines == "Prefer the **right** answer."
    assert app.sidebar.selectbox(key="campaign").value == made.id
    assert sample.store.rows(
        "SELECT count(*) FROM audit WHERE action = 'create' AND record_id = ?", made.id
    ) == [(1,)]


def test_bad_rules_are_refused_and_what_was_typed_stays(visit: Visit, sample: Workbench) -> None:
    app = press(visit("campaigns"), "New campaign")
    app.number_input(key="campaign::k").set_value(7)
    press(app, "Create campaign")
    assert app.error[0].value == "name: give the campaign a name"
    app.text_input(key="campaign::name").set_value("Sample project")
    press(app, "Create campaign")
    assert "there is a campaign named 'Sample project' already" in app.error[0].value
    app.text_input(key="campaign::name").set_value("Third")
    app.number_input(key="campaign::gold_share").set_value(40)
    app.number_input(key="campaign::repeat_share").set_value(40)
    press(app, "Create campaign")
    assert "at most half of the work" in app.error[0].value
    assert app.number_input(key="campaign::k").value == 7
    assert app.text_input(key="campaign::name").value == "Third"
    assert len(campaigns.listed(sample.store, archived=True)) == 1


def test_changed_rules_reach_the_desk_and_the_audit(visit: Visit, sample: Workbench) -> None:
    row = campaigns.first(sample.store)
    app = press(visit("campaigns"), "Edit")
    app.number_input(key=f"campaign:{row.id}:k").set_value(5)
    press(app, "Save")
    assert campaigns.get(sample.store, row.id).k == 5
    changes = (
        "SELECT CAST(detail AS TEXT) FROM audit WHERE action = 'update' ORDER BY occurred_at DESC LIMIT 1"
    )
    assert sample.store.rows(changes) == [('{"k": [4, 5]}',)]
    assert campaigns.progress(sample.store, campaigns.get(sample.store, row.id)).wanted == 360


def test_an_archived_campaign_leaves_the_choice_and_can_come_back(visit: Visit, sample: Workbench) -> None:
    second = campaigns.create(sample.store, CampaignRow(id="", name="Second", archived=True), "test")
    app = visit("campaigns")
    assert "Second" not in [text.value for text in app.main.text]
    app.toggle[0].set_value(True).run()
    assert "Second" in [text.value for text in app.main.text]
    app.button(key=f"edit {second.id}").click().run()
    app.toggle(key=f"campaign:{second.id}:archived").set_value(False)
    press(app, "Save")
    assert [c.name for c in campaigns.listed(sample.store)] == ["Sample project", "Second"]


def test_pairs_come_from_another_campaign_and_a_panel_judges_them(visit: Visit, sample: Workbench) -> None:
    second = campaigns.create(sample.store, CampaignRow(id="", name="Second", k=2, ties=False), "test")
    app = visit("campaigns")
    app.button(key=f"edit {second.id}").click().run()
    app.segmented_control[0].set_value("Pairs").run()
    press(app, "Add to this campaign")
    assert app.success[0].value == "72 pairs added."
    press(app, "Add to this campaign")
    assert app.success[0].value.startswith("Nothing new")
    app.segmented_control[0].set_value("Simulated annotators").run()
    assert "drawn from a model" in app.warning[0].value
    assert app.data_editor(key="panel").editing_mode == "dynamic"
    app.session_state["panel"] = {
        "edited_rows": {0: {"name": "Judge", "accuracy": 99.9, "position_bias": 1.5}},
        "added_rows": [],
        "deleted_rows": [3, 4, 5],
    }
    app.run()
    press(app, "Let them annotate 72 pairs")
    assert campaigns.progress(sample.store, second).done == 72
    rows = sample.store.rows(
        "SELECT DISTINCT source, verdict FROM annotation WHERE campaign_id = ?", second.id
    )
    assert rows == [("simulated", "prefer")]
    [entry] = audits.page(sample.store, audits.Filter(action="simulate", campaign_id=second.id))[0]
    judge, *others = json.loads(entry["detail"])["panel"]
    assert (judge["name"], judge["position_bias"], judge["tie_rate"]) == (
        "Simulated · Judge",
        1.5,
        0,
    ) and len(others) == 2
    assert SimulatedAnnotator(**judge).accuracy == pytest.approx(0.999)
    assert "only pairs that nobody has judged" in app.info[0].value
