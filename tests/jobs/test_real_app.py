"""The real app over HTTP with a job under way: killed, started again, and never loading what only jobs need."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from core.generation import Sampling, Side
from core.records import Prompt
from core.settings import load
from jobs import generate_pairs, ingest
from pages._session import PAGES
from storage import campaigns, people
from storage import jobs as job_rows
from storage.simulated import load_sample
from storage.store import Store, new_id
from storage.tables import JobRow
from storage.workbench import Workbench
from tests.jobs.benches import until
from tests.providers.llm_server import LlmServer, Received, Reply, serving
from tests.serving import Server, serve

PASSWORD = "correct horse battery"
N = 120


@pytest.fixture
def go() -> threading.Event:
    """Until it is set, the provider answers no more than the first half of what it is asked."""
    return threading.Event()


@pytest.fixture
def provider(go: threading.Event) -> Iterator[LlmServer]:
    def answer(asked: Received) -> Reply:
        if len(server.received) > N:
            go.wait(300)
        return Reply(f"At {asked.body['temperature']} on {asked.prompt}")

    with serving() as server:
        server.otherwise = answer
        yield server
        go.set()


def opened(folder: Path) -> Workbench:
    settings = load(data_dir=folder)
    return Workbench(settings, Store(settings.database_url))


def test_an_app_killed_with_a_job_under_way_loses_nothing_and_asks_nothing_twice(
    tmp_path: Path, provider: LlmServer, go: threading.Event
) -> None:
    bench = opened(tmp_path)
    campaign = campaigns.first(bench.store)
    sides = (Side("openai", Sampling("m", temperature)) for temperature in (0.2, 1.0))
    job = JobRow(id=new_id("job"), kind=generate_pairs.KIND, label="x", campaign_id=campaign.id, actor="ann", created_at=campaign.created_at)  # fmt: skip
    run = ingest.launcher(bench.settings.runs_dir).create(
        job.id, job.kind, generate_pairs.arguments(*sides, workers=4)
    )
    generate_pairs.write_prompts(run, [Prompt.from_text(f"Question {i}") for i in range(N)])
    bench.store.append(job)
    bench.store.close()
    keys = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": f"{provider.url}/v1"}

    def answered() -> int:
        return len(list(generate_pairs.read_results(run)))

    with serve(tmp_path, **keys) as server:
        until(lambda: answered() > 4)
        server.process.kill()
    assert answered() < N and run.process() is not None
    go.set()
    with serve(tmp_path, **keys):
        until(lambda: run.result())
    bench = opened(tmp_path)
    ingest.take_in(bench)
    row = job_rows.get(bench.store, run.id)
    assert row is not None and (row.state, row.ingested) == ("done", True)
    assert bench.store.rows("SELECT count(*), count(DISTINCT prompt_id) FROM pair") == [(N, N)]
    bench.store.close()
    assert set(Counter((r.prompt, r.body["temperature"]) for r in provider.received).values()) == {1}


def show(server: Server, page: str, session: str) -> list[ForwardMsg]:
    """What a browser is told when it opens a page."""
    stream = f"{server.url.replace('http', 'ws')}/_stcore/stream"
    message = BackMsg()
    message.rerun_script.page_name = page
    told: list[ForwardMsg] = []
    with connect(stream, additional_headers={"Cookie": f"attune_session={session}"}, max_size=None) as socket:
        socket.send(message.SerializeToString())
        while not told or told[-1].WhichOneof("type") != "script_finished":
            told.append(ForwardMsg.FromString(socket.recv(30)))  # type: ignore[arg-type]
    return told


def test_no_page_and_no_route_loads_torch(tmp_path: Path) -> None:
    bench = opened(tmp_path)
    load_sample(bench.store, bench.desks, "test")
    _, invitation = people.create(bench.store, "ada", "Ada", "admin", "test")
    people.accept(bench.store, invitation, PASSWORD)
    bench.store.close()
    with serve(tmp_path, ATTUNE_AUTH="password") as server, httpx.Client(base_url=server.url) as client:
        client.post(
            "/auth/sign-in", data={"login": "ada", "password": PASSWORD}, headers={"Origin": server.url}
        )
        session = client.cookies["attune_session"]
        for name, *_ in (page for group in PAGES.values() for page in group):
            told = show(server, name, session)
            (frame,) = [m.navigation for m in told if m.WhichOneof("type") == "navigation"]
            names = {page.page_script_hash: page.url_pathname for page in frame.app_pages}
            assert names[frame.page_script_hash] == name
            assert len([m for m in told if m.WhichOneof("type") == "delta"]) >= 10, f"{name} is empty"
            assert told[-1].script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
        for route in ("pairs", "metrics", "export/rlhf", "openapi.json"):
            assert client.get(f"/api/{route}").is_success, route
        loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "duckdb" in loaded, "this is the app"
        assert [name for name in ("libtorch", "tokenizers", "llvmlite", "hdbscan") if name in loaded] == []
        assert "Traceback" not in server.log.read_text()
