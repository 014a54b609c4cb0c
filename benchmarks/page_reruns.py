"""How soon the pages answer: every page as its client gets it, and clicks in Chromium, the app at rest and with a training on both cores.

    python -m benchmarks.page_reruns [--rounds 5]

The store holds UKPConvArg1, 67,129 judgements of 13,458 pairs, a model that learnt from them and a drift run of its errors. A rerun
lasts from the moment it is asked for to the message that the script has finished. A client that draws nothing goes to every page in
turn; Chromium goes from one view to another, and drawn is when the new view stands and the old one is gone, by the frames of a
browser that shares the cores and draws without a graphics card.
"""

import os
import statistics
import tempfile
import time
from argparse import ArgumentParser
from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from core.importing import read_judgements
from core.populations import proposed
from core.settings import load
from jobs import ingest, learning
from storage import campaigns, drift, jobs, models, pairs, people
from storage.drift import Scope
from storage.store import Store
from storage.tables import JobRow
from storage.workbench import Workbench
from tests.browser import find
from tests.serving import Server, serve
from tests.ukp import ukp_rows

NAV, VIEW = "[data-testid=stSidebarNav] a", "[data-testid=stMain] [role=radio]"
CLICKS = [
    (NAV, "Jobs", "Nothing has run yet|One job computes", "pairs go out"),
    (NAV, "Agreement", "Krippendorff", "Nothing has run yet|One job computes"),
    (VIEW, "Disagreements", "Click a pair", "Krippendorff"),
    (VIEW, "Figures", "Krippendorff", "Click a pair"),
    (NAV, "Train", "Usable pairs", "Krippendorff"),
    (NAV, "Export", "pairs go out", "Usable pairs"),
]
"""Where to click, on which words, and which words then come and go."""
_DRAWN = """async ([where, words, comes, goes]) => {
  const link = [...document.querySelectorAll(where)].find(one => one.innerText.trim().endsWith(words));
  const begun = performance.now();
  link.click();
  while (performance.now() - begun < 30000) {
    await new Promise(requestAnimationFrame);
    const told = document.querySelector("[data-testid=stMain]").innerText;
    const tells = words => words.split("|").some(one => told.includes(one));
    if (tells(comes) && !tells(goes)) return performance.now() - begun;
  }
  throw new Error(`${words}: ${comes} did not come, or ${goes} stayed`);
}"""


def every_page(server: Server, session: str, n: int) -> dict[str, list[float]]:
    """Milliseconds until a rerun of each page has finished, n of each; the first ones, in which everything is computed, are left out."""
    stream, cookie = f"{server.url.replace('http', 'ws')}/_stcore/stream", f"attune_session={session}"
    taken: dict[str, list[float]] = {}
    with connect(stream, additional_headers={"Cookie": cookie}, max_size=None) as socket:

        def rerun(**where: str) -> tuple[float, ForwardMsg | None]:
            asked = BackMsg()
            for name, value in where.items():
                setattr(asked.rerun_script, name, value)
            begun, navigation = time.perf_counter(), None
            socket.send(asked.SerializeToString())
            while (told := ForwardMsg.FromString(socket.recv(60))).WhichOneof("type") != "script_finished":
                navigation = told if told.WhichOneof("type") == "navigation" else navigation
            if told.script_finished != ForwardMsg.FINISHED_SUCCESSFULLY:
                raise SystemExit(f"{where} did not end well: {told}")
            return 1000 * (time.perf_counter() - begun), navigation

        _, told = rerun(page_name="overview")
        assert told is not None
        for turn in range(n + 1):
            for place in told.navigation.app_pages[1:]:
                time.sleep(0.3)
                lasted, _ = rerun(page_script_hash=place.page_script_hash)
                if turn:
                    taken.setdefault(place.page_name, []).append(lasted)
    return taken


def rounds(page: Page, n: int) -> list[list[tuple[float, float]]]:
    """Milliseconds until the rerun has finished and until it is drawn, of each click, one list a round; the first round, in which
    everything is computed, is left out."""
    asked: list[float] = []
    finished: list[float] = []

    def said(event: dict[str, Any]) -> None:
        back = BackMsg.FromString(b64decode(event["response"]["payloadData"]))
        if back.WhichOneof("type") == "rerun_script" and not back.rerun_script.is_auto_rerun:
            asked.append(event["timestamp"])

    def heard(event: dict[str, Any]) -> None:
        told = ForwardMsg.FromString(b64decode(event["response"]["payloadData"]))
        if told.WhichOneof("type") == "script_finished":
            finished.append(event["timestamp"])

    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on("Network.webSocketFrameSent", said)
    wire.on("Network.webSocketFrameReceived", heard)
    taken: list[list[tuple[float, float]]] = []
    for _ in range(n + 1):
        taken.append([])
        for click in CLICKS:
            asked.clear()
            finished.clear()
            drawn = page.evaluate(_DRAWN, click)
            page.wait_for_timeout(1000)
            rerun = next(end for end in finished if end > asked[0]) - asked[0]
            taken[-1].append((1000 * rerun, drawn))
    wire.detach()
    return taken[1:]


def _done(bench: Workbench, job: JobRow) -> None:
    while not (row := jobs.get(bench.store, job.id)) or not row.ingested:
        time.sleep(1)
    if row.state != "done":
        raise SystemExit(f"{job.label} did not end well: {ingest.status(bench, job).reason}")


def fill(bench: Workbench) -> None:
    """Judgements, a model and a drift run."""
    rows = read_judgements(ukp_rows(Path(os.environ.get("ATTUNE_TEST_DATA", "../shared/data"))))
    here = campaigns.first(bench.store).id
    pairs.add_judged(bench.store, bench.desks, rows, here, "benchmark", source="ukp")
    with ingest.watch(bench):
        _done(bench, learning.start_training(bench, "convincing", "benchmark", campaign_id=here))
        [model] = models.listed(bench.store)
        scope = Scope("pairs", here, model_id=model.id)
        windows = proposed(drift.days(bench.store, scope))
        _done(
            bench, learning.start_drift(bench, scope, windows["Later half against the earlier"], "benchmark")
        )


def main() -> None:
    """Print the medians of each page and each click and the longest reruns, at rest and beside a training."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    n = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        settings = load(data_dir=Path(folder))
        bench = Workbench(settings, Store(settings.database_url))
        fill(bench)
        account, link = people.create(bench.store, "ada", "Ada", "admin", "benchmark")
        people.accept(bench.store, link, "correct horse battery")
        session = people.open_session(bench.store, account, 12)
        bench.store.close()
        chromium = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        with serve(Path(folder), ATTUNE_AUTH="password") as server:
            context = chromium.new_context(viewport={"width": 1440, "height": 900})
            context.add_cookies([{"name": "attune_session", "value": session, "url": server.url}])
            page = context.new_page()
            page.goto(server.url)
            page.get_by_role("heading", name="Overview").wait_for()
            calm, clicked = every_page(server, session, n), rounds(page, n)
            api = httpx.Client(
                base_url=f"{server.url}/api",
                cookies={"attune_session": session},
                headers={"Origin": server.url},
            )
            endless = {"epochs": 1000, "settings": {"patience": 1000, "trained": 2}}
            job = {"kind": "train-reward", "name": "busy", "method": "transformer", **endless}
            started = api.post("jobs", json=job).raise_for_status().json()
            while api.get(f"jobs/{started['id']}").json()["phase"] != "training":
                time.sleep(1)
            hard, clicked_beside = every_page(server, session, n), rounds(page, n)
            api.post(f"jobs/{started['id']}/cancel").raise_for_status()  # it ran until now
        chromium.close()
    print(f"{'page, rerun in ms':<20}{'at rest':>10}{'longest':>10}{'training':>10}{'longest':>10}")
    for name in calm:
        figures = [f(runs[name]) for runs in (calm, hard) for f in (statistics.median, max)]
        print(f"{name:<20}" + "".join(f"{figure:>10.0f}" for figure in figures))
    print(f"\n{'':<16}{'rerun, ms':>28}{'drawn, ms':>20}")
    print(f"{'click':<16}{'at rest':>10}{'training':>10}{'longest':>8}{'at rest':>10}{'training':>10}")
    for i, (_, words, _, _) in enumerate(CLICKS):
        rest, beside = ([each[i] for each in runs] for runs in (clicked, clicked_beside))
        before, after = (
            [statistics.median(column) for column in zip(*runs, strict=True)] for runs in (rest, beside)
        )
        longest = max(rerun for rerun, _ in beside)
        print(
            f"{words:<16}{before[0]:>10.0f}{after[0]:>10.0f}{longest:>8.0f}{before[1]:>10.0f}{after[1]:>10.0f}"
        )


if __name__ == "__main__":
    main()
