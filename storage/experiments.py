"""A/B experiments in the store: what became of each, which unit got which arm, and what came of it."""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa
from sqlmodel import Session

from core import experiments as core
from core.experiments import METRICS, Analysis, Metric, Variant
from core.records import Refusal
from storage import models
from storage.models import Model
from storage.store import Store, audit, insert, new_id, registered
from storage.tables import AssignmentRow, ExperimentEventRow, ExperimentRow

State = Literal["running", "paused", "ended", "deployed"]
STATES: dict[str, State] = {"start": "running", "resume": "running", "pause": "paused", "end": "ended", "deploy": "deployed"}  # fmt: skip
OPEN: tuple[State, ...] = ("running", "paused")
MAX_PLANNED = 100_000_000
AHEAD = timedelta(minutes=5)
"""How far the clock of a product may be ahead of ours."""

_STANDING = """SELECT e.* EXCLUDE (seed, actor), last.kind, last.changed_at, last.deployed,
                      coalesce(planned.target, e.planned) AS target, coalesce(counted.units, 0) AS units
    FROM experiment e
    JOIN (SELECT experiment_id, arg_max(kind, occurred_at) AS kind, max(occurred_at) AS changed_at, max(variant) AS deployed
          FROM experiment_event WHERE kind <> 'extend' GROUP BY experiment_id) last ON last.experiment_id = e.id
    LEFT JOIN (SELECT experiment_id, max(planned) AS target FROM experiment_event GROUP BY experiment_id) planned
           ON planned.experiment_id = e.id
    LEFT JOIN (SELECT experiment_id, count(*) AS units FROM assignment GROUP BY experiment_id) counted ON counted.experiment_id = e.id"""

_MOMENTS = """WITH arm AS (SELECT rowid AS who, unit, variant FROM assignment WHERE experiment_id = $1
), here AS (
    SELECT metric, who, variant, value, CAST(occurred_at AT TIME ZONE 'UTC' AS DATE) AS day
    FROM outcome JOIN arm USING (unit) WHERE experiment_id = $1
), centred AS (SELECT metric, avg(value) AS centre FROM here GROUP BY metric
), daily AS (
    SELECT metric, who, day, any_value(variant) AS variant, sum(value) AS total, count(*) AS n FROM here GROUP BY metric, who, day
), so_far AS (
    SELECT metric, who, day, variant, centre, sum(total) OVER upto / sum(n) OVER upto - centre AS mean
    FROM daily JOIN centred USING (metric) WINDOW upto AS (PARTITION BY metric, who ORDER BY day)
), changed AS (SELECT *, lag(mean) OVER (PARTITION BY metric, who ORDER BY day) AS before FROM so_far)
SELECT metric, any_value(centre) AS centre, day, variant, count(*) FILTER (before IS NULL)::DOUBLE AS n,
       sum(mean - coalesce(before, 0)) AS total, sum(mean ** 2 - coalesce(before ** 2, 0)) AS squares,
       sum(mean ** 3 - coalesce(before ** 3, 0)) AS cubes
FROM changed GROUP BY metric, day, variant"""
"""What each day changed in the number and the sums of powers of the means of units, each mean being of the outcomes up to that day."""


class ExperimentError(ValueError):
    """An experiment cannot be, or become, what was asked; the message says why and what to do."""


class NoExperiment(ExperimentError):
    """There is no experiment of that id."""

    def __init__(self, experiment_id: str) -> None:
        super().__init__(f"There is no experiment with the id {experiment_id!r}.")


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as it stands, since ``changed_at``; ``target`` is the number of units it is to have by now, ``units`` those it has,
    ``deployed`` the arm that was deployed."""

    id: str
    name: str
    control: Model
    treatment: Model
    metric: Metric
    share: float
    planned: int
    target: int
    worth: float
    created_at: datetime
    state: State
    changed_at: datetime
    deployed: Variant | None
    units: int

    def model(self, variant: Variant) -> Model:
        return self.control if variant == "control" else self.treatment


@dataclass(frozen=True, slots=True)
class Assigned:
    """The arm of a unit and its model (id, name, version); where it does not count, ``reason`` says why."""

    variant: Variant
    model: tuple[str, str, str]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a unit; ``id`` is the client's own, so that sending it again adds nothing; ``at`` is now where it is None."""

    unit: str
    metric: Metric
    value: float
    id: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of outcomes: how many entered, how many were there already, and which were refused (rows from 1)."""

    added: int
    duplicate: int
    refused: list[Refusal]


def create(store: Store, row: ExperimentRow, actor: str) -> Experiment:
    """Begin an experiment; its id, seed and time are set here. Raises ExperimentError, ModelError for a model that there is not."""
    row.name = row.name.strip()
    if not 0 < len(row.name) <= models.MAX_NAME:
        raise ExperimentError(f"name: give the experiment a name of 1 to {models.MAX_NAME} characters")
    if row.control_id == row.treatment_id:
        raise ExperimentError("treatment: it is the control as well; choose another version")
    if not 0.01 <= row.share <= 0.99:
        raise ExperimentError("share: the treatment must get from 1% to 99% of the units")
    if not 2 * core.LEAST <= row.planned <= MAX_PLANNED:
        raise ExperimentError(f"planned: plan from {2 * core.LEAST} to {MAX_PLANNED:,} units")
    with store.writing() as session:
        for model_id in (row.control_id, row.treatment_id):
            model = models.get(store, model_id)
            if model.status == "archived":
                raise ExperimentError(f"{model.name} {model.version} is archived; restore it first.")
        row.id, row.seed, row.actor, row.created_at = new_id("x"), secrets.token_hex(16), actor, datetime.now(UTC)  # fmt: skip
        session.add(row)
        session.flush()
        _record(session, row.id, actor, "start", {}, name=row.name, control=row.control_id, treatment=row.treatment_id,
                metric=row.metric, share=row.share, planned=row.planned, worth=row.worth)  # fmt: skip
    return get(store, row.id)


def listed(store: Store) -> list[Experiment]:
    """The experiments, the latest first."""
    return _standing(store, "ORDER BY e.created_at DESC, e.id")


def get(store: Store, experiment_id: str) -> Experiment:
    """The experiment. Raises NoExperiment where there is none of that id."""
    found = _standing(store, "WHERE e.id = ?", experiment_id)
    if not found:
        raise NoExperiment(experiment_id)
    return found[0]


def pause(store: Store, experiment_id: str, actor: str) -> Experiment:
    """Take no new units; those that have an arm keep it, and their outcomes come in. Raises ExperimentError unless it is running."""
    return _move(store, experiment_id, actor, "pause", ("running",))


def resume(store: Store, experiment_id: str, actor: str) -> Experiment:
    """Take new units again. Raises ExperimentError unless it is paused."""
    return _move(store, experiment_id, actor, "resume", ("paused",))


def extend(store: Store, experiment_id: str, planned: int, actor: str) -> Experiment:
    """Plan more units. Raises ExperimentError where it is over, or these are not more."""
    target = get(store, experiment_id).target
    if not target < planned <= MAX_PLANNED:
        raise ExperimentError(f"planned: it has {target:,} units planned; extend it to more, at most {MAX_PLANNED:,}")  # fmt: skip
    return _move(store, experiment_id, actor, "extend", OPEN, planned=planned)


def end(store: Store, experiment_id: str, actor: str) -> Experiment:
    """Give every unit the control from now on, and take no more outcomes. Raises ExperimentError where it is over."""
    return _move(store, experiment_id, actor, "end", OPEN)


def conclude(store: Store, experiment_id: str, variant: Variant, actor: str) -> Experiment:
    """End it, and give every unit this arm from now on; ``jobs.models.deploy_arm`` deploys its model. Raises ExperimentError where an arm
    was deployed already."""
    return _move(store, experiment_id, actor, "deploy", (*OPEN, "ended"), variant=variant)


def assign(store: Store, experiment_id: str, unit: str) -> Assigned:
    """The arm of a unit: the one it has, or one drawn now while the experiment is running. Raises NoExperiment."""
    fixed = _fixed(store, experiment_id)
    key = f"{experiment_id}:{unit}"
    ((kind, deployed, has),) = store.rows(
        """SELECT kind, variant, (SELECT variant FROM assignment WHERE id = ?) FROM experiment_event
           WHERE experiment_id = ? AND kind <> 'extend' ORDER BY occurred_at DESC LIMIT 1""",
        key, experiment_id,
    )  # fmt: skip
    state = STATES[kind]
    if state == "deployed":
        return Assigned(deployed, fixed.model[deployed], f"The {deployed} was deployed.")
    if state == "ended":
        return Assigned("control", fixed.model["control"], "The experiment has ended.")
    if state == "paused" and has is None:
        return Assigned("control", fixed.model["control"], "The experiment is paused and takes no new units.")
    if has is None:
        has = core.assigned(fixed.seed, unit, fixed.share)
        with suppress(duckdb.ConstraintException):  # it asked twice at once, and gets the same arm
            store.append(AssignmentRow(id=key, experiment_id=experiment_id, unit=unit, variant=has, assigned_at=datetime.now(UTC)), traffic=True)  # fmt: skip
    return Assigned(has, fixed.model[has])


def add_outcomes(store: Store, experiment_id: str, outcomes: Sequence[Outcome]) -> Taken:
    """Take outcomes in, those that can be. Raises ExperimentError where the experiment is over, NoExperiment."""
    now = datetime.now(UTC)
    with store.writing(traffic=True) as session:
        experiment = get(store, experiment_id)
        if experiment.state not in OPEN:
            raise ExperimentError(f"{experiment.name} has ended and takes no more outcomes.")
        units = pa.table({"unit": pa.array([one.unit for one in outcomes], pa.string())})
        query = "SELECT DISTINCT unit FROM incoming SEMI JOIN (FROM assignment WHERE experiment_id = ?) USING (unit)"
        with registered(session, units) as connection:
            known = {unit for (unit,) in connection.execute(query, [experiment_id]).fetchall()}
        refused, rows, seen = [], [], set()
        for number, one in enumerate(outcomes, start=1):
            at = one.at or now
            if fault := _fault(one, at, experiment, known, now):
                refused.append(Refusal(number, *fault))
            elif one.id is None or one.id not in seen:
                seen.add(one.id)
                rows.append({"experiment_id": experiment_id, "unit": one.unit, "metric": one.metric, "value": one.value, "id": one.id,
                             "occurred_at": at})  # fmt: skip
        added = 0
        if rows:
            table = pa.Table.from_pylist(rows, _OUTCOME)
            added = insert(session, "outcome", table, unless="experiment_id, id")
    return Taken(added, len(outcomes) - len(refused) - added, refused)


_OUTCOME = pa.schema([
    ("experiment_id", pa.string()), ("unit", pa.string()), ("metric", pa.string()), ("value", pa.float64()), ("id", pa.string()),
    ("occurred_at", pa.timestamp("us", "UTC")),
])  # fmt: skip


def analyse(store: Store, experiment_id: str) -> Analysis:
    """What is known of an experiment. Raises NoExperiment where there is none of that id."""
    experiment = get(store, experiment_id)
    found = store.table(_MOMENTS, experiment_id)
    counts = store.table(
        """SELECT CAST(assigned_at AT TIME ZONE 'UTC' AS DATE) AS day, count(*) FILTER (variant = 'control') AS control,
                  count(*) FILTER (variant = 'treatment') AS treatment
           FROM assignment WHERE experiment_id = ? GROUP BY day ORDER BY day""",
        experiment_id,
    )  # fmt: skip
    return core.analyse(
        np.column_stack([counts[variant].to_numpy() for variant in core.VARIANTS]).cumsum(0),
        core.moments(found),
        experiment.metric,
        experiment.share,
        experiment.planned,
        experiment.target,
        experiment.worth,
    )


def outcomes(store: Store, experiment_id: str) -> pa.Table:
    """Every outcome with the arm of its unit, in order of time: ``unit``, ``variant``, ``metric``, ``value``, ``id``, ``occurred_at``."""
    return store.table(
        """SELECT unit, variant, metric, value, outcome.id, occurred_at FROM outcome JOIN assignment USING (experiment_id, unit)
           WHERE experiment_id = ? ORDER BY occurred_at, unit, metric, value""",
        experiment_id,
    )


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What never changes of an experiment; ``model``: id, name and version."""

    seed: str
    share: float
    model: dict[Variant, tuple[str, str, str]]


@lru_cache(maxsize=256)
def _fixed(store: Store, experiment_id: str) -> _Fixed:
    with store.reading() as session:
        row = session.get(ExperimentRow, experiment_id)
    if row is None:
        raise NoExperiment(experiment_id)
    arms = (models.get(store, model_id) for model_id in (row.control_id, row.treatment_id))
    return _Fixed(
        row.seed, row.share, {v: (m.id, m.name, m.version) for v, m in zip(core.VARIANTS, arms, strict=True)}
    )


def _fault(
    one: Outcome, at: datetime, experiment: Experiment, known: set[str], now: datetime
) -> tuple[str, str] | None:
    measure = METRICS[one.metric]
    if one.unit not in known:
        return "unit", "no arm was assigned to it; ask for its assignment first"
    if not measure.low <= one.value <= measure.high:
        return "value", f"{one.metric} must be from {measure.low:g} to {measure.high:,.0f}, not {one.value:g}"
    if at < experiment.created_at:
        return "at", "it is from before the experiment began"
    if at > now + AHEAD:
        return "at", "it is in the future"
    return None


def _standing(store: Store, which: str, *parameters: object) -> list[Experiment]:
    rows = store.table(f"{_STANDING} {which}", *parameters).to_pylist()
    known = {model.id: model for model in models.listed(store, archived=True)} if rows else {}
    return [
        Experiment(
            control=known[row.pop("control_id")],
            treatment=known[row.pop("treatment_id")],
            state=STATES[row.pop("kind")],
            **row,
        )
        for row in rows
    ]


def _move(
    store: Store, experiment_id: str, actor: str, kind: str, since: tuple[State, ...], **what: Any
) -> Experiment:
    with store.writing() as session:
        experiment = get(store, experiment_id)
        if experiment.state not in since:
            raise ExperimentError(f"{experiment.name} is {experiment.state}, so you cannot {kind} it.")
        _record(session, experiment_id, actor, kind, what, **what)
    return get(store, experiment_id)


def _record(
    session: Session, experiment_id: str, actor: str, kind: str, what: dict[str, Any], **detail: Any
) -> None:
    now = datetime.now(UTC)
    session.add(ExperimentEventRow(id=new_id("xe"), experiment_id=experiment_id, occurred_at=now, actor=actor, kind=kind, **what))  # fmt: skip
    audit(session, actor, kind, "experiment", experiment_id, **detail)
