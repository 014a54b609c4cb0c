"""Files that are not what they should be: a clear message, and nothing half-written."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

HEADER = b"prompt,response_a,response_b\n"
FILES: dict[str, tuple[str, bytes, int, str]] = {
    "empty": ("e.csv", b"", 422, "is empty"),
    "blank": ("e.jsonl", b" \n\n", 422, "is empty"),
    "header only": ("e.csv", HEADER, 422, "holds no rows"),
    "malformed JSON": ("m.json", b'[{"prompt": "x"', 422, "not JSON"),
    "every line broken": ("m.jsonl", b"{\n{\n", 200, "not JSON"),
    "wrong columns": ("w.csv", b"colour,size\nred,1\n", 422, "no column for"),
    "Latin-1": ("l.csv", HEADER + "Größe,a,b\n".encode("latin-1"), 422, "is not UTF-8"),
    "UTF-16 cut short": ("u.csv", b"\xff\xfea", 422, "is not UTF-16"),
    "NUL byte": ("n.jsonl", b'{"prompt": "a\0b", "response_a": "x", "response_b": "y"}', 200, "NUL"),
    "NUL escaped": ("n.jsonl", b'{"prompt": "a\\u0000b", "response_a": "x", "response_b": "y"}', 200, "NUL"),
    "half a surrogate": ("s.jsonl", b'{"prompt": "\\ud800", "response_a": "x", "response_b": "y"}', 200, "surrogate"),
    "50 MB line": ("b.jsonl", b'{"prompt": "' + b"x" * 50_000_001 + b'"}', 200, "a line may have"),
    "fake Parquet": ("f.parquet", b"PAR1 this is not one PAR1", 422, "not a readable Parquet"),
    "text called Parquet": ("f.parquet", b"hello", 422, "not a readable Parquet"),
    "Excel": ("x.csv", b"PK\x03\x04....", 422, "Excel or zip"),
    "half a gzip": ("g.csv.gz", gzip.compress(HEADER * 99)[:-9], 422, "not a whole gzip"),
    "open quote": ("q.csv", HEADER + b'"a,b,c\n', 200, "never closed"),
    "two columns of one name": ("c.csv", b"prompt,prompt\na,b\n", 422, "two columns"),
    "identical answers": ("i.csv", HEADER + b"p,same,same\n", 200, "identical"),
    "text too long": ("t.jsonl", json.dumps({"prompt": "x" * 200_001, "response_a": "x", "response_b": "y"}).encode(), 200, "at most 200,000"),
    "deep": ("d.json", b"[" * 200_000, 422, "nested too deeply"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_pairs_file_that_is_none(client: httpx.Client, kind: str) -> None:
    name, content, status, says = FILES[kind]
    before = client.get("/pairs").json()["total"], client.get("/prompts").json()["total"]
    answer = client.post("/pairs/upload", files={"file": (name, content)}, data={"format": "csv"})
    assert answer.status_code == (
        422 if kind == "every line broken" or "column" in answer.text else status
    ), answer.text
    assert says in answer.text or "no column for" in answer.text
    assert (client.get("/pairs").json()["total"], client.get("/prompts").json()["total"]) == before


@pytest.mark.parametrize("kind", sorted(FILES.keys() - {"identical answers", "header only"}))
def test_a_prompts_file_that_is_none(client: httpx.Client, kind: str) -> None:
    name, content, _, says = FILES[kind]
    before = client.get("/prompts").json()["total"]
    answer = client.post("/prompts/upload", files={"file": (name, content)})
    assert answer.status_code in (200, 422), answer.text
    assert says in answer.text or "no column for" in answer.text
    assert client.get("/prompts").json()["total"] == before


JUDGED = {"prompt": "bad judgement", "response_a": "x", "response_b": "y", "annotator": "Ann", "choice": "a"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"choice": "left"}, "choice"),
        ({"choice": None}, "choice"),
        ({"annotator": " "}, "annotator"),
        ({"annotator": "x" * 201}, "annotator"),
        ({"confidence": 6}, "confidence"),
        ({"confidence": "high"}, "confidence"),
        ({"seconds": -1}, "seconds"),
        ({"submitted_at": "yesterday"}, "submitted_at"),
        ({"prompt": ""}, "prompt"),
        ({"response_b": 7}, "response_b"),
        ({"pair_id": "same", "response_a": "other text"}, "pair_id"),
    ],
    ids=str,
)
def test_a_judgement_that_is_none_costs_only_itself(
    client: httpx.Client, change: dict[str, Any], field: str
) -> None:
    tag = str(change)[:40]
    good = {**JUDGED, "prompt": f"bad judgement {tag}", "pair_id": f"same {tag}", "confidence": 3, "seconds": 1.5, "submitted_at": "2026-01-01T00:00:00Z"}  # fmt: skip
    wrong = good | {"annotator": "Bea"} | change
    wrong["pair_id"] = good["pair_id"] if field == "pair_id" else f"other {tag}"
    answer = client.post(
        "/pairs/upload",
        files={"file": ("j.json", json.dumps([good, wrong]).encode())},
        data={"format": "annotated"},
    )
    report = answer.json()
    assert (report["added"], report["annotations"]) == (1, 1)
    assert [(r["row"], r["field"]) for r in report["refused"]] == [(2, field)]


def test_duplicates_and_conflicts_are_reported(client: httpx.Client) -> None:
    rows = "pair_id,prompt,response_a,response_b\ndup-1,dup,x,y\ndup-1,dup,x,y\ndup-1,dup,x,z\n"
    form = {"files": {"file": ("d.csv", rows.encode())}, "data": {"format": "csv"}}
    report = client.post("/pairs/upload", **form).json()  # type: ignore[arg-type]
    assert (report["added"], report["duplicate"], [r["row"] for r in report["refused"]]) == (1, 1, [3])
    again = client.post("/pairs/upload", **form).json()  # type: ignore[arg-type]
    assert (again["added"], again["duplicate"]) == (0, 2)
    other = {"file": ("o.csv", b"pair_id,prompt,response_a,response_b\ndup-1,dup,x,q\n")}
    refused = client.post("/pairs/upload", files=other, data={"format": "csv"}).json()["refused"]
    assert refused[0]["field"] == "pair_id" and "other texts" in refused[0]["reason"]


@pytest.mark.parametrize(
    "form",
    [{}, {"format": "xml"}, {"format": "csv", "labels": "maybe"}, {"format": "csv", "source": "a\0b"}, {"format": "csv", "source": "x" * 201}],
    ids=str,
)  # fmt: skip
def test_a_form_that_is_wrong(client: httpx.Client, form: dict[str, str]) -> None:
    answer = client.post("/pairs/upload", files={"file": ("p.csv", HEADER + b"p,a,b\n")}, data=form)
    assert answer.status_code == 422 and answer.json()["field"] in ("format", "labels", "source")


def test_no_file_and_no_form(client: httpx.Client) -> None:
    assert client.post("/pairs/upload", data={"format": "csv"}).status_code == 422
    assert client.post("/pairs/upload", json={}).status_code == 422
    assert client.post("/prompts/upload", data={"file": "text"}).status_code == 422
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/prompts/upload", content=b"--y\r\n", headers=broken).status_code in (400, 422)
    assert client.post("/pairs/upload", files={"file": ("p.csv", HEADER)}, data={"format": "csv", "campaign": "c_none"}).status_code == 404  # fmt: skip


def test_an_upload_is_cut_off_where_it_is_too_large(client: httpx.Client) -> None:
    """The limit is 60 MB here; the body is declared, or sent in chunks without a length."""
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        yield part
        for _ in range(400):
            sent += 1
            yield b"y" * 2**20

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for extra in ({"Content-Length": str(400 * 2**20 + len(part))}, {}):
        try:
            answer = client.post("/prompts/upload", content=chunks(), headers=headers | extra)
            assert answer.status_code == 413 and "larger than" in answer.json()["detail"]
        except httpx.WriteError:
            assert sent < 400, "the app hung up on the rest"
    answer = client.post("/prompts", content=b'{"text": "' + b"x" * 17 * 2**20 + b'"}', headers={"Content-Type": "application/json"})  # fmt: skip
    assert answer.status_code == 413
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("route", ["/prompts", "/pairs", "/annotations"])
@pytest.mark.parametrize(
    "query", [{"offset": -1}, {"offset": 10**30}, {"limit": 0}, {"limit": 501}, {"limit": "x"}], ids=str
)
def test_a_page_out_of_bounds(client: httpx.Client, route: str, query: dict[str, Any]) -> None:
    answer = client.get(route, params=query)
    assert answer.status_code == 422 and answer.json()["field"] in ("offset", "limit")


def test_strange_searches(client: httpx.Client) -> None:
    for text in ("%", "_", "'; DROP TABLE prompt; --", "\\", "\u2028", "🙂" * 50):
        assert client.get("/prompts", params={"search": text}).status_code == 200
        assert client.get("/pairs", params={"search": text, "category": text}).status_code == 200
    for route in ("/prompts?search=%00", "/pairs?category=a%00", "/annotations/next?annotator=%00"):
        answer = client.get(route)
        assert answer.status_code == 422 and "NUL" in answer.json()["detail"]
    for route in (
        "/pairs/x_none",
        "/pairs/%00",
        "/pairs/a%0Ab",
        "/pairs/..%5C..",
        "/pairs/%2e%2e/prompts",
        "/pairs/é",
    ):
        answer = client.get(route)
        assert answer.status_code == 404 and answer.json()["detail"]
    assert client.get("/no/such/route").status_code == 404
    assert client.put("/prompts").status_code == 405
