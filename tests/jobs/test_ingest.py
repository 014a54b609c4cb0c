"""Jobs as the app sees them: real subprocesses with the mock provider, taken into the store once."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.generation import CREATIVE, FOCUSED, Sampling, Side, result_to_row
from core.records import Pair, Prompt, Response
from core.settings import load
from jobs import generate_pairs, ingest
from storage import campaigns
from storage.store import Store
from storage.tables import JobRow
from storage.workbench import Workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    settings = load(data_dir=tmp_path / "data")
    bench = Workbench(settings, Store(settings.database_url))
    yield bench
    bench.store.close()


def questions(n: int) -> list[Prompt]:
    return [Prompt.from_text(f"Why is {i} + {i} even?", "math") for i in range(n)]


def ended(bench: Workbench, job: JobRow, seconds: float = 60) -> str:
    until = time.monotonic() + seconds
    while (state := ingest.status(bench, job).state) in ("queued", "running"):
        assert time.monotonic() < until, f"the job is still {state}"
        time.sleep(0.05)
    return state


def count(bench: Workbench, table: str) -> int:
    n: int = bench.store.rows(f"SELECT count(*) FROM {table}")[0][0]
    return n


def start(bench: Workbench, n: int, a: Side = FOCUSED, b: Side = CREATIVE) -> JobRow:
    campaign = campaigns.first(bench.store)
    return ingest.start_generation(bench, questions(n), campaign.id, a, b, 4, "ann")


def test_a_finished_job_is_taken_in_once_however_many_ask(bench: Workbench) -> None:
    job = start(bench, 12)
    assert ended(bench, job) == "done"
    with ThreadPoolExecutor(8) as pool:
        reports = [r for found in pool.map(lambda _: ingest.take_in(bench), range(8)) for r in found]
    assert [(r.added, r.duplicates, r.refused) for r in reports] == [(12, [], [])]
    assert ingest.take_in(bench) == []
    assert (count(bench, "pair"), count(bench, "response"), count(bench, "campaign_pair")) == (12, 24, 12)
    assert bench.store.rows("SELECT count(*) FROM audit WHERE record_type = 'pair'") == [(1,)]
    assert bench.store.rows("SELECT DISTINCT source FROM pair") == [(f"job {job.id}",)]
    params = [json.loads(p) for (p,) in bench.store.rows("SELECT DISTINCT params FROM response")]
    assert {p["temperature"] for p in params} == {0.2, 1.0}
    ((row, status),) = ingest.listed(bench)
    assert (row.id, row.ingested, status.state, status.done, status.total) == (job.id, True, "done", 12, 12)


def test_a_failed_job_gives_what_it_has_and_the_reason(bench: Workbench) -> None:
    nobody = Side("openai", Sampling("m"))
    job = start(bench, 3, nobody, nobody)
    assert ended(bench, job) == "failed"
    reason = ingest.status(bench, job).reason
    assert reason is not None and "OPENAI_API_KEY" in reason
    (report,) = ingest.take_in(bench)
    assert report.added == 0 and count(bench, "pair") == 0
    assert ingest.take_in(bench) == []


def test_a_cancelled_job_gives_what_it_has_and_the_rest_once_it_goes_on(bench: Workbench) -> None:
    """As after a cancel in the middle: two of five prompts answered, then the job goes on to the end."""
    campaign = campaigns.first(bench.store)
    job = JobRow(id="job_1", kind="generate-pairs", label="x", campaign_id=campaign.id, actor="ann", created_at=campaign.created_at)  # fmt: skip
    jobs = ingest.launcher(bench.settings.runs_dir)
    run = jobs.create(job.id, job.kind, generate_pairs.arguments(FOCUSED, CREATIVE, 2))
    generate_pairs.write_prompts(run, questions(5))
    done = [Pair(q, Response("Yes.", "m"), Response("No.", "m")) for q in questions(2)]
    (run.path / "results.jsonl").write_text(
        "".join(json.dumps({"prompt_id": p.prompt.id, "results": [result_to_row(p)]}) + "\n" for p in done)
    )
    bench.store.append(JobRow(**job.model_dump()))
    assert ingest.take_in(bench) == [], "a queued job is not taken in"
    ingest.cancel(bench, job, "bob")
    assert ended(bench, job) == "cancelled"
    assert [r.added for r in ingest.take_in(bench)] == [2]

    ingest.resume(bench, job, "bob")
    assert ended(bench, job) == "done"
    (report,) = ingest.take_in(bench)
    assert (report.added, report.duplicates) == (3, [1, 2])
    assert (count(bench, "pair"), count(bench, "prompt")) == (5, 5)
    assert [a for (a,) in bench.store.rows("SELECT action FROM audit WHERE record_id = 'job_1' ORDER BY occurred_at")] == ["cancel", "resume"]  # fmt: skip


def test_the_watch_takes_jobs_in_by_itself(bench: Workbench) -> None:
    with ingest.watch(bench):
        job = start(bench, 4)
        until = time.monotonic() + 60
        while not bench.store.rows("SELECT 1 FROM job WHERE id = ? AND ingested", job.id):
            assert time.monotonic() < until
            time.sleep(0.05)
    assert count(bench, "pair") == 4
    assert ingest.failures(bench, job) == []
