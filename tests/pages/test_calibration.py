"""The Calibration page: its figures are those of the core on pairs the model has not seen; bins lead to pairs; empty states."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from core.calibration import NAMES, report, risk_coverage
from core.calibrators import choose, fit
from core.estimate import Estimate
from core.rewards.base import VotePredictor
from core.rewards.report import described
from jobs import ingest, reports
from pages import _held_out
from pages._held_out import Ground
from storage import campaigns, learning, models
from storage.tables import CampaignRow, ModelRow, ProbeRow
from storage.workbench import Workbench
from tests.jobs.training import Idle
from tests.pages.conftest import Filled
from tests.pages.registered import judged, version
from tests.reported import Read

PAGES = Path(__file__).resolve().parents[2] / "pages"
VIEWS = ("Reliability", "Figures", "Confidence and risk", "By category", "Over time")


def opened(view: str = "Reliability", name: str = "Ada", **state: Any) -> AppTest:
    at = AppTest.from_file(str(PAGES / "_shell.py"), default_timeout=300)
    at.session_state["name"] = name
    at.session_state["calibration view"] = view
    for key, value in state.items():
        at.session_state[key] = value
    return at.switch_page("calibration.py").run()


def shown(at: AppTest) -> str:
    found = [*at.markdown, *at.caption, *at.info, *at.warning]
    return "\n".join(element.value for element in found)


def too_sure(bench: Workbench) -> None:
    judged(bench)
    version(bench, scale=3.0)


@pytest.fixture(scope="module")
def project(filled: Filled) -> Path:
    return filled(too_sure)


@pytest.fixture
def loud(project: Path, bench: Workbench) -> Workbench:
    """A version that is three times too sure of itself, and 600 judged pairs."""
    return bench


def test_without_a_model_it_says_to_train_one(bench: Workbench) -> None:
    at = opened()
    assert not at.exception
    assert "There is no model yet" in at.info[0].value


def test_a_version_without_held_out_votes_says_what_to_do(bench: Workbench) -> None:
    judged(bench, 80)
    version(bench, parts=("train",))
    at = opened()
    assert not at.exception
    assert (
        "has predicted no pair that it had not seen" in at.info[0].value and "100 or more" in at.info[0].value
    )


def test_few_held_out_pairs_are_counted_and_how_many_are_missing(bench: Workbench) -> None:
    judged(bench, 200)
    version(bench)
    at = opened()
    n = len(_held_out.held_out(bench.store, models.listed(bench.store)[0].id))
    assert 0 < n < 100
    assert f"Only {n} held-out pairs have votes; {100 - n} more" in at.warning[0].value


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws(loud: Workbench, view: str) -> None:
    at = opened(view)
    assert not at.exception and not at.error
    assert view == "Figures" or at.get("plotly_chart")
    assert any("Calibrator: none" in text.value for text in at.markdown)


def test_pairs_are_turned_by_the_score_and_never_by_the_votes(loud: Workbench) -> None:
    """Turning every stored pair around changes nothing that the page tells."""
    model = models.listed(loud.store)[0]
    table = models.predictions(loud.store, model.id)
    turned = pa.table(
        {
            **{name: table[name] for name in table.column_names},
            "raw": pa.array(-table["raw"].to_numpy()),
            "probability": pa.array(1 - table["probability"].to_numpy()),
            "now": pa.array(1 - table["now"].to_numpy()),
        }
    )
    one, other = _held_out.HeldOut.of(table), _held_out.HeldOut.of(turned)
    said, again = one.towards(one.p), other.towards(other.p)
    assert said.p == pytest.approx(again.p) and said.y == pytest.approx(again.y)
    assert said.p.min() >= 0.5 and set(said.y) == {0.0, 0.5, 1.0}


def test_the_figures_are_those_of_the_core_on_the_test_split(loud: Workbench) -> None:
    table = opened("Figures").dataframe[0].value.set_index("Figure")
    model = models.listed(loud.store)[0]
    said = models.predictions(loud.store, model.id, ("test",))
    raw, y = said["raw"].to_numpy(), said["now"].to_numpy()
    p = 1 / (1 + np.exp(-np.abs(raw)))
    expected = report(
        _held_out.Predictions.of(p, np.where(raw < 0, 1 - y, y), None, said["group"].to_pylist()), 20
    )
    for key, label in NAMES.items():
        value = expected.figures[key]
        assert (
            table.loc[label, "Uncalibrated (kept)"]
            == f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
        )
        assert table.loc[label, "n"] == len(y)
    assert table.loc["p of Spiegelhalter’s Z", "Uncalibrated (kept)"] == "p < 0.01"


def test_a_loud_model_is_found_out_and_a_temperature_would_mend_it(loud: Workbench) -> None:
    at = opened()
    assert any("Not calibrated" in text.value for text in at.markdown)
    tiles = {metric.label: metric for metric in at.metric}
    assert float(tiles["ECE"].value) > 2 * float(tiles["ECE if calibrated"].value)
    compared = opened("Figures").dataframe[1].value.set_index("Calibrator")["Log loss"]
    loss = {name: float(text.split()[0]) for name, text in compared.items()}
    assert set(loss) == {"Uncalibrated (kept)", "Temperature", "Isotonic"}
    assert loss["Temperature"] < loss["Uncalibrated (kept)"] - 0.05


def test_the_other_calibrators_are_fitted_to_the_calibration_split_alone(loud: Workbench) -> None:
    model = models.listed(loud.store)[0]
    found = _held_out.calibrated(loud.store, Ground(model.id))
    part = models.predictions(loud.store, model.id, ("calibration",))
    p = 1 / (1 + np.exp(-part["raw"].to_numpy()))
    expected = fit("temperature", p, part["now"].to_numpy(), symmetric=True)(found.pairs.uncalibrated)
    assert found.lines["Temperature"] == pytest.approx(expected)
    assert not set(found.pairs.pair_id) & set(part["pair_id"].to_pylist())


def test_a_click_on_a_bin_chooses_it() -> None:
    def script() -> None:
        from types import SimpleNamespace

        import streamlit as st

        from pages._reliability import pick

        points = [{"customdata": ["sure", 7, 1]}, {"customdata": ["sure", 1, 20]}, {}]
        st.session_state["chart"] = SimpleNamespace(selection=SimpleNamespace(points=points))
        pick("chart", {("sure", 0): "0.50 to 0.55", ("sure", 1): "0.55 to 0.60"})

    assert AppTest.from_function(script).run().session_state["chart bin"] == ("sure", 1)


def test_a_bin_lists_its_pairs_by_the_select_box(loud: Workbench) -> None:
    at = opened()
    box = next(box for box in at.selectbox if box.label == "Pairs of a bin")
    found = _held_out.calibrated(loud.store, Ground(models.listed(loud.store)[0].id))
    drawn = report(found.predictions(found.kept), 20).reliability
    assert drawn is not None and len(box.options) == len(drawn.rows)
    last = len(drawn.rows) - 1
    assert f"{len(drawn.rows[last]):,} pairs" in box.options[last]
    box.select_index(last).run()
    assert not at.exception
    table = at.dataframe[0].value
    assert len(table) == len(drawn.rows[last])
    gap = (table["predicted"] - table["votes"]).abs()
    assert gap.is_monotonic_decreasing and table["predicted"].min() >= drawn.low[last]
    assert set(table["side"]) == {"A", "B"}


def test_a_probe_can_be_looked_at_alone(loud: Workbench) -> None:
    model = models.listed(loud.store)[0]
    judged(loud, 40, start=600)
    fresh = [row["pair_id"] for row in unseen(loud, model.id)]
    said = pa.table({"pair_id": fresh, "raw": [1.0] * 40, "probability": [0.7] * 40, "target": [1.0] * 40})
    probe = models.add_probe(loud.store, ProbeRow(id="probe_1", model_id=model.id, actor="ann"), said)
    whole, test = (len(_held_out.held_out(loud.store, model.id, which)) for which in ("all", "test"))
    assert len(_held_out.held_out(loud.store, model.id, probe.id)) == 40 == whole - test
    at = opened(**{f"calibration pairs {model.id}": probe.id})
    assert "Only 40 held-out pairs" in at.warning[0].value


def unseen(bench: Workbench, model_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = learning.freeze(bench.store, unseen_by=model_id).table.to_pylist()
    known = set(models.predictions(bench.store, model_id)["pair_id"].to_pylist())
    return [row for row in rows if row["pair_id"] not in known]


def test_what_a_model_was_calibrated_on_anew_counts_out_of_fold(bench: Workbench) -> None:
    judged(bench, 300)
    first = version(bench)
    anew = version(bench, parts=("calibration",), parent_id=first.id)
    n = models.predictions(bench.store, anew.id, ("calibration",)).num_rows
    assert len(_held_out.held_out(bench.store, anew.id)) == n > 0
    at = opened(**{f"calibration version {first.name}": anew.id})
    assert not at.exception


def test_votes_that_were_undone_leave_the_figures(loud: Workbench) -> None:
    model = models.listed(loud.store)[0]
    before = len(_held_out.held_out(loud.store, model.id))
    table = models.predictions(loud.store, model.id)
    none = table.set_column(table.column_names.index("now"), "now", pa.nulls(len(table), pa.float64()))
    assert before == len(table) and len(_held_out.HeldOut.of(none)) == 0


def test_categories_and_weeks_have_their_own_figures(loud: Workbench) -> None:
    table = opened("By category").dataframe[0].value
    assert set(table["Category"]) == {"math", "coding"}
    weeks = opened("Over time").dataframe[0].value
    assert len(weeks) <= 6 and all(
        np.datetime64(day).astype(object).weekday() == 0 for day in weeks["Window"]
    )


BOTH = ["Uncalibrated (kept)", "Temperature"]


def text(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def test_the_chosen_calibrators_are_on_every_view_with_the_figures_of_the_core(loud: Workbench) -> None:
    model = models.listed(loud.store)[0]
    at = opened("By category", **{f"calibration lines {model.id}": BOTH})
    found = _held_out.calibrated(loud.store, Ground(model.id))
    table = at.dataframe[0].value.set_index(["Category", "Calibrator"])
    assert list(table.index) == [(kind, name) for kind in ("coding", "math") for name in BOTH]
    for kind, name in table.index:
        said = found.predictions(name).take(found.pairs.category == kind)
        expected = report(said, _held_out.BINS, _held_out.DRAWS)
        row = table.loc[(kind, name)]
        assert expected.reliability is not None
        assert row["Log loss"] == text(expected.figures["log_loss"]) and row["Pairs"] == len(said)
        assert row["95% limit"] == f"{expected.reliability.null.p95:.3f}"

    def view(name: str) -> dict[str, Any]:
        at.button_group(key="calibration view").set_value(name).run()
        assert not at.exception and at.button_group(key=f"calibration lines {model.id}").value == BOTH
        return {one.proto.id: json.loads(one.proto.spec) for one in at.get("plotly_chart")}

    assert next(iter(view("Over time").values()))["layout"]["scattermode"] == "group"
    assert set(at.dataframe[0].value["Calibrator"]) == set(BOTH)
    sure, risk = view("Confidence and risk").values()
    assert [one["text"].split("<br>")[0] for one in sure["layout"]["annotations"]] == [
        f"<b>{name}</b>" for name in BOTH
    ]
    for line, name in zip(risk["data"][1::2], BOTH, strict=True):
        curve = risk_coverage(found.predictions(name))
        assert line["name"] == name and line["y"] == pytest.approx([e.value for e in curve.risk])
    view("Figures")
    assert list(at.dataframe[0].value.columns) == ["Figure", *BOTH, "n", "Meaning"]
    at.button_group(key=f"calibration lines {model.id}").set_value([]).run()
    assert "Choose a calibrator to draw" in at.info[0].value and not at.dataframe


def test_the_page_and_its_report_are_narrowed_to_the_campaign_of_the_sidebar(bench: Workbench) -> None:
    judged(bench, 200)
    other, empty = (
        campaigns.create(bench.store, CampaignRow(id="", name=name), "test") for name in ("Second", "Third")
    )
    judged(bench, 200, 200, other.id)
    model = version(bench)
    table = models.predictions(bench.store, model.id, ("test",))
    there = [row for row in table.to_pylist() if row["campaign_id"] == other.id]
    assert 0 < len(there) < len(table)
    at = opened("Figures", campaign=other.id, **{"only this campaign": True})
    assert f"Only {len(there)} held-out pairs of this campaign" in at.warning[0].value
    figures = at.dataframe[0].value.set_index("Figure")
    p = np.array([row["probability"] for row in there])
    y = np.array([row["now"] for row in there])
    loss = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert figures.loc["Log loss", "n"] == len(there)
    assert figures.loc["Log loss", "Uncalibrated (kept)"].startswith(f"{loss:.3f} ")
    page = Read(reports.of_model(bench, *Ground(model.id, "all", other.id)))
    assert "last annotated in the campaign Second" in page.text
    assert page.row("Log loss")[3] == str(len(there))
    at.session_state["campaign"] = empty.id
    at.run()
    assert not at.exception and not at.dataframe
    assert (
        f"None of the {len(table)} pairs" in at.info[0].value
        and "Turn off “Only this campaign”" in at.info[0].value
    )
    at.toggle(key="only this campaign").set_value(False).run()
    assert at.dataframe[0].value.set_index("Figure").loc["Log loss", "n"] == len(table)


def calibrate_button(at: AppTest) -> Any:
    assert not at.exception
    return next((one for one in at.button if one.label == "Calibrate"), None)


def carried_out(bench: Workbench) -> None:
    """What the calibration that waits would leave, of a model whose scores are known."""
    [(job, _)] = ingest.listed(bench)
    run = ingest.run_of(bench, job)
    learnt = pq.read_table(run.inputs / "preferences.parquet")
    y = learnt["target"].to_numpy()
    raw = np.random.default_rng(1).normal(3 * np.sign(y - 0.5), 6.0)
    choice = choose(1 / (1 + np.exp(-raw)), y, learnt["group"].to_pylist())
    assert choice.name == "temperature"
    said = {
        "pair_id": learnt["pair_id"],
        "split": ["calibration"] * len(y),
        "raw": raw,
        "probability": choice.out_of_fold,
        "target": y,
    }
    pq.write_table(pa.table(said), run.artifacts / "predictions.parquet")
    VotePredictor(Idle(), choice.calibrator).save(run.artifacts / "model")
    run.end("done", None, described(choice))
    ingest.take_in(bench)


def test_a_lead_calibrates_a_version_anew_and_looks_at_what_came_of_it(loud: Workbench) -> None:
    loud.settings.job_slots = 0
    first, here = models.listed(loud.store)[0], campaigns.first(loud.store).id
    with loud.store.writing() as session:
        session.get_one(ModelRow, first.id).campaign_id = here
    at = opened()
    assert calibrate_button(at) is None
    at.session_state["calibrate open"] = True
    at.run()
    assert calibrate_button(at).disabled and "25 are needed; annotate 25 more, of new prompts." in shown(at)
    judged(loud, 150, start=600)
    at.run()
    assert "**150** labelled pairs are of prompts that votes 1.0.0 has not learnt from" in shown(at).replace(
        "\\", ""
    )
    calibrate_button(at).click().run()
    assert calibrate_button(at) is None, "the pop-up closes"
    [(job, _)] = ingest.listed(loud)
    assert (job.kind, job.label) == ("calibrate", "votes 1.0.0 · 150 pairs")
    assert "queued]" in shown(at)
    at.session_state["calibrate open"] = True
    assert calibrate_button(at.run()).disabled
    carried_out(loud)
    at.run()
    anew, _ = models.listed(loud.store)
    assert (anew.version, anew.parent_id, anew.campaign_id) == ("1.1.0", first.id, here)
    assert "It is **votes 1.1.0** now, with temperature calibration, in testing." in shown(at).replace(
        "\\", ""
    )
    next(one for one in at.button if one.label == "Look at it").click().run()
    assert at.selectbox(key="calibration version votes").value == anew.id
    assert "Calibrator: temperature" in shown(at) and "**Temperature (kept)** · 150 pairs" in shown(at)


def test_a_calibration_that_cannot_be_started_says_why(loud: Workbench) -> None:
    judged(loud, 40, start=600)
    model = models.listed(loud.store)[0]
    (loud.settings.data_dir / model.path / "model.safetensors").write_bytes(bytes(999))
    at = calibrate_button(opened(**{"calibrate open": True})).click().run()
    assert "is not the file that was saved" in at.error[0].value and not ingest.listed(loud)


def test_only_a_lead_is_offered_a_calibration(loud: Workbench, sign_in: Any) -> None:
    sign_in("researcher")
    at = opened(**{"calibrate open": True})
    assert not at.exception and at.get("plotly_chart") and calibrate_button(at) is None
    assert "Calibrate anew" not in [one.proto.popover.label for one in at.get("popover")]


def test_an_annotator_has_no_such_page(loud: Workbench, sign_in: Any) -> None:
    sign_in("annotator")
    at = AppTest.from_file(str(PAGES / "calibration.py"), default_timeout=300).run()
    assert "This page is for the role researcher" in at.warning[0].value
    assert not at.get("plotly_chart")


def test_the_page_needs_nothing_heavy_nor_do_those_of_models_and_drift() -> None:
    code = (
        "import sys; import pages._calibration, pages._reliability, pages._model_compare, pages._model_versions;"
        "import pages._drift_map, pages._drift_form, pages._drift_tests;"
        "from core.calibrators import fit; import numpy as np;"
        "r = np.random.default_rng(0); p = r.random(200); fit('isotonic', p, r.random(200) < p, symmetric=True);"
        "sys.exit(' '.join({'torch', 'sklearn', 'transformers', 'umap', 'hdbscan', 'numba'} & sys.modules.keys()) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PAGES.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
