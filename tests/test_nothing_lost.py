"""SIGKILL under load, ten times: every acknowledged annotation is there after the restart, and none twice."""

import threading
from collections import Counter
from pathlib import Path

import httpx
import pytest

from core.records import Pair, Parsed, Prompt, Response
from core.settings import load
from storage import campaigns, pairs
from storage.store import Store
from storage.workbench import Workbench
from tests.serving import serve

KILLS = 10
ANNOTATORS = 8
K = 3


def _fill(folder: Path, count: int) -> str:
    settings = load(data_dir=folder)
    bench = Workbench(settings, Store(settings.database_url))
    campaign = campaigns.first(bench.store)
    rows = [
        (n, Pair(Prompt.from_text(f"Question {n}"), Response(f"First {n}"), Response(f"Second {n}")))
        for n in range(count)
    ]
    pairs.add(bench.store, bench.desks, Parsed(rows, []), campaign.id, "test", source="test")
    bench.store.close()
    return settings.database_url


def _annotate(
    url: str, name: str, acknowledged: dict[str, str], lock: threading.Lock, enough: threading.Event
) -> None:
    """Judge pair after pair until the server is gone, noting what it acknowledged."""
    with httpx.Client(base_url=url, timeout=120) as client:
        try:
            while True:
                offer = (
                    client.get("/api/annotations/next", params={"annotator": name}).raise_for_status().json()
                )
                judgement = {key: offer[key] for key in ("lease_id", "pair_id")} | {
                    "annotator": name,
                    "choice": "a",
                }
                answer = client.post("/api/annotations", json=judgement).raise_for_status().json()
                with lock:
                    acknowledged[answer["id"]] = answer["pair_id"]
                    if len(acknowledged) % 40 == 0:
                        enough.set()
        except httpx.TransportError:
            return


@pytest.mark.slow
def test_ten_kills_lose_nothing(tmp_path: Path) -> None:
    url = _fill(tmp_path, 4000)
    acknowledged: dict[str, str] = {}
    lock = threading.Lock()
    for kill in range(KILLS):
        before, enough = len(acknowledged), threading.Event()
        with serve(tmp_path) as server:
            threads = [
                threading.Thread(
                    target=_annotate, args=(server.url, f"annotator {n}", acknowledged, lock, enough)
                )
                for n in range(ANNOTATORS)
            ]
            for thread in threads:
                thread.start()
            assert enough.wait(180), f"too little was acknowledged before kill {kill}"
            server.process.kill()
            for thread in threads:
                thread.join()
        assert len(acknowledged) > before

    store = Store(url)
    stored = store.rows("SELECT id, pair_id, annotator_id FROM annotation")
    store.close()
    ids = [row[0] for row in stored]
    assert acknowledged.items() <= {row[0]: row[1] for row in stored}.items()
    assert len(ids) == len(set(ids))
    assert max(Counter((pair, who) for _, pair, who in stored).values()) == 1
    assert max(Counter(pair for _, pair, _ in stored).values()) <= K
    assert len(ids) - len(acknowledged) <= KILLS * ANNOTATORS
