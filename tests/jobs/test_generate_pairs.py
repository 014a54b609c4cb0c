"""The generation job as people run it: a real subprocess, asking a server on this machine over HTTP."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.generation import Failure, Sampling, Side
from core.importing import read_pairs
from core.reading import read_rows
from core.records import Pair, Prompt
from jobs import generate_pairs
from jobs.launcher import Launcher, Status
from jobs.protocol import JobError, Run, read_json, read_lines
from tests.providers.llm_server import LlmServer, Received, Reply, serving

KEY = "sk-secret-0123456789abcdef"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with serving() as server:
        server.otherwise = lambda r: Reply(f"At {r.body['temperature']} on {r.prompt}")
        yield server


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path / "runs")


def environment(server: LlmServer) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "ATTUNE_PROVIDER_RETRIES": "0",
        "ATTUNE_PROVIDER_TIMEOUT": "20",
    }


def prepare(
    launcher: Launcher, n: int, workers: int = 4, provider: str = "openai", name: str = "run-1"
) -> Run:
    sides = (Side(provider, Sampling("m", temperature)) for temperature in (0.2, 1.0))
    run = launcher.create(name, generate_pairs.KIND, generate_pairs.arguments(*sides, workers))
    assert generate_pairs.write_prompts(run, [Prompt.from_text(f"Question {i}") for i in range(n)]) == n
    return run


def ended(launcher: Launcher, run: Run, seconds: float = 120) -> Status:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        status = launcher.status(run)
        if status.state not in ("queued", "running"):
            return status
        time.sleep(0.05)
    raise AssertionError(f"still {launcher.status(run)}: {run.log_file.read_text()}")


def wait_for(run: Run, results: int) -> None:
    until = time.monotonic() + 120
    while len(list(generate_pairs.read_results(run))) < results:
        assert time.monotonic() < until, run.log_file.read_text()
        time.sleep(0.02)


def asked(server: LlmServer) -> Counter[tuple[str, float]]:
    return Counter((r.prompt, r.body["temperature"]) for r in server.received)


def test_a_job_runs_to_its_end(launcher: Launcher, server: LlmServer) -> None:
    run = prepare(launcher, 30)
    assert launcher.status(run).state == "queued"
    launcher.start(run, environment(server))
    status = ended(launcher, run)
    assert (status.state, status.reason, status.done, status.failed, status.total) == (
        "done",
        None,
        30,
        0,
        30,
    )
    assert asked(server) == Counter({(f"Question {i}", t): 1 for i in range(30) for t in (0.2, 1.0)})
    told = [event for event in read_lines(run.events_file) if event["event"] == "progress"]
    assert (told[0]["done"], told[-1]["done"]) == (0, 30)
    with (run.artifacts / "pairs.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (run.artifacts / "pairs.jsonl").read_bytes().splitlines()]
    assert len(table) == len(lines) == 30
    for row in (*table, *lines):
        assert row["response_a"] == f"At 0.2 on {row['prompt']}"
        assert row["response_b"] == f"At 1.0 on {row['prompt']}"
    found = {r.id for r in generate_pairs.read_results(run) if isinstance(r, Pair)}
    assert {row["pair_id"] for row in table} == {row["pair_id"] for row in lines} == found


def test_what_came_out_can_be_imported_again(launcher: Launcher, server: LlmServer) -> None:
    run = prepare(launcher, 5)
    launcher.start(run, environment(server))
    ended(launcher, run)
    for name in ("pairs.csv", "pairs.jsonl"):
        rows = read_rows((run.artifacts / name).read_bytes(), name)
        pairs = read_pairs(rows.rows, "csv")
        assert len(pairs.rows) == 5 and not pairs.refused


def test_no_file_of_the_run_holds_the_key(launcher: Launcher, server: LlmServer) -> None:
    server.otherwise = lambda _: Reply(f"Incorrect API key provided: {KEY}", 401)
    run = prepare(launcher, 3)
    launcher.start(run, environment(server))
    status = ended(launcher, run)
    assert status.state == "failed"
    assert (
        status.reason is not None
        and "No prompt got a pair" in status.reason
        and "OPENAI_API_KEY" in status.reason
    )
    texts = [file.read_text() for file in run.path.rglob("*") if file.is_file()]
    assert len(texts) > 5
    assert not any(KEY in text for text in texts)


def test_killed_in_the_middle_it_goes_on_without_asking_again(launcher: Launcher, server: LlmServer) -> None:
    def slow(received: Received) -> Reply:
        return Reply(f"At {received.body['temperature']} on {received.prompt}", pause=0.03)

    server.otherwise = slow
    run = prepare(launcher, 60)
    launcher.start(run, environment(server))
    wait_for(run, 10)
    process = run.process()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    status = ended(launcher, run)
    assert status.state == "failed"
    assert status.reason is not None and "SIGKILL" in status.reason and "Start it again" in status.reason
    had = {r.prompt.text for r in generate_pairs.read_results(run) if isinstance(r, Pair)}
    assert 10 <= len(had) < 60
    with (run.path / "results.jsonl").open("ab") as file:
        file.write(b'{"prompt_id": "p_1", "pro')
    server.received.clear()
    launcher.queue_again(run)
    launcher.start(run, environment(server))
    assert ended(launcher, run).state == "done"
    again = asked(server)
    assert again == Counter(
        {(f"Question {i}", t): 1 for i in range(60) for t in (0.2, 1.0) if f"Question {i}" not in had}
    )
    pairs = [r.prompt.text for r in generate_pairs.read_results(run) if isinstance(r, Pair)]
    assert sorted(pairs) == sorted(f"Question {i}" for i in range(60))
    assert launcher.status(run).done == 60


def test_a_provider_that_fails_for_some_prompts(launcher: Launcher, server: LlmServer) -> None:
    def sometimes(received: Received) -> Reply:
        if received.prompt.endswith("3"):
            return Reply("oops", 500)
        return Reply(f"At {received.body['temperature']} on {received.prompt}")

    server.otherwise = sometimes
    run = prepare(launcher, 20)
    launcher.start(run, environment(server))
    status = ended(launcher, run)
    assert (status.state, status.done, status.failed, status.total) == ("done", 18, 2, 20)
    assert status.result is not None and status.result["pairs"] == 18
    failures = [json.loads(line) for line in (run.artifacts / "failures.jsonl").read_text().splitlines()]
    assert {f["prompt_id"] for f in failures} == {Prompt.from_text(f"Question {i}").id for i in (3, 13)}
    assert all("failed (500)" in f["reason"] for f in failures)

    server.otherwise = lambda r: Reply(f"At {r.body['temperature']} on {r.prompt}")
    server.received.clear()
    launcher.queue_again(run)
    launcher.start(run, environment(server))
    assert ended(launcher, run).done == 20
    assert {prompt for prompt, _ in asked(server)} == {"Question 3", "Question 13"}
    assert (run.artifacts / "failures.jsonl").read_text() == ""


def test_cancelling_keeps_what_is_there(launcher: Launcher, server: LlmServer) -> None:
    server.otherwise = lambda r: Reply(f"At {r.body['temperature']} on {r.prompt}", pause=0.05)
    run = prepare(launcher, 500)
    launcher.start(run, environment(server))
    wait_for(run, 4)
    with pytest.raises(JobError, match="is running"):
        launcher.start(run)
    launcher.stop(run)
    status = ended(launcher, run)
    assert (status.state, status.reason) == ("cancelled", "It was asked to stop.")
    results = list(generate_pairs.read_results(run))
    assert 4 <= len(results) < 100
    assert not any(isinstance(r, Failure) for r in results)
    assert (run.artifacts / "pairs.jsonl").read_bytes().count(b"\n") == len(results)


def test_a_job_that_does_not_stop_is_killed(launcher: Launcher, server: LlmServer) -> None:
    server.otherwise = lambda r: Reply("Late.", pause=300)
    run = prepare(launcher, 5)
    launcher.start(run, {**environment(server), "ATTUNE_PROVIDER_TIMEOUT": "300"})
    until = time.monotonic() + 60
    while not server.received and time.monotonic() < until:
        time.sleep(0.05)
    launcher.stop(run, grace=0.5)
    until = time.monotonic() + 60
    while (status := launcher.status(run)).state == "running" and time.monotonic() < until:
        launcher.attend(run)
        time.sleep(0.05)
    assert status.state == "cancelled"
    assert status.reason == "It was asked to stop. It did not stop in time and was killed."


def test_cancelled_before_it_starts(launcher: Launcher) -> None:
    run = prepare(launcher, 5)
    launcher.stop(run)
    assert launcher.status(run).state == "cancelled"


def test_another_launcher_adopts_the_jobs_after_a_restart(launcher: Launcher, server: LlmServer) -> None:
    """The first app dies with its launcher; the job goes on, and the second app finds and can cancel it."""
    server.otherwise = lambda r: Reply(f"At {r.body['temperature']} on {r.prompt}", pause=0.05)
    run = prepare(launcher, 500)
    code = (
        "import sys; from pathlib import Path; from jobs.launcher import Launcher; from jobs.protocol import Run;"
        "Launcher(Path(sys.argv[1])).start(Run(Path(sys.argv[2])))"
    )
    app = {**os.environ, **environment(server)}
    subprocess.run(
        [sys.executable, "-c", code, str(run.path.parent), str(run.path)], cwd=ROOT, env=app, check=True
    )
    wait_for(run, 2)
    found = Run(run.path)
    assert launcher.status(found).state == "running"
    with pytest.raises(JobError, match="is running"):
        launcher.start(found)
    launcher.stop(found)
    assert ended(launcher, found).state == "cancelled"

    launcher.queue_again(found)
    subprocess.run(
        [sys.executable, "-c", code, str(run.path.parent), str(run.path)], cwd=ROOT, env=app, check=True
    )
    wait_for(run, len(list(generate_pairs.read_results(run))) + 2)
    process = run.process()
    assert process is not None
    process.kill()
    status = ended(launcher, run)
    assert status.state == "failed"
    assert status.reason is not None and "its process is gone" in status.reason.lower()


def test_a_missing_key_fails_the_job_with_what_to_set(launcher: Launcher) -> None:
    run = prepare(launcher, 2)
    launcher.start(run, {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""})
    status = ended(launcher, run)
    assert status.state == "failed"
    assert status.reason == "Set OPENAI_API_KEY to an API key of OpenAI."


def test_a_worker_that_cannot_start_says_so(launcher: Launcher) -> None:
    run = launcher.create("run-1", "no-such-kind", {})
    launcher.start(run)
    status = ended(launcher, run)
    assert status.state == "failed"
    assert status.reason is not None and "exit code 2" in status.reason and "no-such-kind" in status.reason


def shell(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs", "generate-pairs", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_from_a_shell_on_a_bare_file(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"Why {i}?\u2028And how?", "category": "reasoning"} for i in range(12)]
    lines = [json.dumps(row, ensure_ascii=False) for row in (*rows, rows[0])]
    prompts.write_text("\n".join([*lines[:3], "{broken", *lines[3:]]), encoding="utf-8")
    output = tmp_path / "out"
    options = ("--prompts", prompts, "--output", output, "--backend", "mock", "--workers", 8)
    settings = ("--temperature-a", 0.1, "--temperature-b", 1.3, "--max-tokens", 40)
    done = shell(*options, *settings)
    assert done.returncode == 0, done.stderr
    assert "prompts.jsonl, row 4" in done.stdout
    pairs = [json.loads(line) for line in (output / "artifacts" / "pairs.jsonl").read_bytes().splitlines()]
    assert {pair["prompt"] for pair in pairs} == {row["prompt"] for row in rows}
    assert {(pair["temperature_a"], pair["temperature_b"]) for pair in pairs} == {(0.1, 1.3)}
    assert max(len(pair["response_b"].split()) for pair in pairs) <= 40
    sampling = read_json(output / "job.json")["arguments"]["side_a"]["sampling"]  # type: ignore[index]
    assert sampling == {"model": None, "temperature": 0.1, "max_tokens": 40, "system": None, "seed": None}

    before = (output / "results.jsonl").read_bytes()
    assert shell(*options, *settings).returncode == 0
    assert (output / "results.jsonl").read_bytes() == before
    other = shell(*options, "--temperature-a", 0.5)
    assert other.returncode == 1
    assert "other prompts or settings" in other.stderr


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", (), "is empty"),
        ('{"words": 3}\n', (), "prompt"),
        ('{"prompt": ""}\n', (), "no prompt that can be read"),
        ('{"prompt": "Why?"}\n', ("--temperature", 9), "between 0 and 2"),
        ('{"prompt": "Why?"}\n', ("--workers", 0), "at least 1"),
        ('{"prompt": "Why?"}\n', ("--backend", "ollama"), "OLLAMA_BASE_URL"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, content: str, options: tuple[object, ...], message: str
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(content)
    done = shell("--prompts", prompts, "--output", tmp_path / "out", *options)
    assert done.returncode == 1
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_missing_file(tmp_path: Path) -> None:
    done = shell("--prompts", tmp_path / "none.jsonl", "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "none.jsonl" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
