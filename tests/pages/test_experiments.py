"""The Experiments page: empty states, beginning one, its result in each state, and what a lead can do with it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from storage import experiments, models
from storage.experiments import Experiment, Outcome
from storage.store import insert
from storage.tables import ExperimentRow
from storage.workbench import Workbench
from tests.pages.conftest import SHELL, Filled, Visit
from tests.pages.registered import judged, version


def two_versions(bench: Workbench) -> None:
    judged(bench, 60)
    version(bench)
    version(bench)


@pytest.fixture(scope="module")
def project(filled: Filled) -> Path:
    return filled(two_versions)


def begun(bench: Workbench, units: int = 0, better: float = 0.0, reports: int = 1) -> Experiment:
    """An experiment in which the treatment rates higher and is slower by as much; of the control, one unit in ``reports`` has outcomes."""
    new, old = models.listed(bench.store)
    rules = {"metric": "rating", "share": 0.5, "planned": 400, "worth": 0.1}
    row = ExperimentRow(name="New <b>encoder</b>", control_id=old.id, treatment_id=new.id, **rules)
    one = experiments.create(bench.store, row, "ann")
    sent, arms = [], []
    for i in range(units):
        unit, treated = f"u{i}", i // 2 % 2 == 1
        arms.append({"id": f"{one.id}:{unit}", "experiment_id": one.id, "unit": unit, "variant": "treatment" if treated else "control",
                     "assigned_at": one.created_at})  # fmt: skip
        if treated or i % reports == 0:
            value = 3 + i % 2 + (better if treated else 0)
            sent += [Outcome(unit, "rating", value), Outcome(unit, "latency", value)]
    if arms:
        with bench.store.writing() as session:
            insert(session, "assignment", pa.Table.from_pylist(arms))
        experiments.add_outcomes(bench.store, one.id, sent)
    return experiments.get(bench.store, one.id)


def opened(**state: Any) -> AppTest:
    at = AppTest.from_file(str(SHELL), default_timeout=300)
    for key, value in {"name": "Ada", **state}.items():
        at.session_state[key] = value
    return at.switch_page("experiments.py").run()


def shown(at: AppTest) -> str:
    """What the page says, without the signs that keep Markdown from being read in it."""
    assert not at.exception
    kinds = [at.markdown, at.caption, at.info, at.warning, at.success, at.error]
    said = "\n".join(one.value for kind in kinds for one in kind)
    return said.replace("\N{NO-BREAK SPACE}", " ").replace("\\", "")


def labelled(at: AppTest, label: str) -> Any:
    return next(button for button in at.button if button.label == label)


def test_without_two_versions_it_says_what_to_do(visit: Visit) -> None:
    said = shown(visit("experiments"))
    assert (
        "Nothing was tried yet" in said and "It takes two versions, and there is none. Train another" in said
    )


def test_a_lead_begins_one(project: Path, bench: Workbench, visit: Visit) -> None:
    at = visit("experiments")
    assert "name: give the experiment a name" in shown(labelled(at, "Begin").click().run())
    at.text_input(key="experiment new name").input("Which?")
    at.selectbox(key="experiment new metric").select("win")
    at.slider(key="experiment new share").set_value(30)
    said = shown(labelled(at, "Begin").click().run())
    (one,) = experiments.listed(bench.store)
    assert (one.name, one.metric, one.share, one.planned, one.state) == ("Which?", "win", 0.3, 10_000, "running")  # fmt: skip
    assert "stays the same" in said and one.id in at.code[0].value and '"metric": "win"' in at.code[0].value


def test_a_researcher_reads_and_changes_nothing(
    project: Path, bench: Workbench, visit: Visit, sign_in: Any
) -> None:
    sign_in("researcher")
    assert "A lead can begin one." in shown(visit("experiments"))
    begun(bench)
    at = visit("experiments")
    assert "No outcome of rating has come in yet" in shown(at)
    assert not {"Pause", "Deploy…", "Begin"} & {button.label for button in at.button}


def test_a_result_and_what_becomes_of_it(project: Path, bench: Workbench) -> None:
    one = begun(bench, 300, better=0.8)
    at = opened()
    said = shown(at)
    assert "**Deploy the treatment.** With the treatment, rating differs by +0.8" in said
    assert "Mind: latency got worse" in said and "50.0% of 300 units have the treatment" in said
    assert at.dataframe[0].value["Metric"].tolist() == ["Rating", "Latency, s"]
    at.button(key=f"pause {one.id}").click().run()
    assert "paused since" in shown(at)
    at.number_input(key=f"extend to {one.id}").set_value(900)
    at.button(key=f"extend {one.id}").click().run()
    shown(at)
    assert at.number_input(key=f"extend to {one.id}").value == 1800
    at.button(key=f"deploy {one.id}").click().run()
    assert at.radio(key=f"deploy arm {one.id}").value == "treatment"
    at.button(key="experiment confirm").click().run()
    assert (
        "treatment deployed since" in shown(at)
        and experiments.get(bench.store, one.id).deployed == "treatment"
    )
    assert models.get(bench.store, one.treatment.id).status == "deployed"
    assert "Deploy…" not in {button.label for button in at.button}


def test_outcomes_lost_from_one_arm_are_told_before_anything_else(project: Path, bench: Workbench) -> None:
    begun(bench, 400, reports=3)
    assert "**Check the ratio first.** Among those with an outcome of rating" in shown(opened())
    listed = opened(**{"experiments view": "All experiments"}).dataframe[0].value
    assert listed["Recommendation"].tolist() == ["Check the ratio first"]


def test_it_ends_once_confirmed(project: Path, bench: Workbench) -> None:
    one = begun(bench)
    at = opened()
    at.button(key=f"end {one.id}").click().run()
    at.button(key="experiment cancel").click().run()
    assert experiments.get(bench.store, one.id).state == "running"
    at.button(key=f"end {one.id}").click().run()
    at.button(key="experiment confirm").click().run()
    assert "ended since" in shown(at)
