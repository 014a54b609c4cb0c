"""Drift runs from the store and back, with real processes; and on real annotations whose topics came and went."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sklearn.metrics import adjusted_mutual_info_score

from core.importing import read_judgements
from core.populations import Window
from jobs import ingest, learning
from jobs.protocol import JobError
from storage import campaigns, drift, pairs
from storage import jobs as job_rows
from storage.campaigns import CampaignError
from storage.drift import Scope
from storage.workbench import Workbench
from tests.jobs.benches import ended, until
from tests.ukp import ukp_rows

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
WEEKS = Window(date(2026, 3, 2), date(2026, 3, 8)), Window(date(2026, 3, 9), date(2026, 3, 15))
WORDS = {
    "bread": "flour yeast oven crust dough kneading sourdough loaf rye baker",
    "stars": "telescope galaxy orbit comet nebula planet eclipse supernova astronomer meteor",
    "tax": "income deduction audit invoice revenue refund levy fiscal ledger accountant",
}


@pytest.fixture
def judged(bench: Workbench) -> Workbench:
    """Pairs about bread and stars in the first week, with taxes in the second."""
    rows: list[tuple[int, dict[str, object]]] = []
    draw = random.Random(0)
    for i in range(120):
        topic = [*WORDS][i % (2 if i < 60 else 3)]
        some = [" ".join(draw.sample(WORDS[topic].split(), 4)) for _ in range(3)]
        at = MONDAY + timedelta(hours=2.8 * i)
        row = {"prompt": f"What of {some[0]}, number {i}?", "response_a": some[1], "response_b": some[2],
               "annotator": "ann", "choice": "ab"[i % 2], "submitted_at": at.isoformat()}  # fmt: skip
        rows.append((i + 1, row))
    pairs.add_judged(
        bench.store,
        bench.desks,
        read_judgements(rows),
        campaigns.first(bench.store).id,
        "test",
        source="test",
    )
    return bench


def test_a_run_is_taken_in_once_and_a_failed_one_leaves_it_standing(judged: Workbench) -> None:
    bench, campaign = judged, campaigns.first(judged.store).id
    scope = Scope("pairs", campaign)
    job = learning.start_drift(bench, scope, WEEKS, "ann", view="tfidf")
    row, status = ended(bench, job, 200)
    assert row.state == "done", status.reason
    job_rows.resumed(bench.store, job.id, "test")
    assert ingest.take_in(bench) == [job.id]
    (run,) = drift.listed(bench.store, campaign)
    assert (run.id, run.population, run.view, run.grouped) == (job.id, "pairs", "tfidf", "prompt")
    assert run.windows == [
        {"first": "2026-03-02", "last": "2026-03-08"},
        {"first": "2026-03-09", "last": "2026-03-15"},
    ]
    came = run.figures["clusters"][0]
    assert came["share"]["before"]["value"] == 0 and set(came["terms"]) <= set(WORDS["tax"].split())
    assert "clusters" in [alert["kind"] for alert in run.figures["alerts"]]
    points = drift.points(bench.store, run.id).to_pylist()
    assert len(points) == 120 and {p["pair_id"] for p in points} == {
        key for (key,) in bench.store.rows("SELECT id FROM pair")
    }
    assert [
        c["name"] for c in drift.clusters(bench.store, run.id).to_pylist() if c["cluster"] == came["cluster"]
    ] == [" · ".join(came["terms"])]

    again = learning.start_drift(bench, scope, WEEKS, "ann", view="tfidf")
    inputs = ingest.run_of(bench, again).inputs
    assert {path.name for path in inputs.iterdir()} == {
        "rows.parquet",
        "previous.parquet",
        "centroids.parquet",
    }
    until(lambda: ingest.run_of(bench, again).process(), bench)
    process = ingest.run_of(bench, again).process()
    assert process is not None
    process.kill()
    row, status = ended(bench, again)
    assert row.state == "failed" and "SIGKILL" in (status.reason or "")
    assert [one.id for one in drift.listed(bench.store)] == [job.id]


def test_what_cannot_be_run_is_refused_and_leaves_nothing(judged: Workbench) -> None:
    late = Window(date(2026, 4, 1), date(2026, 4, 7))
    with pytest.raises(
        JobError, match="Nothing of this population is in the window 2026-04-01 to 2026-04-07"
    ):
        learning.start_drift(judged, Scope("answers"), (WEEKS[1], late), "ann")
    with pytest.raises(ValueError, match="overlap"):
        learning.start_drift(judged, Scope(), (late, WEEKS[0]), "ann")
    with pytest.raises(ValueError, match="Errors are those of a model"):
        learning.start_drift(judged, Scope("errors"), WEEKS, "ann")
    with pytest.raises(CampaignError):
        learning.start_drift(judged, Scope(campaign_id="none"), WEEKS, "ann")
    assert job_rows.count(judged.store) == 0
    runs = judged.settings.runs_dir
    assert not runs.exists() or not list(runs.iterdir())


@pytest.mark.slow
def test_topics_of_real_annotations_that_came_and_went_are_found_and_named(
    bench: Workbench, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """UKPConvArg1, calendar week 5 of 2016 against week 6: seven debates went, six came."""
    weeks = Window(date(2016, 2, 1), date(2016, 2, 7)), Window(date(2016, 2, 8), date(2016, 2, 14))
    rows = [
        (n, row)
        for n, row in ukp_rows(shared_data)
        if "2016-02-01" <= str(row["submitted_at"]) < "2016-02-15"
    ]
    pairs.add_judged(
        bench.store, bench.desks, read_judgements(rows), campaigns.first(bench.store).id, "test", source="ukp"
    )
    job = learning.start_drift(bench, Scope("answers"), weeks, "ann")
    row, status = ended(bench, job, 600)
    assert row.state == "done", status.reason
    (run,) = drift.listed(bench.store)
    external = dict(bench.store.rows("SELECT id, external_id FROM pair"))
    points = drift.points(bench.store, run.id).to_pylist()
    topic = [external[point["pair_id"]].rpartition("/")[0] for point in points]
    debate = [name.partition("_")[0] for name in topic]
    cluster = [point["cluster"] for point in points]
    agreement = adjusted_mutual_info_score(topic, cluster)
    with capsys.disabled():
        print(
            f"\nclusters and topic_file: adjusted mutual information {agreement:.3f}, n = {len(points)}, {len({*cluster})} clusters"
        )
    assert agreement > 0.85

    week = {
        name: {point["after"] for point, one in zip(points, debate, strict=True) if one == name}
        for name in {*debate}
    }
    assert len(week) == 13
    changed = [c for c in run.figures["clusters"] if c["share"]["change"]["adjusted"] < 0.05]
    about = {
        c["cluster"]: Counter(
            d for d, k in zip(debate, cluster, strict=True) if k == c["cluster"]
        ).most_common(1)[0]
        for c in changed
    }
    for c in changed:
        name, n = about[c["cluster"]]
        came = c["share"]["after"]["value"] > c["share"]["before"]["value"]
        assert week[name] == {came} or week[name] == {False, True}
        assert n / c["n"] > 0.8
    assert {name for name, _ in about.values()} == set(week), "every debate that came or went is found"
    named = " ".join(term for c in changed for term in c["terms"])
    assert all(
        word in named for word in ("firefox", "marriage", "spanking", "abortion", "father", "porn", "india")
    )
