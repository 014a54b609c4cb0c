"""The store at 1,000,000 annotations of 300,000 pairs: import, agreement, next pair, memory, start.

    python -m benchmarks.store_scale [--pairs 300000] [--annotations 1000000]

Beside it, on the same data in the same run: pandas into SQLite for the import, and for agreement the ``krippendorff``
library with statsmodels on a pandas table.
"""

import argparse
import io
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import krippendorff
import pandas as pd
import psutil
from statsmodels.stats.inter_rater import fleiss_kappa

from core.agreement import agreement_report
from core.importing import PairColumns, PromptColumns, read_pairs, read_prompts
from core.reading import read_rows
from core.settings import load
from core.simulation import SimulatedAnnotator
from storage import annotations, campaigns, pairs, prompts, simulated
from storage.store import Store
from storage.workbench import Workbench
from tests.serving import serve

T = TypeVar("T")
WORDS = [
    "the",
    "model",
    "answers",
    "a",
    "question",
    "about",
    "data",
    "with",
    "care",
    "and",
    "shows",
    "its",
    "steps",
    "so",
    "that",
    "people",
    "can",
    "check",
]
IMPORTED = 100_000


def timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def file_of_pairs(count: int, start: int = 0) -> bytes:
    """A JSONL file of pairs, a prompt and two answers of some 250 characters each."""
    chance = random.Random(start)

    def text(words: int) -> str:
        return " ".join(chance.choices(WORDS, k=words))

    rows = (
        {"prompt": f"Question {n}: {text(20)}", "response_a": text(45), "response_b": text(45) + " indeed"}
        for n in range(start, start + count)
    )
    return "\n".join(json.dumps(row) for row in rows).encode()


def import_pairs(bench: Workbench, campaign_id: str, data: bytes) -> int:
    parsed = read_pairs(
        read_rows(data, "pairs.jsonl").rows, "csv", PairColumns("prompt", "response_a", "response_b")
    )
    return pairs.add(bench.store, bench.desks, parsed, campaign_id, "benchmark", source="benchmark").added


def into_sqlite(data: bytes, path: Path) -> None:
    frame = pd.read_json(io.BytesIO(data), lines=True)
    with sqlite3.connect(path) as connection:
        frame.to_sql("pair", connection, index=False)


def by_libraries(table: pd.DataFrame) -> tuple[float, float]:
    wide = table.pivot_table(index="annotator", columns="unit", values="choice", aggfunc="first")
    alpha = krippendorff.alpha(wide.to_numpy(), level_of_measurement="nominal")
    counts = pd.crosstab(table["unit"], table["choice"])
    return alpha, fleiss_kappa(counts[counts.sum(axis=1) == counts.sum(axis=1).max()].to_numpy())


def show(what: str, value: str, beside: str = "") -> None:
    print(f"{what:<50}{value:>24}   {beside}", flush=True)


def fill(bench: Workbench, folder: Path, pair_count: int, annotation_count: int) -> None:
    """Import the pairs, the last 100,000 of them timed, and have simulated annotators judge them."""
    campaign = campaigns.first(bench.store)
    campaign.k = 5
    campaigns.update(bench.store, campaign, "benchmark")
    for start in range(0, pair_count - IMPORTED, IMPORTED):
        import_pairs(bench, campaign.id, file_of_pairs(IMPORTED, start))
    data = file_of_pairs(IMPORTED, pair_count - IMPORTED)
    seconds, added = timed(lambda: import_pairs(bench, campaign.id, data))
    other, _ = timed(lambda: into_sqlite(data, folder / "other.sqlite"))
    show("import of 100,000 pairs", f"{added / seconds:,.0f} rows/s", "goal 10,000")
    show(
        "  pandas into SQLite, no checks, no ids",
        f"{added / other:,.0f} rows/s",
        f"ours takes {seconds / other:.1f}×",
    )

    items = simulated.unjudged(bench.store, campaign.id)
    panel = [SimulatedAnnotator(f"Simulated {n}", 3.0) for n in range(50)]
    extra = [SimulatedAnnotator(f"Simulated extra {n}", 3.0) for n in range(5)]
    simulated.annotate(bench.store, bench.desks, campaign.id, items, panel, 3, 1, "benchmark")
    more = annotation_count - 3 * len(items)
    simulated.annotate(bench.store, bench.desks, campaign.id, items[:more], extra, 1, 2, "benchmark")
    show(
        "annotations of pairs in the store",
        f"{annotations.page(bench.store, limit=1)[1]:,} of {len(items):,}",
    )


def agree(store: Store) -> None:
    """Time the Agreement page's numbers, and part of them beside other libraries."""
    read, (judged, strengths) = timed(lambda: annotations.ratings(store))
    figures, _ = timed(lambda: agreement_report(judged, strengths))
    show("agreement: reading + computing", f"{read:.2f} + {figures:.2f} s", "goal 2 s")
    few = judged.unit < 3000
    part = replace(
        judged,
        unit=judged.unit[few],
        rater=judged.rater[few],
        category=judged.category[few],
        confidence=judged.confidence[few],
        units=judged.units[:3000],
    )
    table = pd.DataFrame({"unit": part.unit, "annotator": part.rater, "choice": part.category})
    other, _ = timed(lambda: by_libraries(table))
    ours, _ = timed(lambda: agreement_report(part))
    show("  3,000 pairs: alpha and Fleiss by libraries", f"{other:.2f} s", f"all of ours {ours / other:.2f}×")


def answer(folder: Path) -> None:
    """Time the app itself, started on the store."""
    started = time.perf_counter()
    with serve(folder) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        show("start to first answer", f"{time.perf_counter() - started:.1f} s", "goal 5 s")
        nexts = []
        for number in range(200):
            name = f"n{number % 20}"
            seconds, got = timed(
                lambda name=name: client.get("/api/annotations/next", params={"annotator": name})
            )
            nexts.append(seconds)
            offer = got.raise_for_status().json()
            choice = {"annotator": name, "choice": "a"} | {key: offer[key] for key in ("lease_id", "pair_id")}
            client.post("/api/annotations", json=choice).raise_for_status()
        nexts.sort()
        shown = f"{1000 * statistics.median(nexts):.0f} / {1000 * nexts[int(0.95 * len(nexts))]:.0f} ms"
        show("next pair over HTTP, p50 / p95", shown, "goal 50 ms")
        cold, _ = timed(lambda: client.get("/api/metrics").raise_for_status())
        warm, _ = timed(lambda: client.get("/api/metrics").raise_for_status())
        show("agreement over HTTP, cold / cached", f"{cold:.2f} / {warm:.3f} s", "goal 2 / 0.2 s")
        process = psutil.Process(server.process.pid)
        computed = process.memory_info().rss
        exported, _ = timed(
            lambda: client.get("/api/export/rlhf", params={"simulated": True}).raise_for_status()
        )
        show("export of every pair over HTTP", f"{exported:.1f} s")
        memory = f"{computed / 2**20:.0f} / {process.memory_info().rss / 2**20:.0f} MB"
        show("memory of the app, agreement known / all exported", memory, "goal 700 MB")


def browse(folder: Path, count: int) -> None:
    """Import prompts, and time what the Prompts page asks for."""
    store, columns = Store(load(data_dir=folder).database_url), PromptColumns("text", "category")
    seconds = 0.0
    for start in range(0, count, IMPORTED):
        texts = (json.loads(line)["prompt"] for line in file_of_pairs(IMPORTED, start).split(b"\n"))
        rows = [(row, {"text": text, "category": f"{row % 7}"}) for row, text in enumerate(texts, start=1)]
        parsed = read_prompts(rows, columns)
        seconds += timed(lambda parsed=parsed: prompts.add(store, parsed, "benchmark"))[0]
    show(f"import of {count:,} prompts", f"{count / seconds:,.0f} rows/s")
    asked: dict[str, dict[str, Any]] = {
        "first": {}, "of a category": {"categories": ["3"]}, "searched": {"search": f"Question {count // 2}:"}, "last": {"offset": count - 50},
    }  # fmt: skip
    took = [
        f"{1000 * timed(lambda wanted=wanted: prompts.page(store, **wanted))[0]:.0f}"
        for wanted in asked.values()
    ]
    show(f"  a page of them: {', '.join(asked)}", f"{' / '.join(took)} ms")
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=300_000)
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--prompts", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = load(data_dir=folder)
        bench = Workbench(settings, Store(settings.database_url))
        fill(bench, folder, options.pairs, options.annotations)
        agree(bench.store)
        bench.store.close()
        answer(folder)
    with tempfile.TemporaryDirectory() as name:
        browse(Path(name), options.prompts)


if __name__ == "__main__":
    main()
