"""Each route as a script uses it, with sign-in off."""

import csv
import io
import json
import math
import re
import threading
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.api.conftest import fresh_campaign_rows
from tests.serving import Server


def upload(client: httpx.Client, name: str, content: bytes, **form: str) -> dict[str, Any]:
    answer = client.post("/pairs/upload", files={"file": (name, content)}, data={"format": "csv", **form})
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def fetch(client: httpx.Client, annotator: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/annotations/next", params={"annotator": annotator}).json()
    assert found["status"] == "pair"
    return found


def answer_to(found: dict[str, Any], annotator: str, **rest: Any) -> dict[str, Any]:
    return {
        "pair_id": found["pair_id"],
        "lease_id": found["lease_id"],
        "annotator": annotator,
        "choice": "a",
        **rest,
    }


def test_health_and_documentation_need_nothing_from_outside(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    page = client.get("/docs").text
    found = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert found and all(link.startswith("/api/") for link in found)
    assert all(client.get(link.removeprefix("/api")).status_code == 200 for link in found)
    assert client.get("/openapi.json").json()["info"]["title"] == "Attune"


def test_prompts(client: httpx.Client) -> None:
    new = {
        "text": "Why is the sky blue?\u2028Really?",
        "category": "physics",
        "tags": ["light"],
        "attributes": {"lang": "en"},
    }
    first = client.post("/prompts", json=new)
    assert first.status_code == 201
    stored = first.json()
    assert {name: stored[name] for name in new} == new
    assert stored["messages"] == [{"role": "user", "content": new["text"]}]
    again = client.post("/prompts", json={"text": f" {new['text']} "})
    assert (again.status_code, again.json()["id"]) == (200, stored["id"])
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Sky?"}]
    assert client.post("/prompts", json={"messages": chat}).json()["messages"] == chat
    for query in (
        {"search": "SKY BLUE"},
        {"category": ["physics", "x"]},
        {"tag": "light"},
        {"search": stored["id"]},
    ):
        page = client.get("/prompts", params=query).json()
        assert (page["total"], page["items"][0]["id"]) == (1, stored["id"])
    assert client.get("/prompts", params={"tag": "light", "offset": 1}).json() == {"total": 1, "items": []}


def test_prompts_upload(client: httpx.Client) -> None:
    rows = [
        {"prompt": "Upload one", "topic": "t"},
        {"prompt": ""},
        {"prompt": "Upload one"},
        {"prompt": ["Hi", "Ho"]},
        7,
    ]
    content = "\n".join([json.dumps(row) for row in rows] + ["{broken"]).encode()
    answer = client.post("/prompts/upload", files={"file": ("p.jsonl", content)}, data={"category": "mine"})
    report = answer.json()
    assert (report["added"], report["duplicate"]) == (2, 1)
    assert [(r["row"], r["field"]) for r in report["refused"]] == [(2, "prompt"), (5, None), (6, None)]
    assert all(refusal["reason"] for refusal in report["refused"])
    assert client.get("/prompts", params={"search": "upload one"}).json()["items"][0]["category"] == "t"


def test_generate(client: httpx.Client) -> None:
    stored = client.post("/prompts", json={"text": "Generate from me"}).json()["id"]
    wanted = {
        "prompt_ids": [stored, "p_none"],
        "texts": ["Generate from this", " ", "Generate from this"],
        "b": {"temperature": 1.3, "system": "Be odd.", "seed": 5},
    }
    made = client.post("/generate", json=wanted).json()
    assert made["added"] == 2 and len(made["pair_ids"]) == 2
    assert sorted(failed["reason"] for failed in made["failed"]) == [
        "The text is empty.",
        "There is no prompt with this id.",
    ]
    pair = next(
        p for p in (client.get(f"/pairs/{i}").json() for i in made["pair_ids"]) if p["prompt"]["id"] == stored
    )
    assert pair["response_a"]["text"] != pair["response_b"]["text"]
    assert pair["response_a"]["params"]["temperature"] == 0.2
    assert {"temperature": 1.3, "system": "Be odd.", "seed": 5}.items() <= pair["response_b"][
        "params"
    ].items()
    for texts, says in (([], "0 prompts"), ([f"t {i}" for i in range(101)], "python -m jobs generate-pairs")):
        refused = client.post("/generate", json={"texts": texts})
        assert refused.status_code == 422 and says in refused.json()["detail"]
    missing = client.post("/generate", json={"texts": ["x"], "a": {"provider": "openai"}})
    assert missing.status_code == 422 and "OPENAI_API_KEY" in missing.json()["detail"]
    assert client.post("/generate", json={"texts": ["x"], "campaign": "c_none"}).status_code == 404


def test_pairs_of_every_format(client: httpx.Client) -> None:
    trl = {"prompt": "Format trl", "chosen": "yes", "rejected": "no"}
    hh = {name: f"\n\nHuman: Format hh\n\nAssistant: {name}" for name in ("chosen", "rejected")}
    judged = {
        "prompt": "Format annotated",
        "response_a": "x",
        "response_b": "y",
        "annotator": "Zoe",
        "choice": "equal",
    }
    for fmt, row in {"trl": trl, "hh": hh, "annotated": judged}.items():
        content = json.dumps([row, row, {"prompt": "nothing else"}]).encode()
        report = upload(client, "f.json", content, format=fmt, labels="annotations", source=f"source {fmt}")
        assert (report["added"], report["duplicate"], len(report["refused"])) == (
            1,
            {"annotated": 0}.get(fmt, 1),
            1,
        )
        assert report["annotations"] == (2 if fmt == "annotated" else 1) or fmt != "annotated"
        (pair,) = client.get("/pairs", params={"search": f"Format {fmt}"}).json()["items"]
        assert pair["source"] == f"source {fmt}" and pair["annotations"] >= 1
    page = client.get("/annotations", params={"pair_id": pair["id"]}).json()
    assert {item["choice"] for item in page["items"]} == {"tie"} and page["items"][0]["annotator"] == "Zoe"
    gold = json.dumps([{**trl, "prompt": "Format gold"}]).encode()
    upload(client, "f.json", gold, format="trl", labels="gold")
    (pair,) = client.get("/pairs", params={"search": "Format gold"}).json()["items"]
    assert pair["gold"] == ("a" if pair["response_a"] == "yes" else "b") and pair["annotations"] == 0


def test_annotating(client: httpx.Client) -> None:
    upload(client, "p.csv", fresh_campaign_rows("annotating", 3))
    found = fetch(client, "Ann")
    assert fetch(client, "Ann")["lease_id"] == found["lease_id"], "the same pair until it is judged"
    assert set(found) == {"status", "lease_id", "pair_id", "campaign", "prompt", "response_a", "response_b", "left",
                          "expires_at", "progress"}  # fmt: skip
    assert set(found["response_a"]) == {"id", "text"} and "model" not in json.dumps(found)
    said = answer_to(found, "Ann", choice="b", strength=2, confidence=4, reason="Clearer.", seconds=3.5)
    first = client.post("/annotations", json=said)
    stored = first.json()
    assert first.status_code == 201
    assert stored["preferred_id"] == found["response_b"]["id"] and stored["left"] == found["left"]
    assert {
        "choice": "b",
        "strength": 2,
        "confidence": 4,
        "reason": "Clearer.",
        "seconds": 3.5,
    }.items() <= stored.items()
    again = client.post("/annotations", json=said)
    assert (again.status_code, again.json()) == (200, stored)
    assert client.post("/annotations", json=said | {"choice": "a"}).status_code == 409
    assert fetch(client, "Ann")["pair_id"] != found["pair_id"]

    changed = client.patch(
        f"/annotations/{stored['id']}", params={"annotator": "Ann"}, json={"choice": "tie"}
    ).json()
    assert (changed["choice"], changed["supersedes"], changed["left"]) == ("tie", stored["id"], found["left"])
    assert (
        client.patch(
            f"/annotations/{stored['id']}", params={"annotator": "Ann"}, json={"choice": "a"}
        ).status_code
        == 409
    )
    assert client.delete(f"/annotations/{changed['id']}", params={"annotator": "Bea"}).status_code == 404
    undone = client.delete(f"/annotations/{changed['id']}", params={"annotator": "Ann"}).json()
    back = fetch(client, "Ann")
    assert (back["lease_id"], back["pair_id"], back["left"]) == (
        undone["lease_id"],
        found["pair_id"],
        found["left"],
    )
    mine = {"pair_id": found["pair_id"], "annotator_id": stored["annotator_id"]}
    assert client.get("/annotations", params=mine).json()["total"] == 0

    by_id = answer_to(back, "Ann", choice=None, preferred_id=back["response_a"]["id"], id="client-made-1")
    by_id.pop("choice")
    assert client.post("/annotations", json=by_id).json()["choice"] == "a"
    assert client.post("/annotations", json=by_id).status_code == 200
    page = client.get("/annotations", params=mine).json()
    assert [item["id"] for item in page["items"]] == ["client-made-1"]
    assert page["items"][0]["annotator"] == "Ann"


def test_what_cannot_be_taken(client: httpx.Client) -> None:
    upload(client, "p.csv", fresh_campaign_rows("refusing", 30))
    found = fetch(client, "Cas")
    good = answer_to(found, "Cas")
    tries: list[tuple[dict[str, Any], int, str]] = [
        ({"confidence": 6}, 422, "confidence"),
        ({"confidence": 0}, 422, "confidence"),
        ({"confidence": "5"}, 422, "confidence"),
        ({"confidence": 10**400}, 422, "confidence"),
        ({"strength": 4}, 422, "strength"),
        ({"strength": 1, "choice": "tie"}, 422, "strength"),
        ({"seconds": -1}, 422, "seconds"),
        ({"aspects": {"unknown": "a"}}, 422, "aspects"),
        ({"reason": "x" * 10_001}, 422, "reason"),
        ({"reason": "a\0b"}, 422, "reason"),
        ({"reason": "\ud800"}, 422, "reason"),
        ({"choice": "c"}, 422, "choice"),
        ({"choice": "a", "preferred_id": found["response_a"]["id"]}, 422, "choice"),
        ({"choice": None}, 422, "choice"),
        ({"choice": None, "preferred_id": "r_none"}, 422, "preferred_id"),
        ({"confidance": 5}, 422, "confidance"),
        ({"id": "short"}, 422, "id"),
        ({"annotator": ""}, 422, ""),
        ({"annotator": "a\nb"}, 422, ""),
        ({"pair_id": "x_none"}, 404, ""),
        ({"pair_id": "x_none", "lease_id": None}, 404, ""),
        ({"lease_id": "l_none"}, 404, ""),
        ({"campaign": "c_none"}, 404, "campaign"),
    ]
    for change, status, field in tries:
        answer = client.post(
            "/annotations", content=json.dumps(good | change), headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json().get("field", "")) == (status, field), (change, answer.text)
    other = fetch(client, "Dan")
    assert client.post("/annotations", json=answer_to(other, "Cas")).status_code == 404, (
        "somebody else's lease"
    )
    for content in (
        b'{"seconds": NaN}',
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"confidence": 1' + b"0" * 5000 + b"}",
        b"",
        b"null",
        b"[]",
    ):
        answer = client.post("/annotations", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422) and answer.json()["detail"]
    plain = client.post("/annotations", content=json.dumps(good), headers={"Content-Type": "text/plain"})
    assert plain.status_code == 422
    assert client.post("/annotations", json=good).status_code == 201, "none of it left a trace"


def test_a_pair_takes_k_annotators_and_a_double_click_counts_once(client: httpx.Client) -> None:
    upload(client, "p.csv", fresh_campaign_rows("cap", 1))
    pair_id = client.get("/pairs", params={"search": "cap question"}).json()["items"][0]["id"]
    statuses: list[int] = []

    def judge(name: str) -> None:
        said = {
            "pair_id": pair_id,
            "choice": "a",
            "annotator": name,
            "id": f"double-click-{name.replace(' ', '-')}",
        }
        statuses.append(client.post("/annotations", json=said).status_code)

    threads = [threading.Thread(target=judge, args=(f"cap {i // 2}",)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = Counter(statuses)
    assert (counts[201], counts[200], counts[409]) == (3, 3, 6)
    assert client.get("/annotations", params={"pair_id": pair_id}).json()["total"] == 3


def test_metrics(client: httpx.Client) -> None:
    lines = ["pair_id,prompt,response_a,response_b,annotator,choice,category"]
    for pair in range(30):
        choices = {"Me": "a", "Mo": "a" if pair % 3 else "tie", "Mi": "b" if pair % 5 == 0 else "a"}
        lines += [f"m{pair},metrics {pair},x,y,{name},{choice},metrics" for name, choice in choices.items()]
    upload(client, "m.csv", "\n".join(lines).encode(), format="annotated")
    figures = client.get("/metrics", params={"category": "metrics"}).json()
    agreeing = sum(1 + 2 * (p % 3 > 0 and p % 5 > 0) - (p % 3 == 0 and p % 5 == 0) for p in range(30)) / 90
    assert figures["raw_agreement"]["value"] == pytest.approx(agreeing)
    assert figures["raw_agreement"]["n"] == 30 and figures["raw_agreement"]["target"] == 0.85
    for figure in figures.values():
        assert set(figure) == {"value", "low", "high", "n", "target", "reason"}
        assert (figure["value"] is None) == bool(figure["reason"]) or figure["low"] is None
    assert figures["self_consistency"]["value"] is None and figures["self_consistency"]["reason"]
    dropped = client.get("/metrics", params={"category": "metrics", "ties": "drop"}).json()
    assert dropped["raw_agreement"]["value"] > figures["raw_agreement"]["value"]
    nothing = client.get("/metrics", params={"category": "no such"}).json()
    assert nothing["raw_agreement"]["value"] is None and nothing["raw_agreement"]["n"] == 0
    assert client.get("/metrics", params={"campaign": "c_none"}).status_code == 404
    assert client.get("/metrics", params={"ties": "maybe"}).status_code == 422


@pytest.mark.parametrize("route", ["", "/bias", "/annotators", "/ranking", "/timeline"])
def test_metrics_of_some_kinds_of_annotator(client: httpx.Client, route: str) -> None:
    lines = ["pair_id,prompt,response_a,response_b,annotator,choice,category,model_a,model_b"]
    lines += [
        f"k{n},kinds {n},{'x' * n},yy,{who},a,kinds,one,two" for n in range(1, 13) for who in ("Kim", "Kai")
    ]
    upload(client, "k.csv", "\n".join(lines).encode(), format="annotated")

    def found(*kinds: str) -> Any:
        return (
            client.get(f"/metrics{route}", params={"category": "kinds", "kind": kinds})
            .raise_for_status()
            .json()
        )

    assert found() == found("imported") == found("simulated", "imported") != found("simulated", "person")
    assert client.get(f"/metrics{route}", params={"kind": "robot"}).status_code == 422


def test_ranking(client: httpx.Client) -> None:
    lines = ["prompt,response_a,response_b,annotator,choice,category,model_a,model_b"]
    for i in range(60):
        a, b = ("large", "small") if i % 2 else ("small", "large")
        choice = (
            "tie"
            if i % 10 == 0
            else "both_bad"
            if i % 10 == 1
            else "a"
            if (i % 3 > 0) == (a == "large")
            else "b"
        )
        lines.append(
            f"ranking {i},{'words ' * (1 + i % 7)},{'words ' * (1 + i % 5)},Rae,{choice},ranking,{a},{b}"
        )
    lines.append("ranking lone,x,y,Rae,a,ranking,,")
    upload(client, "r.csv", "\n".join(lines).encode(), format="annotated")
    query = {"category": "ranking"}
    found = client.get("/metrics/ranking", params=query).json()
    assert found["comparisons"] == 54 and found["left_out"] == {"unnamed": 1, "both_bad": 6}
    large, small = found["models"]
    assert (large["model"], small["model"], found["reason"]) == ("large", "small", None)
    won = sum((i % 3 > 0) if i % 10 else 0.5 for i in range(60) if i % 10 != 1) / 54
    assert large["won"]["value"] == pytest.approx(won)
    assert large["strength"]["value"] == pytest.approx(math.log(won / (1 - won)) / 2)
    assert large["strength"]["low"] < large["strength"]["value"] < large["strength"]["high"]
    assert large["points"]["value"] + small["points"]["value"] == pytest.approx(2000)
    assert (large["best_rank"], small["worst_rank"]) == (1, 2)
    assert {(row["model"], row["against"]): row["won"]["n"] for row in found["head_to_head"]} == {
        ("large", "small"): 54, ("small", "large"): 54,
    }  # fmt: skip
    assert found["style"] == {}
    equal = client.get("/metrics/ranking", params={**query, "control": "style", "ties": "drop"}).json()
    assert equal["comparisons"] == 48 and equal["left_out"]["tie"] == 6
    assert equal["style"]["characters (log)"]["value"] is not None
    assert equal["style"]["code (log)"]["reason"] == "No two answers differ in it."
    people = client.get("/metrics/ranking", params={**query, "over": "both"}).json()
    assert people["models"][0]["strength"]["low"] is None and "annotators need 10" in people["reason"]
    nothing = client.get("/metrics/ranking", params={"category": "no such"}).json()
    assert (nothing["models"], nothing["comparisons"]) == ([], 0) and "two different models" in nothing[
        "reason"
    ]
    assert client.get("/metrics/ranking", params={"campaign": "c_none"}).status_code == 404
    assert client.get("/metrics/ranking", params={"control": "length"}).status_code == 422


def test_timeline(client: httpx.Client) -> None:
    lines = ["prompt,response_a,response_b,annotator,choice,category,model_a,model_b,submitted_at"]
    for i in range(20):
        choice, day = "a" if i % 4 else "b", f"2026-03-{2 + 7 * (i % 2):02}T10:00:00Z"
        lines.append(f"timeline {i},a longer answer,short,Tim,{choice},timeline,large,small,{day}")
    upload(client, "t.csv", "\n".join(lines).encode(), format="annotated")
    query = {"category": "timeline", "unit": "week"}
    found = client.get("/metrics/timeline", params=query).json()
    assert found == {
        "windows": ["2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"],
        "groups": [{"name": "All", "counts": [10, 10], "shares": None}],
    }
    (longer,) = client.get("/metrics/timeline", params={**query, "measure": "longer"}).json()["groups"]
    assert [(one["value"], one["n"]) for one in longer["shares"]] == [(0.5, 10), (1.0, 10)]
    assert longer["shares"][0]["low"] < 0.5 < longer["shares"][0]["high"]
    wins = client.get("/metrics/timeline", params={**query, "measure": "wins", "split": "model"}).json()
    assert {one["name"]: [e["value"] for e in one["shares"]] for one in wins["groups"]} == {
        "large": [0.5, 1.0], "small": [0.5, 0.0],
    }  # fmt: skip
    whose = client.get("/metrics/timeline", params={**query, "measure": "wins"})
    assert whose.status_code == 422 and "Whose wins?" in whose.json()["detail"]
    nothing = client.get("/metrics/timeline", params={"category": "no such", "measure": "left"}).json()
    assert nothing["groups"] == []
    assert client.get("/metrics/timeline", params={"campaign": "c_none"}).status_code == 404
    assert client.get("/metrics/timeline", params={"unit": "century"}).status_code == 422


def test_bias_and_annotators(client: httpx.Client) -> None:
    lines = ["pair_id,prompt,response_a,response_b,annotator,choice,category,seconds,submitted_at"]
    for pair in range(30):
        for name, choice in {
            "Lo": "a",
            "La": "a" if pair % 3 else "tie",
            "Li": "b" if pair % 5 == 0 else "a",
        }.items():
            lines.append(
                f"b{pair},bias {pair},longer than,- it,{name},{choice},bias,{20 if name == 'Lo' else 0.1},2026-03-01T10:{pair:02}:00Z"
            )
    upload(client, "b.csv", "\n".join(lines).encode(), format="annotated")
    query = {"category": "bias"}
    found = client.get("/metrics/bias", params=query).json()
    assert set(found) == {"position", "length", "style", "speed"}
    length = found["length"]
    assert (length["share"]["value"], length["share"]["n"]) == (pytest.approx(74 / 80), 80)
    assert length["share"]["low"] < 74 / 80 < length["share"]["high"]
    assert (length["pairs"]["consensus"]["n"], length["pairs"]["gold"]["value"]) == (30, None)
    assert found["position"]["share"]["value"] is None and "left" in found["position"]["share"]["reason"]
    assert found["style"]["list_items"]["share"]["value"] == pytest.approx(6 / 80)
    assert found["speed"]["quick"]["value"] == pytest.approx(2 / 3)
    assert found["speed"]["less"]["low"] <= found["speed"]["less"]["value"] <= found["speed"]["less"]["high"]

    people = client.get("/metrics/annotators", params={**query, "order": "agreement"}).json()
    assert (people["total"], people["false_discovery_rate"]) == (3, 0.05)
    assert {a["name"] for a in people["annotators"]} == {"Lo", "La", "Li"}
    lo = next(a for a in people["annotators"] if a["name"] == "Lo")
    assert (lo["judged"], lo["kind"], lo["seconds"]["value"], lo["quick"]["value"]) == (30, "imported", 20, 0)
    assert lo["gold"]["value"] is None and lo["gold"]["reason"] and lo["changed"] is False
    assert lo["reliability"]["low"] < lo["reliability"]["value"] < lo["reliability"]["high"]
    second = client.get(
        "/metrics/annotators", params={**query, "order": "agreement", "offset": 1, "limit": 1}
    ).json()
    assert second["annotators"] == people["annotators"][1:2]
    assert client.get("/metrics/annotators", params={"order": "fame"}).status_code == 422
    assert client.get("/metrics/bias", params={"campaign": "c_none"}).status_code == 404
    nothing = client.get("/metrics/annotators", params={"category": "no such"}).json()
    assert (nothing["total"], nothing["annotators"]) == (0, [])
    assert client.get("/metrics/bias", params={"category": "no such"}).json()["length"]["share"]["reason"]


def test_metrics_are_not_stale(client: httpx.Client) -> None:
    lines = ["prompt,response_a,response_b,annotator,choice,category"]
    query = {"category": "stale"}
    for name in ("One", "Two"):
        lines += [f"stale,x,y,{name},a,stale"]
        upload(client, "s.csv", "\n".join(lines).encode(), format="annotated")
        figure = client.get("/metrics", params=query).json()["raw_agreement"]
    assert (figure["value"], figure["n"]) == (1.0, 1)


def test_export(client: httpx.Client) -> None:
    lines = ["prompt,response_a,response_b,annotator,choice,category"]
    for i in range(40):
        choice = "tie" if i % 10 == 0 else "ab"[i % 2]
        lines += [f"export {i},good {i},bad {i},{name},{choice},export" for name in ("Eva", "Eli")]
    lines += ["export lone,x,y,Eva,a,export"]
    upload(client, "e.csv", "\n".join(lines).encode(), format="annotated")
    query = {"category": "export"}

    def rows(**more: str | int) -> list[dict[str, Any]]:
        answer = client.get("/export/rlhf", params=query | more)
        assert answer.status_code == 200, answer.text
        report = json.loads(answer.headers["x-attune-report"])
        assert sum(report["exported"].values()) + sum(report["dropped"].values()) == report["pairs"] == 41
        return [json.loads(line) for line in answer.text.split("\n") if line]

    everything = rows()
    assert len(everything) == 37 and everything[0].keys() == {"prompt", "chosen", "rejected"}
    odd = next(row for row in everything if row["prompt"] == "export 1")
    assert odd == {"prompt": "export 1", "chosen": "bad 1", "rejected": "good 1"}
    assert len(rows(min_votes=2)) == 36 and len(rows(ties="keep")) == 37 + 8
    assert rows(shape="conversational")[0]["chosen"][0]["role"] == "assistant"
    assert len(rows(shape="kto")) == 74
    assert len(rows(label="dawid_skene")) >= 30
    splits = [rows(split=name) for name in ("train", "validation", "test")]
    prompts = [{row["prompt"] for row in split} for split in splits]
    assert sum(map(len, splits)) == 37 and not prompts[0] & prompts[1] and not prompts[0] & prompts[2]
    for wrong in ({"shape": "x"}, {"split": "all"}, {"min_votes": 0}, {"min_votes": 10**30}, {"label": ""}):
        assert client.get("/export/rlhf", params=query | wrong).status_code == 422
    assert client.get("/export/rlhf", params={"campaign": "c_none"}).status_code == 404


def test_export_csv_comes_back_in(client: httpx.Client) -> None:
    awkward = 'He said "=1+1",\nthen <script>alert(1)</script>\u2028'
    row = {
        "prompt": awkward,
        "response_a": "ä",
        "response_b": "🙂",
        "annotator": "Csv",
        "choice": "both_bad",
        "pair_id": "csv-1",
    }
    upload(client, "r.json", json.dumps([row]).encode(), format="annotated")
    content = client.get("/export/csv").content
    found = [
        r for r in csv.DictReader(io.StringIO(content.decode(), newline="")) if r["external_id"] == "csv-1"
    ]
    assert [(r["prompt"], r["choice"], r["annotator"]) for r in found] == [(awkward, "both_bad", "Csv")]
    report = upload(client, "again.csv", content, format="annotated")
    assert (report["refused"], report["added"]) == ([], 0) or report["added"] >= 0
    assert client.get("/export/csv", params={"campaign": "c_none"}).status_code == 404


def test_script_in_texts_is_data(client: httpx.Client, off: Server) -> None:
    text = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    answer = client.post("/prompts", json={"text": text})
    assert answer.json()["text"] == text and answer.headers["content-type"] == "application/json"


def test_names_in_a_header(client: httpx.Client) -> None:
    new = {"text": "Who adds me?"}
    for name, status in {"Grüße": 201, "x" * 101: 422}.items():
        assert (
            client.post("/prompts", json=new, headers={b"X-Attune-Name": name.encode()}).status_code == status
        )
