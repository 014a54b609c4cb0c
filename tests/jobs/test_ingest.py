"""Jobs as the app sees them: real subprocesses, queued for their slots, taken into the store once."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.generation import CREATIVE, FOCUSED, Sampling, Side, result_to_row
from core.records import Pair, Prompt, Response
from jobs import generate_pairs, ingest
from jobs.protocol import JobError, Progress, Run, read_lines
from storage import campaigns
from storage import jobs as job_rows
from storage.tables import JobRow
from storage.workbench import Workbench
from tests.jobs.benches import queue, until


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
        taken = [one for found in pool.map(lambda _: ingest.take_in(bench), range(8)) for one in found]
    assert taken == [job.id]
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
    assert ingest.take_in(bench) == [job.id]
    assert count(bench, "pair") == 0
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
    assert ingest.take_in(bench) == [job.id] and count(bench, "pair") == 2

    ingest.resume(bench, job, "bob")
    assert ended(bench, job) == "done"
    assert ingest.take_in(bench) == [job.id]
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


def states(bench: Workbench, *jobs: JobRow) -> list[str]:
    return [ingest.status(bench, job).state for job in jobs]


def started(bench: Workbench, job: JobRow) -> float:
    found: float = json.loads(ingest.run_of(bench, job).process_file.read_text())["started"]
    return found


def test_one_slot_takes_the_highest_priority_then_the_oldest(jobs_bench: Workbench) -> None:
    jobs = [queue(jobs_bench, how="wait to be let go", priority=priority) for priority in (0, 0, 5, 0, 5)]
    assert states(jobs_bench, *jobs) == ["running"] + 4 * ["queued"]
    for job in jobs:
        (ingest.run_of(jobs_bench, job).path / "go").touch()
    most = 0
    while job_rows.waiting(jobs_bench.store):
        most = max(most, states(jobs_bench, *jobs).count("running"))
        ingest.advance(jobs_bench)
    assert states(jobs_bench, *jobs) == 5 * ["done"]
    assert most == 1
    first, second, third, fourth, fifth = jobs
    assert sorted(jobs, key=lambda job: started(jobs_bench, job)) == [first, third, fifth, second, fourth]


def test_more_slots_and_a_queued_job_that_is_cancelled(jobs_bench: Workbench) -> None:
    jobs_bench.settings.job_slots = 2
    jobs = [queue(jobs_bench, how="steps", steps=1000) for _ in range(4)]
    assert states(jobs_bench, *jobs) == ["running", "running", "queued", "queued"]
    ingest.cancel(jobs_bench, jobs[2], "ann")
    ingest.advance(jobs_bench)
    assert states(jobs_bench, *jobs) == ["running", "running", "cancelled", "queued"]
    assert ingest.status(jobs_bench, jobs[2]).reason == "It was cancelled before it started."
    ingest.cancel(jobs_bench, jobs[0], "ann")
    until(lambda: states(jobs_bench, jobs[3]) == ["running"], jobs_bench)
    with pytest.raises(JobError, match="is running"):
        ingest.resume(jobs_bench, jobs[3], "ann")
    for job in jobs:
        ingest.cancel(jobs_bench, job, "ann")
    until(lambda: not job_rows.waiting(jobs_bench.store), jobs_bench)


def test_a_long_training_holds_up_no_generation(jobs_bench: Workbench) -> None:
    """The providers' answers are waited for; a model that a generation loads itself computes, and waits for its turn."""
    training = queue(jobs_bench, how="steps", steps=10_000)
    local = Side("hf_local", Sampling("some/model"))
    asking, computing = start(jobs_bench, 2), start(jobs_bench, 2, FOCUSED, local)
    assert states(jobs_bench, training, asking, computing) == ["running", "running", "queued"]
    for job in (training, computing):
        ingest.cancel(jobs_bench, job, "ann")
    until(lambda: not job_rows.waiting(jobs_bench.store), jobs_bench)


def test_inputs_that_cannot_be_frozen_leave_nothing_behind(jobs_bench: Workbench) -> None:
    def fail(run: Run) -> None:
        (run.inputs / "preferences.parquet").write_bytes(b"half")
        raise ValueError("50 preferences are needed, 12 are there.")

    with pytest.raises(ValueError, match="50 preferences"):
        ingest.start(jobs_bench, "test", "x", "ann", None, {}, fail)
    assert list(jobs_bench.settings.runs_dir.iterdir()) == []
    assert ingest.listed(jobs_bench) == []


def test_who_asks_hears_once_of_each_job_that_ended(jobs_bench: Workbench) -> None:
    since = datetime.now(UTC)
    jobs = [queue(jobs_bench, how=how) for how in ("steps", "raise")]
    heard: list[tuple[str, str | None]] = []
    while len(heard) < 2:
        ingest.advance(jobs_bench)
        for row in job_rows.ended_since(jobs_bench.store, since, "ann"):
            heard.append((row.id, row.state))
            assert row.ended_at is not None
            since = row.ended_at
    assert heard == [(jobs[0].id, "done"), (jobs[1].id, "failed")]
    assert job_rows.ended_since(jobs_bench.store, since) == []
    assert job_rows.ended_since(jobs_bench.store, jobs[0].created_at, "somebody else") == []


def test_the_log_is_read_from_its_end(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "test", {})
    assert run.log() == ""
    run.log_file.write_bytes("one\ntwo\nstep 1\rstep 2\r\nthé end\n".encode())
    assert run.log() == "one\ntwo\nstep 2\nthé end\n"
    assert run.log(12) == "thé end\n"
    with run.log_file.open("ab") as file:
        file.writelines(b"line %d\n" % n for n in range(100_000))
    tail = run.log()
    assert 19_900 < len(tail) <= 20_000
    assert tail.startswith("line ") and tail.endswith("line 99999\n")


def test_a_resumed_job_begins_its_time_left_anew(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "test", {})
    begun = time.monotonic()
    progress = Progress(run, total=10, done=6)
    time.sleep(0.3)
    progress.step()
    passed = time.monotonic() - begun
    (told,) = [e for e in read_lines(run.events_file) if e["done"] == 7]
    assert 0.9 <= told["seconds_left"] <= 3 * passed + 0.1
