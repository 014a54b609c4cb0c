"""The Drift page: empty states, a run shown as it was computed, what is chosen leads to pairs, and starting one."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from core.drift import Rows, by_cluster, calibration, labels
from core.importing import read_judgements
from core.two_samples import categories, classifier, mmd
from jobs import ingest
from storage import campaigns, drift, pairs
from storage import jobs as job_rows
from storage.tables import DriftRow
from storage.workbench import Workbench
from tests.pages.conftest import Visit

SHELL = Path(__file__).resolve().parents[2] / "pages" / "_shell.py"
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
VIEWS = ("Map", "Clusters", "Tests", "New run")
N = 240


def opened(view: str | None = None, name: str = "Ada", **state: Any) -> AppTest:
    at = AppTest.from_file(str(SHELL), default_timeout=300)
    at.session_state["name"] = name
    for key, value in {**({"drift view": view} if view else {}), **state}.items():
        at.session_state[key] = value
    return at.switch_page("drift.py").run()


def shown(at: AppTest) -> str:
    return "\n".join(
        str(one.value) for one in [*at.markdown, *at.caption, *at.info, *at.warning, *at.success, *at.error]
    )


@pytest.fixture
def judged(bench: Workbench) -> Workbench:
    """A pair for each of N hours over two weeks."""
    rows: list[tuple[int, dict[str, object]]] = [
        (i + 1, {"prompt": f"question {i}", "response_a": f"first of {i}", "response_b": f"second of {i}", "annotator": "ann",
                 "choice": "ab"[i % 2], "category": "math", "submitted_at": (MONDAY + timedelta(hours=1.4 * i)).isoformat()})
        for i in range(N)
    ]  # fmt: skip
    pairs.add_judged(
        bench.store,
        bench.desks,
        read_judgements(rows),
        campaigns.first(bench.store).id,
        "test",
        source="test",
    )
    return bench


def figures(after: np.ndarray, cluster: np.ndarray, random: np.random.Generator) -> dict[str, Any]:
    """What a job would say of these texts, errors and labels."""
    group = np.arange(N)
    p = random.uniform(0.55, 0.95, N)
    y = (random.random(N) < np.where(cluster == 1, 0.1, p)).astype(float)
    rows = Rows.of(after, group, probability=p, target=y, other=np.where(cluster == 2, 0.2, p))
    x = random.normal(size=(N, 5)) + 4 * (cluster[:, None] == 1)
    found = by_cluster(cluster, rows)
    code = random.integers(0, 2, N)
    terms = {0: ["cats", "dogs"], 1: ["taxes", "law"], 2: ["stars"]}
    return {
        "windows": [{"name": "2026-03-02 to 2026-03-08", "rows": int((~after).sum()), "groups": 1}, {"name": "2026-03-09 to 2026-03-15", "rows": int(after.sum()), "groups": 1}],
        "clusters": [{**asdict(one), "terms": terms[one.cluster]} for one in found],
        "tests": {"mmd": asdict(mmd(x, after)), "classifier": asdict(classifier(x, after)), "labels": asdict(categories(code, after))},
        "labels": [{"label": name, **asdict(one)} for name, one in zip("ab", labels(code, after, group), strict=True)],
        "calibration": asdict(calibration(p, y, after, group, draws=50)),
        "stream": {"outcomes": N, "changes": []},
        "alpha": 0.05, "next": 3, "unclustered": 0, "alike": False,
        "alerts": [{"kind": "clusters", "p": found[0].share.change.adjusted, "clusters": [1]}, {"kind": "mmd", "p": 0.002}],  # type: ignore[union-attr]
        "rows": rows,
    }  # fmt: skip


@pytest.fixture
def run(judged: Workbench) -> str:
    """A run whose second cluster came in the second week, and is where the model errs."""
    random = np.random.default_rng(0)
    ids = [key for (key,) in judged.store.rows("SELECT pair_id FROM annotation ORDER BY submitted_at")]
    after = np.arange(N) >= N // 2
    cluster = np.where(after & (np.arange(N) % 3 == 0), 1, np.where(np.arange(N) % 2, 2, 0))
    found = figures(after, cluster, random)
    rows = found.pop("rows")
    points = pa.table(
        {"id": ids, "after": after, "seen_at": [MONDAY + timedelta(hours=1.4 * i) for i in range(N)], "x": random.normal(size=N), "y": cluster + 0.5,
         "cluster": cluster, "error": pa.array(rows.error, from_pandas=True), "gap": rows.gap, "flip": rows.flip, "pair_id": ids}
    )  # fmt: skip
    clusters = pa.table(
        {
            "cluster": [0, 1, 2],
            "name": ["a", "b", "c"],
            "n": [1, 1, 1],
            "x": [0.0] * 3,
            "y": [0.5, 1.5, 2.5],
            "centroid": [[0.0]] * 3,
        }
    )
    row = DriftRow(id="drift_1", campaign_id=campaigns.first(judged.store).id, population="pairs", view="semantic", grouped="prompt",
                   windows=[], scope={"simulated": False, "category": None}, actor="ann", created_at=MONDAY, figures=found)  # fmt: skip
    drift.register(judged.store, row, points, clusters)
    return row.id


def test_with_nothing_judged_it_says_to_judge(bench: Workbench) -> None:
    at = opened()
    assert not at.exception
    assert ("judge pairs" in at.info[0].value and at.button[-1].label != "Compare the windows") or at.button[
        -1
    ].disabled


def test_all_of_one_day_is_said_to_need_another(bench: Workbench) -> None:
    rows: list[tuple[int, dict[str, object]]] = [
        (
            1,
            {
                "prompt": "q",
                "response_a": "a",
                "response_b": "b",
                "annotator": "ann",
                "choice": "a",
                "submitted_at": MONDAY.isoformat(),
            },
        )
    ]
    pairs.add_judged(
        bench.store,
        bench.desks,
        read_judgements(rows),
        campaigns.first(bench.store).id,
        "test",
        source="test",
    )
    at = opened()
    assert (
        not at.exception
        and "Everything is of one day, 2026-03-02; two windows need two days" in at.info[0].value
    )


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws_with_a_run_and_without(run: str, view: str) -> None:
    at = opened(view)
    assert not at.exception and not at.error
    assert at.get("plotly_chart")


@pytest.mark.parametrize("view", VIEWS[:3])
def test_without_a_run_each_view_says_how_to_make_one(judged: Workbench, view: str) -> None:
    at = opened(view)
    assert not at.exception and "Nothing has been compared yet" in at.info[0].value


def test_alerts_come_with_the_rate_they_are_set_to(run: str) -> None:
    at = opened("Map")
    assert (
        "1 cluster came, went, grew or shrank (adjusted p < 0.001); the texts as a whole differ (MMD, p = 0.002)"
        in at.warning[0].value.replace("\N{NO-BREAK SPACE}", " ")
    )
    assert "set to 5%: where nothing changed, it comes in so many runs at most" in shown(at)
    ranked = at.dataframe[0].value
    assert ranked["Cluster"].tolist()[0] == "1 · taxes, law"
    assert ranked["Before"].tolist()[0] == 0 and ranked["p"].tolist()[0] == "<\N{NO-BREAK SPACE}0.001"


def test_a_chosen_cluster_and_a_drawn_shape_list_their_pairs(run: str) -> None:
    at = opened("Map", **{"drift chosen": {"run": run, "cluster": 1}})
    assert "**40** in cluster 1: 0 in 2026-03-02 to 2026-03-08, 40 in 2026-03-09 to 2026-03-15." in shown(at)
    listed = at.dataframe[1].value
    assert (
        len(listed) == 40
        and set(listed["window"]) == {"2026-03-09 to 2026-03-15"}
        and listed["prompt"].str.startswith("question").all()
    )
    assert (listed["model"] == "wrong").mean() > 0.6
    square = [(-9.0, 2.0), (9.0, 2.0), (9.0, 3.0), (-9.0, 3.0)]
    at = opened("Map", **{"drift chosen": {"run": run, "shapes": [square]}})
    assert "in what was drawn around" in shown(at)
    assert f"**{len(at.dataframe[1].value)}**" in shown(at)
    at = opened("Map", **{"drift chosen": {"run": "another", "cluster": 1}})
    assert len(at.dataframe) == 1 and "Draw around texts on the map" in shown(at)


def test_figures_of_clusters_are_ranked_by_their_own_evidence(run: str) -> None:
    at = opened("Clusters")
    (kind,) = [one for one in at.get("button_group") if "share" in one.options or "Share" in one.options]
    for figure, best in (("error", "1 · taxes, law"), ("gap", "1 · taxes, law"), ("flips", "2 · stars")):
        at = opened("Clusters", **{kind.key: figure})
        table = at.dataframe[0].value
        assert table["Cluster"].tolist()[0] == best, figure
        assert table["p, apart"].tolist()[0] == "<\N{NO-BREAK SPACE}0.001"


def test_tests_tell_value_limit_and_verdict(run: str) -> None:
    at = opened("Tests")
    table = at.dataframe[0].value.set_index("What")
    assert table.loc["Texts, by their distances", "Found"] == "The windows differ."
    assert table.loc["Labels", "Found"] == "No evidence that the windows differ."
    assert table.loc["Texts, by a classifier", "If nothing changed"].startswith("below 0.5")
    assert "However often one looks" in shown(at) and f"{N:,} were watched, one of each group" in shown(at)


def test_a_lead_starts_a_run_once(judged: Workbench) -> None:
    ingest.launcher(judged.settings.runs_dir).command = ["sleep", "0"]
    at = opened()
    chosen = [one.value for one in at.get("button_group") if one.label == "Windows"]
    assert chosen == ["Latest week against the one before"]
    (start,) = [one for one in at.button if one.label == "Compare the windows"]
    at = start.click().run()
    assert not at.exception and not at.error
    ((job, _),) = ingest.listed(judged, kinds=["drift"])
    told = ingest.run_of(judged, job).job()["arguments"]
    assert told["scope"]["population"] == "pairs" and told["days"][1] == {
        "first": "2026-03-09",
        "last": "2026-03-15",
    }
    assert job.label == "Pairs · 2026-03-02 to 2026-03-08 (120) against 2026-03-09 to 2026-03-15 (120)"


def test_what_cannot_be_started_is_said(judged: Workbench) -> None:
    at = opened(**{"drift population": "errors"})
    (start,) = [one for one in at.button if one.label == "Compare the windows"]
    at = start.click().run()
    assert "Errors are those of a model" in at.error[0].value and job_rows.count(judged.store) == 0


def test_a_researcher_sees_runs_and_starts_none(run: str, sign_in: Any) -> None:
    sign_in("researcher")
    assert not opened("Map").exception
    (start,) = [one for one in opened("New run").button if one.label == "Compare the windows"]
    assert start.disabled


def test_an_annotator_has_no_such_page(run: str, visit: Visit, sign_in: Any) -> None:
    sign_in("annotator")
    with pytest.raises(ValueError, match="Could not find a navigation page for"):
        visit("drift", name="")
