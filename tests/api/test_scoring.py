"""Scoring over HTTP: a model trained by the app, asked in every way and by many at once, and what it is asked in vain."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis import APIOperation

from api.main import api
from tests.api.conftest import Learned, ended
from tests.api.documented import answers_as_documented

LONG = "The answer is forty-two, and here is why, step by step: first, six times seven; then, nothing else."
SHORT = "idk"
SCORING = ("/score", "/rerank", "/predict")


def score(
    client: httpx.Client, response: str, prompt: object = "What is six times seven?", **rest: object
) -> float:
    answer = client.post("/score", json={"items": [{"prompt": prompt, "response": response}], **rest})
    assert answer.status_code == 200, answer.text
    return float(answer.json()["items"][0]["score"])


def test_nothing_heavy_is_loaded_before_the_first_score(learned: Learned, asking: httpx.Client) -> None:
    assert "duckdb" in learned.mapped and "libtorch" not in learned.mapped
    score(asking, LONG)
    assert "libtorch" in Path(f"/proc/{learned.server.process.pid}/maps").read_text()


def test_score_rerank_and_predict_agree(learned: Learned, asking: httpx.Client) -> None:
    texts = [SHORT, LONG, "Forty-two.", LONG]
    rewards = [score(asking, text) for text in texts]
    ranking = asking.post("/rerank", json={"prompt": "What is six times seven?", "candidates": texts}).json()
    assert (
        ranking["model"]["id"] == learned.first and ranking["fallback"] is False and ranking["reason"] is None
    )
    assert [one["index"] for one in ranking["ranked"]] == sorted(range(4), key=lambda i: -rewards[i])
    assert [one["score"] for one in ranking["ranked"]] == pytest.approx(
        sorted(rewards, reverse=True), abs=5e-3
    )
    pair = {"prompt": "What is six times seven?", "response_a": LONG, "response_b": SHORT}
    swapped = {**pair, "response_a": SHORT, "response_b": LONG}
    same = {**pair, "response_b": LONG}
    found = asking.post("/predict", json={"pairs": [pair, swapped, same]}).json()
    one, other, equal = found["pairs"]
    assert one["probability"] + other["probability"] == pytest.approx(1, abs=1e-9)
    assert (one["choice"] == "a") == (rewards[1] > rewards[0])
    assert one["confidence"] == other["confidence"] == max(one["probability"], other["probability"])
    assert equal == {"probability": 0.5, "choice": "tie", "confidence": 0.5}


def test_identical_candidates_stay_in_the_given_order(asking: httpx.Client) -> None:
    ranked = asking.post("/rerank", json={"prompt": "x", "candidates": [SHORT] * 5}).json()["ranked"]
    assert [one["index"] for one in ranked] == [0, 1, 2, 3, 4] and len({one["score"] for one in ranked}) == 1


def test_a_prompt_may_be_a_chat(asking: httpx.Client) -> None:
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is six times seven?"},
    ]
    score(asking, LONG, chat)
    assert asking.post("/rerank", json={"prompt": chat, "candidates": [LONG, SHORT]}).status_code == 200


def test_a_model_by_id_name_and_alias(learned: Learned, asking: httpx.Client) -> None:
    item = {"items": [{"prompt": "x", "response": LONG}]}
    for asked, expected in (
        (learned.second, learned.second),
        ("sample", learned.first),
        (None, learned.first),
    ):
        assert asking.post("/score", json={**item, "model": asked}).json()["model"]["id"] == expected
    answer = asking.post("/rerank", json={"prompt": "x", "candidates": ["y"], "model": "m_none"})
    assert answer.status_code == 404 and answer.json()["field"] == "model"
    assert "no model with the id, name or alias 'm_none'" in answer.json()["detail"]


def test_a_swap_is_at_once_and_a_rollback_too(learned: Learned, asking: httpx.Client) -> None:
    item = {"items": [{"prompt": "x", "response": LONG}]}

    def answers() -> str:
        return str(asking.post("/score", json=item).json()["model"]["version"])

    assert answers() == "1.0.0"
    asking.post(f"/models/{learned.second}/deploy").raise_for_status()
    assert answers() == "1.1.0"
    asking.post(f"/models/{learned.second}/rollback").raise_for_status()
    assert answers() == "1.0.0"


def test_sixteen_clients_at_once(learned: Learned, asking: httpx.Client) -> None:
    texts = [f"{LONG} {number}" for number in range(16)]
    alone = [score(asking, text) for text in texts]
    together = threading.Barrier(16)

    def ask(text: str) -> float:
        with httpx.Client(base_url=asking.base_url, timeout=120) as client:
            together.wait()
            return score(client, text)

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, texts)) == pytest.approx(alone, abs=5e-3)


@pytest.mark.parametrize(
    ("route", "body", "says"),
    [
        ("/score", {"items": []}, "at least 1 item"),
        ("/score", {"items": [{"prompt": "x", "response": "y"}] * 257}, "at most 256 items"),
        ("/score", {"items": [{"prompt": "x"}]}, "response: Field required"),
        ("/score", {"items": [{"prompt": "x", "response": "a\0b"}]}, "NUL"),
        ("/score", {"items": [{"prompt": "\ud800", "response": "y"}]}, "items.0.prompt"),
        ("/score", {"items": [{"prompt": [], "response": "y"}]}, "at least 1 item"),
        ("/score", {"items": [{"prompt": [{"role": "king", "content": "x"}], "response": "y"}]}, "'assistant'"),
        ("/score", {"items": [{"prompt": "x", "response": "y" * 1_000_000}]}, "at most 200000 characters"),
        ("/rerank", {"prompt": "x", "candidates": []}, "at least 1 item"),
        ("/rerank", {"prompt": "x", "candidates": ["y"] * 257}, "at most 256 items"),
        ("/rerank", {"prompt": "x", "candidates": ["y" * 150_000] * 20}, "at most 2,000,000 are taken at once"),
        ("/rerank", {"prompt": "x", "candidates": "abc"}, "valid list"),
        ("/predict", {"pairs": []}, "at least 1 item"),
        ("/predict", {"pairs": [{"prompt": "x", "response_a": "y"}]}, "response_b: Field required"),
        ("/predict", {"pairs": [], "modell": "x"}, "Extra inputs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_bad_input_is_refused_with_where_and_why(
    asking: httpx.Client, route: str, body: dict[str, Any], says: str
) -> None:
    answer = asking.post(route, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and says in answer.json()["detail"], answer.text[:500]


def test_odd_texts_are_scored(asking: httpx.Client) -> None:
    candidates = ["", " ", "\u2028", "🙂" * 50_000, "x" * 200_000, "<script>", "a\u0301", "السلام عليكم"]
    ranked = asking.post("/rerank", json={"prompt": "", "candidates": candidates}).json()["ranked"]
    assert sorted(one["index"] for one in ranked) == list(range(len(candidates)))
    assert all(isinstance(one["score"], float) for one in ranked)


def test_without_a_model_candidates_come_back_as_given(client: httpx.Client) -> None:
    answer = client.post("/rerank", json={"prompt": "x", "candidates": ["b", "a"]})
    assert answer.status_code == 200
    assert answer.json() == {
        "model": None,
        "fallback": True,
        "reason": "No model is deployed: train one and deploy it on the Models page.",
        "ranked": [{"index": 0, "score": None}, {"index": 1, "score": None}],
    }
    for route, body in (
        ("/score", {"items": [{"prompt": "x", "response": "y"}]}),
        ("/predict", {"pairs": [{"prompt": "x", "response_a": "y", "response_b": "z"}]}),
    ):
        answer = client.post(route, json=body)
        assert answer.status_code == 409 and "deploy it on the Models page" in answer.json()["detail"]


def test_damaged_weights_say_so_and_work_again_once_mended(learned: Learned, asking: httpx.Client) -> None:
    started = asking.post("/jobs", json={"kind": "calibrate", "model": learned.first})
    home = learned.server.log.parent / "models" / started.json()["id"]
    model_id = ended(asking, started.json()["id"])["model_id"]
    weights = home / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    item = {"items": [{"prompt": "x", "response": "y"}], "model": model_id}
    for answer in (asking.post("/score", json=item), asking.post(f"/models/{model_id}/deploy")):
        assert answer.status_code == 503 and "SHA-256 differs" in answer.json()["detail"]
    ranking = asking.post("/rerank", json={"prompt": "x", "candidates": ["a", "b"], "model": model_id}).json()
    assert ranking["fallback"] is True and "SHA-256 differs" in ranking["reason"]
    weights.write_bytes(whole)
    assert asking.post("/score", json=item).status_code == 200
    service = asking.get(f"/models/{model_id}/production").json()["service"]
    assert service["error_rate"]["value"] == pytest.approx(2 / 3) and service["p50"]["n"] == 1
    assert asking.post(f"/models/{model_id}/archive").json()["status"] == "archived"
    answer = asking.post("/score", json=item)
    assert answer.status_code == 409 and "is archived; restore it first" in answer.json()["detail"]


OPERATIONS = [
    found.ok()
    for found in schemathesis.openapi.from_dict(api.openapi()).get_all_operations()
    if found.ok().path in SCORING
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_a_model_answers_as_documented(learned: Learned, operation: APIOperation) -> None:
    answers_as_documented(learned.server, operation)


def test_requests_are_counted_by_model_and_route(learned: Learned, asking: httpx.Client) -> None:
    def counted() -> dict[str, Any]:
        return dict(asking.get(f"/models/{learned.first}/production", params={"unit": "day"}).json())

    item = {"prompt": "x", "response": LONG}
    pair = {"prompt": "x", "response_a": LONG, "response_b": SHORT}
    before = counted()
    for _ in range(3):
        asking.post("/score", json={"items": [item] * 4}).raise_for_status()
    asking.post("/rerank", json={"prompt": "x", "candidates": [LONG, SHORT, "ok"]}).raise_for_status()
    asking.post("/predict", json={"pairs": [pair, pair]}).raise_for_status()
    assert asking.post("/score", json={"items": [item], "model": "nobody"}).status_code == 404
    after = counted()
    assert after["deployments"][-1]["until"] is None
    nothing = {"requests": 0, "texts": 0}
    gained = {
        route: [now[what] - before["routes"].get(route, nothing)[what] for what in nothing]
        for route, now in after["routes"].items()
    }
    assert {route: more for route, more in gained.items() if any(more)} == {
        "score": [3, 12], "rerank": [1, 3], "predict": [1, 4],
    }  # fmt: skip
    assert after["service"]["requests"] == sum(w["service"]["requests"] for w in after["windows"])
    assert 0 < after["service"]["p50"]["value"] <= after["service"]["p95"]["value"] < 60_000
    assert after["service"]["error_rate"]["n"] == after["service"]["requests"]
    trained = asking.get(f"/models/{learned.first}").json()["figures"]
    assert after["held_out"]["accuracy"]["value"] == trained["accuracy"]["value"]
    for unknown in (after["satisfaction"], after["cost"]):
        assert unknown["value"] is None and "recorded yet" in unknown["reason"]
