"""Scoring by a resident model: reranking beside what its encoder alone takes, and 16 clients at once against one at a time.

    python -m benchmarks.scoring [--rounds 30] [--requests 20]

Trains an SBERT model on the sample project in the app, deploys it, and asks over HTTP and in this process. Texts are new
each time, so that no cache answers. Both parts of each comparison are in the same run, taking turns.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx

from core.labels import Policy
from core.rewards.sbert import SbertReward
from core.settings import load
from jobs import ingest, learning, models, resident
from storage import models as registry
from storage.simulated import load_sample
from storage.store import Store
from storage.workbench import Workbench
from tests.serving import serve

CANDIDATES, CLIENTS = 10, 16
_number = count()


def texts() -> list[str]:
    """Candidates that nobody has seen."""
    first = next(_number)
    return [
        f"Answer {first}-{n}: first collect what is known, then compare the options one by one, and last decide; "
        f"{'think it over once more before you act, ' * (n % 4)}and say why."
        for n in range(CANDIDATES)
    ]


def trained(folder: Path) -> None:
    """A data folder with the sample project and a deployed model."""
    settings = load(data_dir=folder)
    bench = Workbench(settings, Store(settings.database_url))
    load_sample(bench.store, bench.desks, "benchmark")
    job = learning.start_training(bench, "sample", "benchmark", policy=Policy(simulated=True))
    while not registry.listed(bench.store):
        ingest.advance(bench)
        status = ingest.status(bench, job)
        if status.state in ("failed", "cancelled"):
            raise SystemExit(f"The training {status.state}: {status.reason}")
        time.sleep(0.1)
    models.deploy(bench, registry.listed(bench.store)[0].id, "benchmark")
    bench.store.close()


def seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def told(name: str, values: list[float]) -> str:
    """Median and the highest of nine tenths, in milliseconds."""
    low, *_, high = statistics.quantiles(values, n=10)
    return f"{name:<34}{statistics.median(values) * 1e3:8.1f} ms   (10% to 90%: {low * 1e3:.1f} to {high * 1e3:.1f})"


def reranking(folder: Path, rounds: int) -> None:
    """Ten candidates: the encoder alone, and the whole of it in this process, in turns."""
    settings = load(data_dir=folder)
    bench = Workbench(settings, Store(settings.database_url))
    reward = resident.scorer(bench).predictor.model
    assert isinstance(reward, SbertReward)
    reward.encoder.embed(texts())
    alone, whole = list[float](), list[float]()
    for _ in range(rounds):
        new, other = texts(), texts()
        alone.append(seconds(lambda new=new: reward.encoder.embed(new)))
        whole.append(seconds(lambda new=other: resident.scorer(bench).score(["Which?"] * CANDIDATES, new)))
    print(told("encoder alone", alone))
    print(told("rerank, in the process", whole))
    print(f"beyond the encoder: {(statistics.median(whole) - statistics.median(alone)) * 1e3:.1f} ms\n")
    bench.store.close()


def clients(url: str, requests: int, rounds: int) -> None:
    """The same requests of one client after the other, and of all at once; and a request of each over HTTP."""
    limits = httpx.Limits(max_connections=CLIENTS + 1, max_keepalive_connections=CLIENTS + 1)
    with httpx.Client(base_url=f"{url}/api", timeout=120, limits=limits) as client:

        def rerank() -> None:
            answer = client.post(
                "/rerank", json={"prompt": "Which?", "candidates": texts()}
            ).raise_for_status()
            assert answer.json()["fallback"] is False

        def score() -> None:
            item = {
                "prompt": "Which?",
                "response": f"Number {next(_number)} is right, because six times seven is that.",
            }
            client.post("/score", json={"items": [item]}).raise_for_status()

        rerank()
        print(told("rerank, over HTTP, one client", [seconds(rerank) for _ in range(rounds)]))
        health = [seconds(lambda: client.get("/health")) for _ in range(rounds)]
        print(told("health, nothing else asked", health))
        ratios, beside = list[float](), list[float]()
        for _ in range(3):
            one = seconds(lambda: [score() for _ in range(CLIENTS * requests)])
            with ThreadPoolExecutor(CLIENTS) as pool:
                ends = threading.Event()

                def watch(ends: threading.Event = ends) -> None:
                    while not ends.wait(0.05):
                        beside.append(seconds(lambda: client.get("/health")))

                watcher = threading.Thread(target=watch)
                watcher.start()
                many = seconds(lambda: list(pool.map(lambda _: score(), range(CLIENTS * requests))))
                ends.set()
                watcher.join()
            n = CLIENTS * requests
            print(
                f"{n} answers: one at a time {n / one:6.1f} a second, {CLIENTS} clients at once {n / many:6.1f} a second"
            )
            ratios.append(one / many)
        print(
            f"at once against one at a time: {statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
        )
        print(told("health, while 16 clients score", beside))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--requests", type=int, default=20, help="requests of each client")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trained(Path(folder))
        reranking(Path(folder), options.rounds)
        with serve(Path(folder)) as server:
            clients(server.url, options.requests, options.rounds)
