"""A/B experiments on a real store: what becomes of one, which arm units get, outcomes taken or refused, and what they add up to."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from core.experiments import assigned
from storage import experiments, models
from storage.experiments import Experiment, ExperimentError, Outcome
from storage.models import Model, ModelError
from storage.store import Store, insert
from storage.tables import ExperimentRow, ModelRow


@pytest.fixture
def arms(store: Store) -> tuple[Model, Model]:
    row = {"name": "votes", "version": "", "method": "sbert", "path": "x", "actor": "ann", "checksum": "0"}
    one, two = (models.register(store, ModelRow(id="", **row)) for _ in range(2))
    return one, two


def row(control: str, treatment: str, **rest: Any) -> ExperimentRow:
    usual = {
        "id": "",
        "name": " Which? ",
        "metric": "rating",
        "share": 0.5,
        "planned": 1000,
        "worth": 0.0,
        "seed": "",
        "actor": "",
    }
    return ExperimentRow(control_id=control, treatment_id=treatment, **usual | rest)  # fmt: skip


@pytest.fixture
def experiment(store: Store, arms: tuple[Model, Model]) -> Experiment:
    return experiments.create(store, row(arms[0].id, arms[1].id), "ann")


def test_what_becomes_of_one_and_who_did_it(store: Store, experiment: Experiment) -> None:
    key = experiment.id
    assert (experiment.name, experiment.state, experiment.units, experiment.target) == ("Which?", "running", 0, 1000)  # fmt: skip
    assert experiments.pause(store, key, "bob").state == "paused"
    assert experiments.extend(store, key, 2000, "bob").target == 2000
    assert experiments.resume(store, key, "bob").state == "running"
    with pytest.raises(ModelError, match=r"votes 1\.1\.0 is in the experiment Which\?; end that first"):
        models.archive(store, experiment.treatment.id, "ann")
    ended = experiments.end(store, key, "bob")
    assert (ended.state, ended.planned, ended.target) == ("ended", 1000, 2000)
    for move in (experiments.pause, experiments.resume, experiments.end):
        with pytest.raises(ExperimentError, match="is ended, so you cannot"):
            move(store, key, "bob")
    assert experiments.conclude(store, key, "treatment", "bob").deployed == "treatment"
    with pytest.raises(ExperimentError, match="is deployed, so you cannot deploy it"):
        experiments.conclude(store, key, "control", "bob")
    models.archive(store, experiment.control.id, "ann")
    assert [one.state for one in experiments.listed(store)] == ["deployed"]
    done = store.rows("SELECT actor, action FROM audit WHERE record_type = 'experiment' ORDER BY occurred_at")
    assert done == [
        ("ann", "start"),
        *[("bob", what) for what in ("pause", "extend", "resume", "end", "deploy")],
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "  "}, "name: give"),
        ({"share": 1.0}, "share: the treatment"),
        ({"planned": 100}, "planned: plan from 200"),
        ({"treatment_id": "same"}, "it is the control as well"),
        ({"treatment_id": "m_none"}, "no model with the id"),
    ],
    ids=str,
)
def test_one_that_cannot_be(
    store: Store, arms: tuple[Model, Model], change: dict[str, Any], says: str
) -> None:
    wrong = row(arms[0].id, arms[1].id)
    for name, value in change.items():
        setattr(wrong, name, arms[0].id if value == "same" else value)
    with pytest.raises((ExperimentError, ModelError), match=says):
        experiments.create(store, wrong, "ann")
    models.archive(store, arms[1].id, "ann")
    with pytest.raises(ExperimentError, match="is archived; restore it first"):
        experiments.create(store, row(arms[0].id, arms[1].id), "ann")
    assert experiments.listed(store) == [] and store.rows("SELECT * FROM experiment_event") == []
    with pytest.raises(ExperimentError, match="no experiment with the id 'x_none'"):
        experiments.assign(store, "x_none", "u")


def test_units_that_ask_at_once_get_one_arm_and_count_once(store: Store, experiment: Experiment) -> None:
    units = [f"user {i % 40}" for i in range(320)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda unit: experiments.assign(store, experiment.id, unit), units))
    seed = store.rows("SELECT seed FROM experiment")[0][0]
    assert [one.variant for one in found] == [assigned(seed, unit, 0.5) for unit in units]
    assert all(one.model[0] == experiment.model(one.variant).id and one.reason is None for one in found)
    assert store.rows("SELECT count(*), count(DISTINCT unit) FROM assignment") == [(40, 40)]
    assert experiments.get(store, experiment.id).units == 40


def test_its_traffic_leaves_what_was_computed_of_the_rest(store: Store, experiment: Experiment) -> None:
    revision, traffic = store.revision, store.traffic
    experiments.assign(store, experiment.id, "u1")
    experiments.add_outcomes(store, experiment.id, [Outcome("u1", "rating", 4)])
    assert store.revision == revision and store.traffic == traffic + 2


def test_a_unit_keeps_its_arm_until_the_end(store: Store, experiment: Experiment) -> None:
    key = experiment.id
    treated = next(
        u for u in map(str, range(100)) if experiments.assign(store, key, u).variant == "treatment"
    )
    experiments.pause(store, key, "ann")
    experiments.extend(store, key, 5000, "ann")
    assert experiments.assign(store, key, treated).variant == "treatment"
    new = experiments.assign(store, key, "new")
    assert new.variant == "control" and new.reason == "The experiment is paused and takes no new units."
    experiments.resume(store, key, "ann")
    assert experiments.assign(store, key, "new").reason is None
    experiments.end(store, key, "ann")
    last = experiments.assign(store, key, treated)
    assert (last.variant, last.reason) == ("control", "The experiment has ended.")
    experiments.conclude(store, key, "treatment", "ann")
    assert experiments.assign(store, key, "new").model[0] == experiment.treatment.id


def test_outcomes_enter_once_and_what_cannot_is_refused(store: Store, experiment: Experiment) -> None:
    key, now = experiment.id, datetime.now(UTC)
    experiments.assign(store, key, "u")
    sent = [
        Outcome("u", "rating", 4, "first"),
        Outcome("u", "rating", 4, "first"),
        Outcome("nobody", "rating", 4),
        Outcome("u", "win", 1.5),
        Outcome("u", "latency", -0.1),
        Outcome("u", "rating", 4, at=experiment.created_at - timedelta(days=1)),
        Outcome("u", "rating", 4, at=now + timedelta(days=1)),
        Outcome("u", "cost", 0.2),
    ]
    found = experiments.add_outcomes(store, key, sent)
    assert (found.added, found.duplicate) == (2, 1)
    assert [(r.row, r.field) for r in found.refused] == [(3, "unit"), (4, "value"), (5, "value"), (6, "at"), (7, "at")]  # fmt: skip
    again = experiments.add_outcomes(store, key, sent)
    assert (again.added, again.duplicate, len(again.refused)) == (1, 2, 5), "without an id each is one more"
    assert sorted(experiments.outcomes(store, key)["value"].to_pylist()) == [0.2, 0.2, 4]
    experiments.pause(store, key, "ann")
    assert experiments.add_outcomes(store, key, [Outcome("u", "win", 1)]).added == 1, "late ones still enter"
    experiments.end(store, key, "ann")
    with pytest.raises(ExperimentError, match="has ended and takes no more outcomes"):
        experiments.add_outcomes(store, key, sent)


def test_the_figures_are_those_of_the_means_of_units_as_of_each_day(
    store: Store, experiment: Experiment
) -> None:
    """Units with several outcomes on several days, against pandas."""
    r, n, key = np.random.default_rng(0), 600, experiment.id
    arm = np.where(r.random(n) < 0.5, "treatment", "control")
    at = pd.Timestamp("2026-03-02T23:30Z") + pd.to_timedelta(r.integers(0, 10 * 24 * 60, 4 * n), unit="min")
    unit = r.integers(0, n, 4 * n)
    data = pd.DataFrame({"unit": unit, "variant": arm[unit], "value": r.uniform(1, 5, 4 * n), "at": at})
    names = [f"u{i}" for i in range(n)]
    with store.writing() as session:
        insert(session, "assignment", pa.table({"id": [f"{key}:{u}" for u in names], "experiment_id": [key] * n, "unit": names, "variant": arm,
                                                "assigned_at": pa.array([at[0]] * n, pa.timestamp("us", "UTC"))}))  # fmt: skip
        insert(session, "outcome", pa.table({"experiment_id": [key] * 4 * n, "unit": [f"u{i}" for i in unit], "metric": ["rating"] * 4 * n,
                                             "value": data["value"], "occurred_at": pa.array(at, pa.timestamp("us", "UTC"))}))  # fmt: skip
    found = experiments.analyse(store, key)
    rating = found.metrics["rating"]
    assert (found.ratio.control, found.ratio.treatment) == ((arm == "control").sum(), (arm == "treatment").sum())  # fmt: skip
    assert len(rating.day) == 11
    for i, day in enumerate(rating.day):
        so_far = data[data["at"].dt.tz_localize(None).dt.date <= pd.Timestamp(day).date()]
        means = so_far.groupby(["variant", "unit"])["value"].mean()
        both = [means[name] for name in ("control", "treatment")]
        assert rating.over.n[i] == len(means)
        if min(map(len, both)) >= 100:
            assert rating.over.value[i] == pytest.approx(both[1].mean() - both[0].mean())
            error = np.sqrt(sum(one.var() / len(one) for one in both))
            assert rating.fixed[i] == pytest.approx(1.959964 * error)
    assert rating.control.value == pytest.approx(both[0].mean())
