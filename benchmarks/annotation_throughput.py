"""Annotators at work over HTTP: 1, 8 and 32 at once, each fetching a pair and submitting a judgement.

    python -m benchmarks.annotation_throughput [--pairs 100000] [--seconds 20]
        [--label-studio COMMAND]   also drive Label Studio (SQLite), e.g. a label-studio in an environment of its own

Prints annotations a second, the latency of a request (fetch and submit alike), errors, and pairs above k. The load comes
from one process beside the server, so both share the machine.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.store_scale import file_of_pairs, import_pairs
from core.settings import load
from storage import campaigns, exports
from storage.store import Store
from storage.workbench import Workbench
from tests.serving import free_port, serve

K = 3
CROWDS = (1, 8, 32)
LABEL_STUDIO_TASKS = 500
TOKEN = "0123456789abcdef0123456789abcdef01234567"
LABELS = """<View><Text name="p" value="$prompt"/><Text name="a" value="$response_a"/><Text name="b" value="$response_b"/>
<Choices name="choice" toName="p"><Choice value="a"/><Choice value="b"/></Choices></View>"""

Judge = Callable[["Client", int], bool]


class Client:
    """A kept-alive connection that times each request."""

    def __init__(self, url: str, **headers: str) -> None:
        self._address = urlsplit(url).netloc
        self._headers = {"Content-Type": "application/json", **headers}
        self._connection = http.client.HTTPConnection(self._address, timeout=60)
        self.seconds: list[float] = []
        self.errors: Counter[str] = Counter()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of the answer; None, and one error more, when it is no success."""
        started = time.perf_counter()
        try:
            content = None if body is None else json.dumps(body)
            self._connection.request(method, path, content, self._headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.errors[type(error).__name__] += 1
            self._connection.close()
            return None
        self.seconds.append(time.perf_counter() - started)
        if response.status >= 400:
            self.errors[f"HTTP {response.status}"] += 1
            return None
        return json.loads(answer) if answer else {}


def crowd(
    make: Callable[[int], Client], judge: Judge, people: int, seconds: float
) -> tuple[int, float, list[Client]]:
    """Let ``people`` judge at once; returns judgements, the seconds they took, and the clients."""
    clients = [make(number) for number in range(people)]
    counts = [0] * people
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < end:
            counts[number] += judge(clients[number], number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(people)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts), time.perf_counter() - started, clients


def show(system: str, people: int, done: int, took: float, clients: list[Client], over: str) -> float:
    times = sorted(t for client in clients for t in client.seconds) or [float("nan")]
    errors: Counter[str] = sum((client.errors for client in clients), Counter())
    p50, p95 = 1000 * statistics.median(times), 1000 * times[int(0.95 * (len(times) - 1))]
    told = ", ".join(f"{n}× {what}" for what, n in errors.items()) or "0"
    print(
        f"{system:<14}{people:>4}{done / took:>12.1f}{p50:>9.0f}{p95:>9.0f}   {told:<24}{over:>8}", flush=True
    )
    return done / took


def judge_attune(campaign: str, client: Client, number: int) -> bool:
    name = f"annotator-{number}"
    offer = client.ask("GET", f"/api/annotations/next?campaign={campaign}&annotator={name}")
    if offer is None or offer["status"] != "pair":
        return False
    who = {"campaign": campaign, "annotator": name}
    choice = {**who, "choice": "ab"[number % 2], "confidence": 4, "seconds": 20}
    return (
        client.ask(
            "POST", "/api/annotations", {**choice, "lease_id": offer["lease_id"], "pair_id": offer["pair_id"]}
        )
        is not None
    )


def attune(folder: Path, pair_count: int, seconds: float) -> dict[int, float]:
    settings = load(data_dir=folder)
    bench = Workbench(settings, Store(settings.database_url))
    campaign = campaigns.first(bench.store)
    import_pairs(bench, campaign.id, file_of_pairs(pair_count))
    bench.store.close()
    rates, acknowledged = {}, 0
    for people in CROWDS:
        with serve(folder) as server:
            Client(server.url).ask("GET", "/api/annotations/next?annotator=warm-up")
            done, took, clients = crowd(
                lambda _, url=server.url: Client(url), partial(judge_attune, campaign.id), people, seconds
            )
        acknowledged += done
        store = Store(settings.database_url)
        votes = [sum(c.votes.values()) for c in exports.candidates(store)]
        store.close()
        assert sum(votes) == acknowledged, (
            f"{acknowledged} judgements were acknowledged, {sum(votes)} are stored"
        )
        rates[people] = show("Attune", people, done, took, clients, str(sum(v > K for v in votes)))
    return rates


@contextmanager
def label_studio(command: str, folder: Path) -> Iterator[str]:
    """A Label Studio on SQLite, stopped when the block ends."""
    port = free_port()
    environment = {**os.environ, "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true", "COLLECT_ANALYTICS": "false",
                   "LATEST_VERSION_CHECK": "false"}  # fmt: skip
    options = ["start", "--no-browser", "--port", str(port), "--data-dir", str(folder), "--internal-host", "127.0.0.1",
               "--username", "b@example.org", "--password", "benchmark-1", "--user-token", TOKEN]  # fmt: skip
    log = (folder / "log").open("wb")
    process = subprocess.Popen([command, *options], env=environment, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        probe, end = Client(url), time.monotonic() + 300
        while probe.ask("GET", "/health") is None:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Label Studio did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def beside_label_studio(command: str, folder: Path, seconds: float) -> dict[int, float]:
    rates = {}
    with label_studio(command, folder) as url:
        owner = Client(url, Authorization=f"Token {TOKEN}")
        for people in CROWDS:
            project = owner.ask(
                "POST",
                "/api/projects",
                {"title": f"{people} at once", "label_config": LABELS, "maximum_annotations": K},
            )
            if project is None:
                raise RuntimeError(f"Label Studio refused the project: {owner.errors}")
            rows = [json.loads(line) for line in file_of_pairs(LABEL_STUDIO_TASKS).decode().split("\n")]
            owner.ask("POST", f"/api/projects/{project['id']}/import", rows)

            def judge(client: Client, number: int, project_id: int = project["id"]) -> bool:
                task = client.ask("GET", f"/api/projects/{project_id}/next")
                if task is None:
                    return False
                value = {"choices": ["ab"[number % 2]]}
                result = [{"from_name": "choice", "to_name": "p", "type": "choices", "value": value}]
                return (
                    client.ask(
                        "POST", f"/api/tasks/{task['id']}/annotations/", {"result": result, "lead_time": 20}
                    )
                    is not None
                )

            make = lambda _: Client(url, Authorization=f"Token {TOKEN}")  # noqa: E731
            done, took, clients = crowd(make, judge, people, seconds)
            rates[people] = show("Label Studio", people, done, took, clients, "–")
    return rates


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--label-studio", metavar="COMMAND")
    options = parser.parse_args()
    print(f"{'':<14}{'at once':>7}{'a second':>9}{'p50 ms':>9}{'p95 ms':>9}   {'errors':<24}{'above k':>8}")
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        rates = attune(Path(ours), options.pairs, options.seconds)
        if options.label_studio:
            other = beside_label_studio(options.label_studio, Path(theirs), options.seconds)
            print(
                "Attune / Label Studio: "
                + ", ".join(f"{n} at once {rates[n] / max(other[n], 1e-9):.0f}×" for n in CROWDS)
            )


if __name__ == "__main__":
    main()
