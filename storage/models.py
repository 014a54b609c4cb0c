"""The registry: versions of models, their status and aliases, what they learnt from and what they predicted.

Status and aliases are events: what a model is now follows from all that was ever decided. At most one version of a name
is deployed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.orm import defer
from sqlmodel import Session, col, select

from core.versions import next_minor, parse
from storage import learning
from storage.store import Store, audit, insert, new_id, placeholders
from storage.tables import AnnotatorRow, ModelEventRow, ModelRow, ProbeRow

Status = Literal["testing", "deployed", "deprecated", "archived"]
SPLITS = ("train", "calibration", "test", "probe")
MAX_NAME = 200


class ModelError(ValueError):
    """A model cannot be registered, or cannot become what was asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Model:
    """A version of a model as it stands; ``deployed_at`` is when it was last deployed."""

    id: str
    name: str
    version: str
    method: str
    base: str | None
    path: str
    job_id: str | None
    parent_id: str | None
    campaign_id: str | None
    actor: str
    created_at: datetime
    figures: dict[str, Any]
    checksum: str
    status: Status
    aliases: tuple[str, ...]
    deployed_at: datetime | None


_KEPT = [field.name for field in fields(Model) if field.name not in ("status", "aliases", "deployed_at")]


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a model comes from: ``parents`` (the nearest first), ``learnt`` (campaign, policy, report, as
    ``learning.lineage`` has it, without the ids), and the ids of every annotation behind its training data."""

    model: Model
    parents: list[Model]
    learnt: dict[str, Any]
    annotation_ids: list[str]


def register(store: Store, row: ModelRow, predictions: pa.Table | None = None) -> Model:
    """Store a new model, in testing, with its predictions (as ``add_predictions`` takes them), all or nothing.

    Its id and time are set here, and its version where it is empty: the next minor one of its name, 1.0.0 for a new name.
    A job registers one model: registering again gives the one that is there. Raises ModelError.
    """
    with store.writing() as session:
        if row.job_id is not None:
            there = session.exec(select(ModelRow.id).where(ModelRow.job_id == row.job_id)).first()
            if there is not None:
                return _get(session, there)
        row.name = row.name.strip()
        versions = session.exec(select(ModelRow.version).where(ModelRow.name == row.name)).all()
        row.version = row.version or next_minor(versions)
        _check(session, row, versions)
        row.id, row.created_at = new_id("m"), datetime.now(UTC)
        session.add(row)
        session.flush()
        _record(session, row.id, row.actor, "status", "testing")
        if predictions is not None:
            add_predictions(session, row.id, predictions)
        audit(
            session,
            row.actor,
            "register",
            "model",
            row.id,
            name=row.name,
            version=row.version,
            job=row.job_id,
        )
        session.flush()
        return _get(session, row.id)


def listed(
    store: Store, name: str | None = None, *, archived: bool = False, campaign_id: str | None = None
) -> list[Model]:
    """The models (of a name; of those that learnt from a campaign), the latest first."""
    with store.reading() as session:
        found = _standing(session, name)
    return [m for m in found
            if (archived or m.status != "archived") and campaign_id in (None, m.campaign_id)]  # fmt: skip


def get(store: Store, model_id: str) -> Model:
    """The model. Raises ModelError when there is none of that id."""
    with store.reading() as session:
        return _get(session, model_id)


def deployed(store: Store, name: str | None = None) -> Model | None:
    """The deployed model of a name, None where there is none; without a name the one deployed last."""
    with store.reading() as session:
        found = [m for m in _standing(session, name) if m.status == "deployed"]
    return max(found, key=lambda m: m.deployed_at or m.created_at, default=None)


def deploy(store: Store, model_id: str, actor: str) -> Model:
    """Deploy a model; the one of its name that was deployed becomes deprecated. Raises ModelError for an archived one."""
    with store.writing() as session:
        model = _get(session, model_id)
        if model.status == "archived":
            raise ModelError(f"{_called(model)} is archived; restore it first.")
        return _deploy(session, model, actor, "deploy")


def deployed_before(store: Store, name: str) -> Model:
    """What ``roll_back`` would deploy again. Raises ModelError as it does."""
    with store.reading() as session:
        return _deployed_before(session, name)


def roll_back(store: Store, name: str, actor: str, to: str | None = None) -> Model:
    """Deploy again what was deployed before the version of that name that is deployed now; returns it.

    Rolling back again goes further back. Archived versions are passed over. Raises ModelError where there is nothing to
    go back from or to, or it is not ``to``, a model's id, any more.
    """
    with store.writing() as session:
        before = _deployed_before(session, name)
        if to not in (None, before.id):
            raise ModelError(f"Another version of {name} was deployed meanwhile; look again.")
        return _deploy(session, before, actor, "roll back")


def archive(store: Store, model_id: str, actor: str) -> Model:
    """Put a model out of use. Raises ModelError while it is deployed or an arm of an experiment that goes on."""
    with store.writing() as session:
        model = _get(session, model_id)
        if model.status == "deployed":
            raise ModelError(f"{_called(model)} is deployed; deploy another version or roll back first.")
        going_on = store.rows(
            """SELECT name FROM experiment WHERE ? IN (control_id, treatment_id) AND id NOT IN
               (SELECT experiment_id FROM experiment_event WHERE kind IN ('end', 'deploy'))""",
            model_id,
        )
        for (name,) in going_on:
            raise ModelError(f"{_called(model)} is in the experiment {name}; end that first.")
        return _move(session, model, actor, "archive", "archived")


def restore(store: Store, model_id: str, actor: str) -> Model:
    """Take a model out of the archive, to testing. Raises ModelError for one that is not there."""
    with store.writing() as session:
        model = _get(session, model_id)
        if model.status != "archived":
            raise ModelError(f"{_called(model)} is not archived.")
        return _move(session, model, actor, "restore", "testing")


def set_alias(store: Store, model_id: str, alias: str, actor: str) -> Model:
    """Put an alias on a model, away from the version of its name that had it. Raises ModelError for a blank one."""
    alias = alias.strip()
    if not 0 < len(alias) <= MAX_NAME:
        raise ModelError(f"alias: give a name of 1 to {MAX_NAME} characters")
    with store.writing() as session:
        model = _get(session, model_id)
        if alias not in model.aliases:
            _record(session, model_id, actor, "alias", alias)
            audit(session, actor, "alias", "model", model_id, alias=alias)
        return _get(session, model_id)


def drop_alias(store: Store, model_id: str, alias: str, actor: str) -> Model:
    """Take an alias off a model. Raises ModelError where the model does not have it."""
    with store.writing() as session:
        model = _get(session, model_id)
        if alias not in model.aliases:
            raise ModelError(f"{_called(model)} has no alias {alias!r}.")
        _record(session, model_id, actor, "alias", alias, dropped=True)
        audit(session, actor, "drop alias", "model", model_id, alias=alias)
        return _get(session, model_id)


def history(store: Store, name: str) -> list[dict[str, Any]]:
    """Every change of status and alias among the versions of a name, newest first: ``occurred_at``, ``actor``,
    ``model_id``, ``version``, ``kind``, ``value``, ``detail``."""
    with store.reading() as session:
        names: dict[str, str] = dict(session.exec(select(AnnotatorRow.id, AnnotatorRow.name)).all())
        found = session.exec(
            select(ModelEventRow, ModelRow.version)
            .join(ModelRow, col(ModelRow.id) == ModelEventRow.model_id)
            .where(ModelRow.name == name)
            .order_by(col(ModelEventRow.occurred_at).desc())
        ).all()
    return [
        {**event.model_dump(exclude={"id"}), "actor": names.get(event.actor, event.actor), "version": version}
        for event, version in found
    ]


def lineage(store: Store, model_id: str) -> Lineage:
    """What a model comes from, down to the annotations. Raises ModelError when there is no model of that id."""
    with store.reading() as session:
        model = parent = _get(session, model_id)
        parents: list[Model] = []
        while parent.parent_id is not None:
            parent = _get(session, parent.parent_id)
            parents.append(parent)
        learnt = dict(session.get_one(ModelRow, model_id).lineage)
    return Lineage(model, parents, learnt, learnt.pop("annotations", []))


def annotations(
    store: Store, model_id: str, *, offset: int = 0, limit: int = 50
) -> tuple[list[dict[str, Any]], int]:
    """One page of the annotations a model learnt from, oldest first, and how many there are in all.

    ``state`` says what became of each since: stands, changed or undone.
    """
    ids = lineage(store, model_id).annotation_ids
    table = store.table(
        """SELECT v.id, v.pair_id, v.campaign_id, coalesce(annotator.name, v.annotator_id) AS annotator, annotator.kind,
                  CASE WHEN v.verdict <> 'prefer' THEN v.verdict WHEN v.preferred_id = pair.response_a THEN 'a' ELSE 'b' END
                    AS choice,
                  v.submitted_at,
                  CASE WHEN later.id IS NULL THEN 'stands' WHEN later.verdict = 'retracted' THEN 'undone'
                       ELSE 'changed' END AS state
           FROM annotation v JOIN pair ON pair.id = v.pair_id LEFT JOIN annotator ON annotator.id = v.annotator_id
           LEFT JOIN annotation later ON later.supersedes = v.id
           WHERE v.id IN (SELECT unnest(?)) ORDER BY v.submitted_at, v.id LIMIT ? OFFSET ?""",
        ids, limit, offset,
    )  # fmt: skip
    return table.to_pylist(), len(ids)


def predictions(
    store: Store,
    model_id: str,
    splits: Sequence[str] = ("test", "probe"),
    *,
    probe_id: str | None = None,
    since: datetime | None = None,
) -> pa.Table:
    """What a model said of pairs, in order of time and pair; by default of those it was not fitted to.

    Columns: ``pair_id``, ``split``, ``raw`` (the reward logit of a less that of b), ``probability`` (that a is preferred),
    ``target`` (what people said when it was made), ``now`` (what they say now, in all campaigns, under the model's own
    policy, or by what they said ``since`` alone; null where there is no label), ``probe_id``, ``created_at``, ``group`` (the prompt's id), ``category``, and ``campaign_id`` and
    ``submitted_at`` of the pair's latest annotation. Raises ModelError when there is no model of that id.
    """
    table = store.table(
        f"""SELECT p.pair_id, p.split, p.raw, p.probability, p.target, p.probe_id, p.created_at,
                   coalesce(pair.prompt_id, p.pair_id) AS "group", prompt.category, latest.campaign_id, latest.submitted_at
            FROM prediction p LEFT JOIN pair ON pair.id = p.pair_id LEFT JOIN prompt ON prompt.id = pair.prompt_id
            LEFT JOIN (SELECT pair_id, arg_max(campaign_id, submitted_at) AS campaign_id, max(submitted_at) AS submitted_at
                       FROM current_annotation WHERE verdict <> 'skip' GROUP BY pair_id) latest ON latest.pair_id = p.pair_id
            WHERE p.model_id = ? AND p.split IN ({placeholders(splits)}) AND (p.probe_id = ? OR ? IS NULL)
            ORDER BY p.created_at, p.pair_id""",
        model_id, *splits, probe_id, probe_id,
    )  # fmt: skip
    said = learning.labels(store, learning.policy_of(lineage(store, model_id).learnt), since)
    now = said["target"].take(pc.index_in(table["pair_id"], said["pair_id"]))
    return table.add_column(table.column_names.index("target") + 1, "now", now)


def seen_prompts(store: Store, model_id: str) -> frozenset[str]:
    """The prompts that a model, or one that it was fine-tuned from, was trained or calibrated on."""
    rows = store.rows(
        """WITH RECURSIVE family AS (SELECT id, parent_id FROM model WHERE id = ?
                                    UNION SELECT model.id, model.parent_id FROM model JOIN family ON model.id = family.parent_id)
           SELECT DISTINCT coalesce(pair.prompt_id, p.pair_id) FROM prediction p LEFT JOIN pair ON pair.id = p.pair_id
           WHERE p.model_id IN (SELECT id FROM family) AND p.split IN ('train', 'calibration')""",
        model_id,
    )  # fmt: skip
    return frozenset(prompt_id for (prompt_id,) in rows)


def tested_on(store: Store, name: str) -> dict[str, int]:
    """A hash of the pairs in the test split of each version of a name: the same hash, the same pairs."""
    return dict(
        store.rows(
            """SELECT p.model_id, bit_xor(hash(p.pair_id)) FROM prediction p JOIN model ON model.id = p.model_id
               WHERE model.name = ? AND p.split = 'test' GROUP BY p.model_id""",
            name,
        )
    )


def add_predictions(session: Session, model_id: str, table: pa.Table, probe_id: str | None = None) -> int:
    """Append predictions in bulk: ``pair_id``, ``split``, ``raw``, ``probability`` and, nullable, ``target``; returns how many.

    Raises ModelError for a missing column, an unknown split, or a number that is missing, NaN or out of range.
    """
    wanted = {"pair_id": pa.string(), "split": pa.string(), "raw": pa.float64(), "probability": pa.float64(), "target": pa.float64()}  # fmt: skip
    if missing := wanted.keys() - set(table.column_names):
        raise ModelError(f"predictions: the column {min(missing)!r} is missing")
    table = pa.table({name: table[name].cast(kind) for name, kind in wanted.items()})
    faults = {
        "pair_id": pc.is_null(table["pair_id"]),
        "split": pc.invert(pc.is_in(table["split"], pa.array(SPLITS))),
        "raw": pc.invert(pc.fill_null(pc.is_finite(table["raw"]), False)),
        "probability": pc.invert(pc.fill_null(_within(table["probability"]), False)),
        "target": pc.invert(pc.fill_null(_within(table["target"]), True)),
    }
    for name, fault in faults.items():
        if (row := pc.index(fault, True).as_py()) >= 0:
            raise ModelError(f"predictions: {name} of row {row + 1} is {table[name][row].as_py()!r}")
    size = len(table)
    table = table.append_column("model_id", pa.array([model_id] * size, pa.string()))
    table = table.append_column("probe_id", pa.array([probe_id] * size, pa.string()))
    table = table.append_column("created_at", pa.array([datetime.now(UTC)] * size, pa.timestamp("us", "UTC")))
    return insert(session, "prediction", table)


def add_probe(store: Store, row: ProbeRow, predictions: pa.Table) -> ProbeRow:
    """Store a probe with its predictions (``split`` is not needed), all or nothing; its time is set here.

    Once for each id: adding it again gives the one that is there. Raises ModelError.
    """
    with store.writing() as session:
        if there := session.get(ProbeRow, row.id):
            return there
        model = _get(session, row.model_id)
        _check_figures(row.figures)
        row.created_at = datetime.now(UTC)
        session.add(row)
        session.flush()
        if "split" in predictions.column_names:
            predictions = predictions.drop_columns("split")
        split = pa.array(["probe"] * len(predictions), pa.string())
        n = add_predictions(session, row.model_id, predictions.append_column("split", split), row.id)
        audit(
            session, row.actor, "probe", "model", row.model_id, version=model.version, probe=row.id, pairs=n
        )
    return row


def probes(store: Store, model_id: str | None = None, campaign_id: str | None = None) -> list[ProbeRow]:
    """The log of probes, newest first."""
    query = select(ProbeRow).order_by(col(ProbeRow.created_at).desc())
    if model_id is not None:
        query = query.where(ProbeRow.model_id == model_id)
    if campaign_id is not None:
        query = query.where(ProbeRow.campaign_id == campaign_id)
    with store.reading() as session:
        return list(session.exec(query))


def _standing(session: Session, name: str | None = None) -> list[Model]:
    """The models (of a name) as their events leave them, the latest first. Lineages, which are long, stay in the store."""
    rows = select(ModelRow).options(defer(ModelRow.lineage))  # type: ignore[arg-type]
    if name is not None:
        rows = rows.where(ModelRow.name == name)
    found = {row.id: row for row in session.exec(rows.order_by(col(ModelRow.created_at).desc()))}
    status: dict[str, Any] = {}
    deployed_at: dict[str, datetime] = {}
    holder: dict[tuple[str, str], str | None] = {}
    for event in _events(session, list(found)):
        if event.kind == "status":
            status[event.model_id] = event.value
            if event.value == "deployed":
                deployed_at[event.model_id] = event.occurred_at
        else:
            key = (found[event.model_id].name, event.value)
            holder[key] = None if event.detail.get("dropped") else event.model_id
    return [
        Model(
            **{name: getattr(row, name) for name in _KEPT},
            status=status[row.id],
            aliases=tuple(sorted(alias for (_, alias), model_id in holder.items() if model_id == row.id)),
            deployed_at=deployed_at.get(row.id),
        )
        for row in found.values()
    ]


def _get(session: Session, model_id: str) -> Model:
    name = session.exec(select(ModelRow.name).where(ModelRow.id == model_id)).first()
    if name is None:
        raise ModelError(f"There is no model with the id {model_id!r}.")
    return next(model for model in _standing(session, name) if model.id == model_id)


def _events(session: Session, model_ids: Sequence[str]) -> Sequence[ModelEventRow]:
    """The events of models, oldest first."""
    query = select(ModelEventRow).where(col(ModelEventRow.model_id).in_(model_ids))
    return session.exec(query.order_by(col(ModelEventRow.occurred_at))).all()


def _deployed_before(session: Session, name: str) -> Model:
    models = {model.id: model for model in _standing(session, name)}
    current = next((m for m in models.values() if m.status == "deployed"), None)
    if current is None:
        raise ModelError(f"No version of {name!r} is deployed, so there is nothing to roll back.")
    others = {m.id for m in models.values() if m.status != "archived"} - {current.id}
    before = [key for key in _deployments(session, list(models)) if key in others]
    if not before:
        raise ModelError(
            f"No version of {name!r} was deployed before {current.version}; deploy one by its version."
        )
    return models[before[-1]]


def _deployments(session: Session, model_ids: Sequence[str]) -> list[str]:
    """The versions deployed one after the other, up to the one deployed now; what was rolled back is taken off."""
    stack: list[str] = []
    for event in _events(session, model_ids):
        if event.kind == "status" and event.value == "deployed":
            if event.detail.get("by") == "roll back":
                del stack[len(stack) - 1 - stack[::-1].index(event.model_id) :]
            stack.append(event.model_id)
    return stack


def _deploy(session: Session, model: Model, actor: str, action: str) -> Model:
    if model.status == "deployed":
        return model
    for other in _standing(session, model.name):
        if other.status == "deployed":
            _record(session, other.id, actor, "status", "deprecated", by=action)
    return _move(session, model, actor, action, "deployed")


def _move(session: Session, model: Model, actor: str, action: str, status: Status) -> Model:
    if model.status != status:
        _record(session, model.id, actor, "status", status, by=action)
        audit(
            session,
            actor,
            action,
            "model",
            model.id,
            name=model.name,
            version=model.version,
            before=model.status,
        )
    return _get(session, model.id)


def _record(session: Session, model_id: str, actor: str, kind: str, value: str, **detail: Any) -> None:
    session.add(
        ModelEventRow(
            id=new_id("e"),
            model_id=model_id,
            occurred_at=datetime.now(UTC),
            actor=actor,
            kind=kind,
            value=value,
            detail=detail,
        )
    )


def _check(session: Session, row: ModelRow, versions: Sequence[str]) -> None:
    if not 0 < len(row.name) <= MAX_NAME:
        raise ModelError(f"name: give the model a name of 1 to {MAX_NAME} characters")
    try:
        parse(row.version)
    except ValueError as error:
        raise ModelError(f"version: {error}") from None
    if row.version in versions:
        raise ModelError(f"version: there is a version {row.version} of {row.name!r} already")
    if row.parent_id is not None:
        _get(session, row.parent_id)
    _check_figures(row.figures)


def _check_figures(figures: Mapping[str, Any]) -> None:
    try:
        json.dumps(figures, allow_nan=False)
    except ValueError:
        raise ModelError(
            "figures: a figure is NaN or infinite; leave out what could not be computed"
        ) from None


def _within(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.and_(pc.greater_equal(column, 0), pc.less_equal(column, 1))


def _called(model: Model) -> str:
    return f"{model.name} {model.version}"
