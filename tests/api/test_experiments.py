"""An A/B experiment over HTTP: from two versions of a model to the one that is deployed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from jobs import models
from tests.api.inside import inside
from tests.pages.registered import judged, version

Arms = tuple[str, str]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Arms]]:
    """The API, and the ids of the versions 1.0.0, which is deployed, and 1.1.0."""
    with (
        pytest.MonkeyPatch.context() as patch,
        inside(patch, tmp_path_factory.mktemp("experiments"), ATTUNE_AUTH="off") as (url, bench),
        httpx.Client(base_url=f"{url}/api", timeout=60) as client,
    ):
        judged(bench, 60)
        first, second = version(bench).id, version(bench).id
        models.deploy(bench, first, "ann")
        yield client, (first, second)


@pytest.fixture
def asking(app: tuple[httpx.Client, Arms]) -> httpx.Client:
    return app[0]


@pytest.fixture
def arms(app: tuple[httpx.Client, Arms]) -> Arms:
    return app[1]


@pytest.fixture(scope="module")
def begun(app: tuple[httpx.Client, Arms]) -> dict[str, Any]:
    """An experiment between both versions."""
    client, (first, second) = app
    new = {
        "name": "Calibrated?",
        "control": first,
        "treatment": second,
        "metric": "win",
        "planned": 600,
        "worth": 0.02,
    }
    answer = client.post("/models/ab-test", json=new)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_from_two_versions_to_the_better_one(arms: Arms, asking: httpx.Client, begun: dict[str, Any]) -> None:
    assert (begun["state"], begun["units"], begun["share"], begun["target"]) == ("running", 0, 0.5, 600)
    assert begun["treatment"] == {"id": arms[1], "name": "votes", "version": "1.1.0"}
    path = f"/experiments/{begun['id']}"

    def assigned(unit: str) -> dict[str, Any]:
        return dict(asking.get(f"{path}/assign", params={"unit": unit}).json())

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(assigned, [f"user {i % 260}" for i in range(360)]))
    assert found[:100] == found[260:] and all(one["counted"] for one in found)
    assert {one["model"]["id"] for one in found} == {arms[0], arms[1]}
    r = np.random.default_rng(0)
    sent = [{"unit": one["unit"], "metric": "win", "value": float(r.random() < (0.8 if one["variant"] == "treatment" else 0.5)), "id": one["unit"]}
            for one in found[:260]]  # fmt: skip
    sent.append({"unit": "nobody", "metric": "win", "value": 1})
    taken = asking.post(f"{path}/outcomes", json={"outcomes": sent}).json()
    assert (taken["added"], taken["duplicate"]) == (260, 0)
    assert taken["refused"] == [{"row": 261, "field": "unit", "reason": "no arm was assigned to it; ask for its assignment first"}]  # fmt: skip
    assert asking.post(f"{path}/outcomes", json={"outcomes": sent[:9]}).json()["duplicate"] == 9

    whole = asking.get(path).json()
    analysis, win = whole["analysis"], whole["analysis"]["metrics"]["win"]
    assert whole["units"] == 260 and analysis["ratio"]["mismatch"] is False
    assert analysis["recommendation"] == "deploy treatment" and "it is better" in analysis["why"]
    assert win["effect"]["low"] > 0 and win["p_value"] < 0.05 and win["days"][-1]["effect"] == win["effect"]
    assert [one["id"] for one in asking.get("/experiments").json()["items"]] == [begun["id"]]

    answer = asking.post(f"/models/{arms[1]}/archive")
    assert answer.status_code == 409 and "is in the experiment Calibrated?" in answer.json()["detail"]
    assert asking.post(f"{path}/pause").json()["state"] == "paused"
    assert assigned("user 1")["counted"] and not assigned("late")["counted"]
    assert asking.post(f"{path}/pause").status_code == 409
    assert asking.post(f"{path}/resume").json()["state"] == "running"
    assert asking.post(f"{path}/extend", json={"planned": 900}).json()["target"] == 900
    answer = asking.post(f"{path}/extend", json={"planned": 900})
    assert answer.status_code == 409 and "extend it to more" in answer.json()["detail"]

    done = asking.post(f"{path}/deploy", json={}).json()
    assert (done["state"], done["deployed"]) == ("deployed", "treatment")
    assert asking.get(f"/models/{arms[1]}").json()["status"] == "deployed"
    assert assigned("late") == {"unit": "late", "variant": "treatment", "model": begun["treatment"], "counted": False,
                                "reason": "The treatment was deployed."}  # fmt: skip
    for step, body in (
        ("deploy", {"variant": "control"}),
        ("end", None),
        ("outcomes", {"outcomes": sent[:1]}),
    ):
        assert asking.post(f"{path}/{step}", json=body).status_code == 409
    assert asking.post(f"/models/{arms[1]}/rollback").json()["id"] == arms[0]


def test_nothing_is_deployed_that_is_not_recommended_or_named(arms: Arms, asking: httpx.Client) -> None:
    new = {"name": "Empty", "control": arms[0], "treatment": arms[1], "metric": "cost"}
    key = asking.post("/models/ab-test", json=new).json()["id"]
    answer = asking.post(f"/experiments/{key}/deploy", json={})
    assert answer.status_code == 409
    assert answer.json()["detail"] == "Neither arm is recommended (go on): name the variant. No outcome of cost has come in yet."  # fmt: skip
    assert asking.post(f"/experiments/{key}/end").json()["state"] == "ended"
    assert asking.post(f"/experiments/{key}/deploy", json={"variant": "control"}).json()["deployed"] == "control"  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"name": " "}, 422, "at least 1 character"),
        ({"metric": "clicks"}, 422, "rating"),
        ({"share": 0}, 422, "0.01"),
        ({"planned": 10}, 422, "200"),
        ({"worth": -1}, 422, "0"),
        ({"split": 0.3}, 422, "Extra inputs"),
        ({"treatment": "m_none"}, 404, "There is no model with the id 'm_none'."),
        ({"treatment": None}, 422, "valid string"),
        ({"treatment": "the control"}, 409, "it is the control as well"),
    ],
    ids=str,
)
def test_one_that_cannot_begin(
    arms: Arms, asking: httpx.Client, change: dict[str, Any], status: int, says: str
) -> None:
    new = {"name": "Wrong", "control": arms[0], "treatment": arms[1], "metric": "win"} | change
    if new["treatment"] == "the control":
        new["treatment"] = arms[0]
    answer = asking.post("/models/ab-test", json=new)
    assert answer.status_code == status and says in answer.json()["detail"]
    assert "Wrong" not in asking.get("/experiments").text


@pytest.mark.parametrize(
    "change",
    [{"unit": ""}, {"metric": "clicks"}, {"value": "high"}, {"value": None}, {"at": "2026-03-02T10:00"}, {"id": "a\0"}, {"when": 1}],
    ids=str,
)  # fmt: skip
def test_malformed_outcomes_add_nothing(
    asking: httpx.Client, begun: dict[str, Any], change: dict[str, Any]
) -> None:
    good = {"unit": "user 1", "metric": "cost", "value": 1.0}
    answer = asking.post(f"/experiments/{begun['id']}/outcomes", json={"outcomes": [good, good | change]})
    assert answer.status_code == 422 and f"outcomes.1.{next(iter(change))}" in answer.json()["field"]
    assert "cost" not in asking.get(f"/experiments/{begun['id']}").json()["analysis"]["metrics"]


def test_there_is_no_such_experiment(asking: httpx.Client) -> None:
    one = {"outcomes": [{"unit": "u", "metric": "win", "value": 1}]}
    steps = {
        "pause": None,
        "resume": None,
        "end": None,
        "deploy": {},
        "extend": {"planned": 500},
        "outcomes": one,
    }
    answers = [asking.post(f"/experiments/x_none/{step}", json=body) for step, body in steps.items()]
    answers += [asking.get("/experiments/x_none"), asking.get("/experiments/x_none/assign?unit=u")]
    for answer in answers:
        assert answer.status_code == 404
        assert answer.json() == {"detail": "There is no experiment with the id 'x_none'."}
