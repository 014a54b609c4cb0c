"""Fine-tuning over real HTTP, against a server on this machine: what is sent, what is read, what is refused."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.fine_tuning import Tuning
from core.generation import ProviderError
from core.settings import Settings
from providers import connect_tuning
from providers.openai_tuning import OpenAITuning
from tests.providers.tuning_server import PAGE, Fault, TuningServer, tuning_server

KEY = "sk-secret-0123456789abcdef"
TUNING = Tuning("gpt-4.1-mini", "supervised", epochs=3, price=25.0, budget=100.0)


@pytest.fixture
def server() -> Iterator[TuningServer]:
    with tuning_server() as server:
        server.key = KEY
        yield server


def tuner(server: TuningServer, key: str = KEY) -> OpenAITuning:
    return connect_tuning(Settings(openai_api_key=key, openai_base_url=server.url, provider_retries=1))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    path.write_bytes('{"messages": "Ü\\u2028"}\r\n--boundary\n'.encode())
    return path


def test_a_file_arrives_as_it_is(server: TuningServer, file: Path) -> None:
    sent = server.files[tuner(server).upload(file)]
    assert (sent["filename"], sent["purpose"], sent["content"]) == (
        "train.jsonl",
        "fine-tune",
        file.read_bytes(),
    )


def test_a_marked_job_is_submitted_once_unless_it_failed(server: TuningServer, file: Path) -> None:
    client = tuner(server)
    train = client.upload(file)
    others = [client.submit(f"run-{n}", TUNING, train, None) for n in range(PAGE + 1)]
    assert len({job.id for job in others}) == PAGE + 1
    assert client.submit("run-0", TUNING, train, None) == others[0]
    assert server.jobs[others[0].id]["asked"]["method"] == {
        "type": "supervised",
        "supervised": {"hyperparameters": {"n_epochs": 3}},
    }
    server.jobs[others[0].id]["status"] = "failed"
    assert client.submit("run-0", TUNING, train, None).id not in {job.id for job in others}


def test_events_come_oldest_first_and_once(server: TuningServer, file: Path) -> None:
    client = tuner(server)
    server.stages = ["queued", "running", "succeeded"]
    job = client.submit("run-1", TUNING, client.upload(file), None)
    [created] = client.events(job.id, None)
    assert client.get(job.id).status == "queued" and client.events(job.id, created.id) == []
    assert client.get(job.id).status == "running"
    steps = client.events(job.id, created.id)
    assert [event.figures["step"] for event in steps] == list(range(1, len(steps) + 1)) and len(steps) > PAGE
    done = client.get(job.id)
    assert (done.status, done.model, done.trained_tokens) == (
        "succeeded",
        "ft:gpt-4.1-mini:org::1",
        30_000,
    )
    client.cancel(job.id)
    assert client.get(job.id) == done


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(401, raw=f'{{"error": {{"message": "Incorrect API key: {KEY}"}}}}'.encode()), "check OPENAI_API_KEY"),
        (Fault(400, raw=b'{"error": {"message": "Invalid file format."}}'), r"\(400\): Invalid file format"),
        (Fault(404, raw=b"Not Found"), "knows no such model or address"),
        (Fault(200, raw=b"not JSON"), "base URL speaks its protocol"),
        (Fault(200, raw=b'{"id": null}'), "base URL speaks its protocol"),
    ],
    ids=["key", "file", "address", "another protocol", "no id"],
)  # fmt: skip
def test_what_is_refused_says_what_to_do(
    server: TuningServer, file: Path, fault: Fault, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.faults = {"POST files": [fault, fault]}
    with pytest.raises(ProviderError, match=told) as refusal:
        tuner(server).upload(file)
    assert KEY not in str(refusal.value) and KEY not in caplog.text
    assert not server.files
