"""How soon the pages answer a click in Chromium, the app at rest and with a training on both cores.

    python -m benchmarks.page_reruns [--rounds 5]

The store holds UKPConvArg1, 67,129 judgements of 13,458 pairs. Each click goes from one view to another. A rerun lasts from the
moment the browser asks for it to the message that the script has finished; drawn is when the new view stands and the old one is
gone, by the frames of a browser that shares the cores and draws without a graphics card.
"""

import os
import statistics
import tempfile
from argparse import ArgumentParser
from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from core.importing import read_judgements
from core.settings import load
from storage import campaigns, pairs
from storage.store import Store
from storage.workbench import Workbench
from tests.browser import find
from tests.serving import serve
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


def main() -> None:
    """Print the medians of each click and the longest rerun, at rest and beside a training."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    n = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        settings = load(data_dir=Path(folder))
        bench = Workbench(settings, Store(settings.database_url))
        rows = read_judgements(ukp_rows(Path(os.environ.get("ATTUNE_TEST_DATA", "../shared/data"))))
        here = campaigns.first(bench.store).id
        pairs.add_judged(bench.store, bench.desks, rows, here, "benchmark", source="ukp")
        bench.store.close()
        chromium = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        with serve(Path(folder)) as server:
            page = chromium.new_page(viewport={"width": 1440, "height": 900})
            page.goto(server.url)
            page.get_by_label("Your name").fill("Ada")
            page.keyboard.press("Enter")
            page.get_by_role("heading", name="Overview").wait_for()
            at_rest = rounds(page, n)
            endless = {"epochs": 1000, "settings": {"patience": 1000}}
            job = {"kind": "train-reward", "name": "busy", "method": "transformer", **endless}
            started = httpx.post(f"{server.url}/api/jobs", json=job).raise_for_status().json()
            while httpx.get(f"{server.url}/api/jobs/{started['id']}").json()["phase"] != "training":
                page.wait_for_timeout(1000)
            busy = rounds(page, n)
            httpx.post(f"{server.url}/api/jobs/{started['id']}/cancel").raise_for_status()  # it ran until now
        chromium.close()
    print(f"{'':<16}{'rerun, ms':>28}{'drawn, ms':>20}")
    print(f"{'click':<16}{'at rest':>10}{'training':>10}{'longest':>8}{'at rest':>10}{'training':>10}")
    for i, (_, words, _, _) in enumerate(CLICKS):
        calm, hard = ([each[i] for each in runs] for runs in (at_rest, busy))
        before, after = (
            [statistics.median(column) for column in zip(*runs, strict=True)] for runs in (calm, hard)
        )
        longest = max(rerun for rerun, _ in hard)
        print(
            f"{words:<16}{before[0]:>10.0f}{after[0]:>10.0f}{longest:>8.0f}{before[1]:>10.0f}{after[1]:>10.0f}"
        )


if __name__ == "__main__":
    main()
