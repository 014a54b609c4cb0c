"""The registry: what a model is now follows from its events, and a model knows the annotations it comes from."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.labels import Policy
from core.records import Judgement, Parsed
from storage import campaigns, learning, models, pairs, people
from storage.desk import Desks
from storage.models import Model, ModelError
from storage.store import Store
from storage.tables import ModelRow, ProbeRow
from tests.storage.conftest import MakePairs

Register = Callable[..., Model]


def row(name: str = "votes", version: str = "", **rest: Any) -> ModelRow:
    return ModelRow(
        **{"id": "", "name": name, "version": version, "method": "sbert", "path": "runs/x", "actor": "ann", "checksum": "0", **rest}
    )  # fmt: skip


@pytest.fixture
def register(store: Store) -> Register:
    return lambda *args, **rest: models.register(store, row(*args, **rest))


def said(ids: list[str], **columns: list[Any]) -> pa.Table:
    n = len(ids)
    usual = {
        "pair_id": ids,
        "split": ["test"] * n,
        "raw": [1.0] * n,
        "probability": [0.75] * n,
        "target": [1.0] * n,
    }
    return pa.table({**usual, **columns})


def audited(store: Store) -> list[tuple[str, str, str]]:
    return store.rows(
        "SELECT actor, action, record_id FROM audit WHERE record_type = 'model' ORDER BY occurred_at"
    )


def states(store: Store, name: str = "votes") -> dict[str, str]:
    return {model.version: model.status for model in models.listed(store, name, archived=True)}


def test_versions_of_a_name(store: Store, register: Register) -> None:
    first, second = register(), register(" votes ")
    assert (first.name, first.version, first.status, first.aliases) == ("votes", "1.0.0", "testing", ())
    assert (second.version, register(version="2.0.5").version, register().version) == (
        "1.1.0",
        "2.0.5",
        "2.1.0",
    )
    assert register("other", "0.3.0").version == "0.3.0" and register("other").version == "0.4.0"
    assert [m.version for m in models.listed(store, "votes")] == ["2.1.0", "2.0.5", "1.1.0", "1.0.0"]
    assert len(models.listed(store)) == 6 and models.get(store, first.id) == first
    for fault, said in (
        ({"name": "  "}, "name: give the model a name"),
        ({"version": "2.0.5"}, "version: there is a version 2.0.5 of 'votes' already"),
        ({"version": "v3"}, "version: 'v3' is not a version; it must be three numbers"),
        ({"parent_id": "m_no"}, "There is no model with the id 'm_no'"),
        ({"figures": {"accuracy": float("nan")}}, "figures: a figure is NaN"),
    ):
        with pytest.raises(ModelError, match=said):
            register(**fault)
    assert len(models.listed(store)) == 6
    with pytest.raises(ModelError, match="no model with the id 'm_no'"):
        models.get(store, "m_no")


def test_a_job_registers_one_model_however_often_it_is_taken_in(store: Store) -> None:
    def take_in(_: int) -> str:
        return models.register(store, row(job_id="job_1"), said(["x1", "x2"])).id

    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(take_in, range(8)))
    assert len(ids) == 1 and store.rows("SELECT count(*) FROM prediction") == [(2,)]
    assert len(audited(store)) == 1


def test_nothing_is_registered_with_predictions_that_are_none(store: Store) -> None:
    nan = float("nan")
    for table, message in (
        (said(["x"], probability=[nan]), "predictions: probability of row 1 is nan"),
        (said(["x", "y"], raw=[0.0, None]), "predictions: raw of row 2 is None"),
        (said(["x"], raw=[float("inf")]), "predictions: raw of row 1 is inf"),
        (said(["x"], target=[1.5]), "predictions: target of row 1 is 1.5"),
        (said(["x"], split=["validation"]), "predictions: split of row 1 is 'validation'"),
        (said(["x"]).drop_columns("raw"), "predictions: the column 'raw' is missing"),
    ):
        with pytest.raises(ModelError, match=message):
            models.register(store, row(), table)
    assert models.listed(store) == [] and audited(store) == []
    assert store.rows("SELECT count(*) FROM model_event") == [(0,)]
    models.register(store, row(), said(["x"], target=pa.array([None], pa.null())))


def test_deploy_roll_back_archive(store: Store, register: Register) -> None:
    assert models.deployed(store, "votes") is None
    one, two, three = (register() for _ in range(3))
    with pytest.raises(ModelError, match="No version of 'votes' is deployed"):
        models.roll_back(store, "votes", "ann")
    models.deploy(store, one.id, "ann")
    with pytest.raises(ModelError, match=r"No version of 'votes' was deployed before 1\.0\.0"):
        models.roll_back(store, "votes", "ann")
    models.deploy(store, two.id, "bob")
    models.deploy(store, three.id, "ann")
    assert states(store) == {"1.0.0": "deprecated", "1.1.0": "deprecated", "1.2.0": "deployed"}
    before = audited(store)
    assert models.deploy(store, three.id, "ann").status == "deployed"
    assert audited(store) == before
    with pytest.raises(
        ModelError, match=r"votes 1\.2\.0 is deployed; deploy another version or roll back first"
    ):
        models.archive(store, three.id, "ann")
    with pytest.raises(ModelError, match="meanwhile"):
        models.roll_back(store, "votes", "eve", one.id)
    assert models.roll_back(store, "votes", "eve", two.id).id == two.id
    assert models.roll_back(store, "votes", "eve").id == one.id
    assert states(store) == {"1.0.0": "deployed", "1.1.0": "deprecated", "1.2.0": "deprecated"}
    with pytest.raises(ModelError, match="No version"):
        models.roll_back(store, "votes", "eve")
    assert models.archive(store, two.id, "ann").status == "archived"
    assert [m.version for m in models.listed(store, "votes")] == ["1.2.0", "1.0.0"]
    with pytest.raises(ModelError, match="is archived; restore it first"):
        models.deploy(store, two.id, "ann")
    assert models.restore(store, two.id, "ann").status == "testing"
    with pytest.raises(ModelError, match="is not archived"):
        models.restore(store, two.id, "ann")
    assert audited(store)[3:] == [
        ("ann", "deploy", one.id), ("bob", "deploy", two.id), ("ann", "deploy", three.id), ("eve", "roll back", two.id),
        ("eve", "roll back", one.id), ("ann", "archive", two.id), ("ann", "restore", two.id),
    ]  # fmt: skip
    deployed = models.deployed(store)
    assert deployed is not None and (deployed.id, deployed.status) == (one.id, "deployed")


def test_roll_back_passes_over_the_archived(store: Store, register: Register) -> None:
    one, two, three = (register() for _ in range(3))
    for model in (one, two, three):
        models.deploy(store, model.id, "ann")
    models.archive(store, two.id, "ann")
    assert models.roll_back(store, "votes", "ann").id == one.id


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["0", "1", "2", "back"]), max_size=8))
def test_roll_back_is_a_stack(store: Store, steps: list[str]) -> None:
    """Any order of deploying three versions and rolling back; deploying what was deployed before puts it on top."""
    name = f"n{len(models.listed(store))}"
    versions = [models.register(store, row(name)).id for _ in range(3)]
    stack: list[str] = []
    for step in steps:
        if step == "back":
            earlier = [key for key in stack if key != stack[-1]] if stack else []
            if not earlier:
                with pytest.raises(ModelError):
                    models.roll_back(store, name, "ann")
                continue
            assert models.roll_back(store, name, "ann").id == earlier[-1]
            while stack[-1] != earlier[-1]:
                stack.pop()
        else:
            models.deploy(store, versions[int(step)], "ann")
            if not stack or stack[-1] != versions[int(step)]:
                stack.append(versions[int(step)])
        standing = models.deployed(store, name)
        assert standing is not None and standing.id == stack[-1]
        assert [m.id for m in models.listed(store, name) if m.status == "deployed"] == [stack[-1]]


def test_aliases_move_within_a_name(store: Store, register: Register) -> None:
    one, two, other = register(), register(), register("other")
    models.set_alias(store, one.id, " champion ", "ann")
    models.set_alias(store, other.id, "champion", "ann")
    assert models.set_alias(store, one.id, "first", "ann").aliases == ("champion", "first")
    assert models.set_alias(store, two.id, "champion", "bob").aliases == ("champion",)
    assert models.get(store, one.id).aliases == ("first",)
    assert models.get(store, other.id).aliases == ("champion",)
    assert models.drop_alias(store, two.id, "champion", "bob").aliases == ()
    with pytest.raises(ModelError, match=r"votes 1\.1\.0 has no alias 'champion'"):
        models.drop_alias(store, two.id, "champion", "bob")
    with pytest.raises(ModelError, match="alias: give a name"):
        models.set_alias(store, two.id, " ", "bob")


def test_history_names_who_did_it(store: Store, register: Register) -> None:
    ann = people.annotator(store, "Ann").id
    model = register(actor=ann)
    models.deploy(store, model.id, ann)
    models.set_alias(store, model.id, "champion", "script")
    found = models.history(store, "votes")
    assert [(e["actor"], e["version"], e["kind"], e["value"]) for e in found] == [
        ("script", "1.0.0", "alias", "champion"), ("Ann", "1.0.0", "status", "deployed"), ("Ann", "1.0.0", "status", "testing"),
    ]  # fmt: skip
    assert models.history(store, "other") == []


def judged(store: Store, desks: Desks, made: list[Any], choices: str) -> None:
    letters = {"a": "a", "b": "b", "t": "tie"}
    given = [
        Judgement(pair, f"u{i}", letters[letter], submitted_at=datetime(2026, 3, i + 1, tzinfo=UTC))  # type: ignore[arg-type]
        for pair in made
        for i, letter in enumerate(choices)
    ]
    pairs.add_judged(
        store, desks, Parsed(list(enumerate(given, 1)), []), campaigns.first(store).id, "ann", source="x"
    )


def test_lineage_goes_down_to_the_annotations(store: Store, desks: Desks, make_pairs: MakePairs, register: Register) -> None:  # fmt: skip
    judged(store, desks, make_pairs(3), "aab")
    frozen = learning.freeze(store, policy=Policy("majority"))
    parent = register()
    child = register(parent_id=parent.id, lineage=learning.lineage(frozen.table))
    grandchild = register(parent_id=child.id)
    found = models.lineage(store, child.id)
    everything = [key for (key,) in store.rows("SELECT id FROM annotation")]
    assert [m.id for m in found.parents] == [parent.id]
    assert sorted(found.annotation_ids) == sorted(everything)
    assert found.learnt["policy"] == {"consensus": "majority", "ties": "half", "simulated": False}
    assert found.learnt["report"]["usable"] == 3
    assert [m.id for m in models.lineage(store, grandchild.id).parents] == [child.id, parent.id]
    assert models.lineage(store, grandchild.id).annotation_ids == []

    key, owner = store.rows("SELECT id, annotator_id FROM annotation ORDER BY id LIMIT 1")[0]
    desks[campaigns.first(store).id].retract(owner, key, datetime.now(UTC))
    rows, total = models.annotations(store, child.id, offset=4, limit=100)
    first, _ = models.annotations(store, child.id, limit=4)
    assert total == 9 and {r["id"] for r in first + rows} == set(everything)
    assert {r["id"]: r["state"] for r in first + rows} == {
        k: "undone" if k == key else "stands" for k in everything
    }
    assert {(r["annotator"], r["choice"]) for r in first + rows} == {("u0", "a"), ("u1", "a"), ("u2", "b")}


def test_predictions_with_what_people_say_now(store: Store, desks: Desks, make_pairs: MakePairs) -> None:
    made = make_pairs(3)
    judged(store, desks, made[:2], "aat")
    lineage = learning.lineage(learning.freeze(store, policy=Policy(ties="drop")).table)
    ids = [pair.id for pair in made]
    table = said(
        [*ids, "gone"], split=["test", "train", "test", "calibration"], target=[0.5, 1.0, None, None]
    )
    model = models.register(store, row(lineage=lineage), table)
    for _ in range(2):
        probe = ProbeRow(id="probe_1", model_id=model.id, actor="ann", figures={"accuracy": {"value": 1.0}})
        models.add_probe(store, probe, said([ids[2]], target=[0.0]).drop_columns("split"))
    judged(store, desks, [made[2]], "bb")

    found = models.predictions(store, model.id).to_pylist()
    assert [(r["pair_id"], r["split"], r["target"], r["now"], r["probe_id"]) for r in found] == [
        *sorted([(ids[0], "test", 0.5, 1.0, None), (ids[2], "test", None, 0.0, None)]),
        (ids[2], "probe", 0.0, 0.0, "probe_1"),
    ]
    assert {r["group"] for r in found} == {made[0].prompt.id, made[2].prompt.id}
    assert {r["campaign_id"] for r in found} == {campaigns.first(store).id}
    assert {r["submitted_at"].day for r in found} == {2, 3} and {r["category"] for r in found} == {"general"}
    assert len(models.predictions(store, model.id, models.SPLITS)) == 5
    (rest,) = models.predictions(store, model.id, ["calibration"]).to_pylist()
    assert (rest["pair_id"], rest["group"], rest["now"], rest["category"]) == ("gone", "gone", None, None)
    assert len(models.predictions(store, model.id, models.SPLITS, probe_id="probe_1")) == 1
    (logged,) = models.probes(store, model.id)
    assert logged.figures == {"accuracy": {"value": 1.0}} and models.probes(store, campaign_id="c_no") == []
    with pytest.raises(ModelError, match="no model with the id"):
        models.add_probe(store, ProbeRow(id="p", model_id="m_no", actor="ann"), said([]))
    assert [action for _, action, _ in audited(store)] == ["register", "probe"]
