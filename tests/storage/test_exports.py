"""What leaves the store says what was judged: votes and labels by a plain count, CSV by reading it back."""

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.exporting import SPLITS, Policy, export
from core.importing import read_judgements
from core.judging import Verdict
from core.queueing import Lease
from core.reading import read_rows
from core.records import Judgement, Message, Pair, Parsed, Prompt, Response
from core.simulation import SimulatedAnnotator, SimulatedItem
from storage import campaigns, exports, pairs, simulated
from storage.desk import Desks
from storage.store import Store
from storage.tables import CampaignRow
from tests.storage.conftest import MakeCampaign, MakePairs, parsed

NASTY = 'Line one\n"quoted", comma; semicolon\ttab\u2028separator =SUM(A1) 😀 <script>alert(1)</script>'


def judgements(rows: list[Pair]) -> list[Judgement]:
    """Six annotators over all pairs, choices by a fixed rule; one of them judges the first pair twice."""
    given = [
        Judgement(pair, f"u{u}", ("a", "b", "a", "tie", "both_bad")[(u * u + i) % 5], (u % 5) + 1, NASTY if u == 2 else None,
                  12.5, datetime(2026, 3, 1, 10, i, u, 250_000, tzinfo=UTC))
        for i, pair in enumerate(rows)
        for u in range(6)
    ]  # fmt: skip
    return [*given, Judgement(rows[0], "u0", "b", submitted_at=datetime(2026, 4, 1, tzinfo=UTC))]


@pytest.fixture
def judged(store: Store, desks: Desks, make_pairs: MakePairs) -> list[Judgement]:
    given = judgements(
        [*make_pairs(7), Pair(Prompt.from_text(NASTY, "math"), Response(NASTY, "m, 1"), Response("x"), "p/1")]
    )
    report = pairs.add_judged(store, desks, Parsed(list(enumerate(given, start=1)), []), campaigns.first(store).id, "ann", source="crowd")  # fmt: skip
    assert report.annotations == len(given)
    return given


def test_simulated_annotators_are_left_out_unless_asked_for(
    store: Store, desks: Desks, judged: list[Judgement]
) -> None:
    here = campaigns.first(store)
    people = {c.pair_id: c.votes for c in exports.candidates(store)}
    here.k = 9
    campaigns.update(store, here, "ann")
    items = [SimulatedItem(pair_id, 10, 20) for pair_id in people]
    simulated.annotate(store, desks, here.id, items, [SimulatedAnnotator("Sim", 9.0)], 1, 1, "ann")
    assert {c.pair_id: c.votes for c in exports.candidates(store)} == people
    found = list(exports.candidates(store, simulated=True))
    assert sum(c.simulated for c in found) == len(items) > 0
    assert all(sum(c.votes.values()) == sum(people[c.pair_id].values()) + c.simulated for c in found)
    result = export(found, Policy("kto", "keep"))
    out = {pair_id for pair_id, fate in result.fate.items() if fate in SPLITS}
    assert result.report["simulated"] == sum(c.simulated > 0 and c.pair_id in out for c in found)


@pytest.mark.parametrize("method", ["majority", "dawid_skene"])
def test_candidates_are_a_plain_count_of_votes(store: Store, desks: Desks, judged: list[Judgement], method: exports.Method) -> None:  # fmt: skip
    unjudged = Pair(Prompt((Message("system", "s"), Message("user", "u"))), Response("1"), Response("2"))
    pairs.add(store, desks, parsed([unjudged]), campaigns.first(store).id, "ann", source="x")
    found = {c.pair_id: c for c in exports.candidates(store, method=method)}
    assert len(found) == 9
    nobody = found[unjudged.id]
    assert (nobody.votes, nobody.label, nobody.confidence, nobody.prompt) == ({}, None, None, unjudged.prompt)
    for pair in {j.pair.id: j.pair for j in judged}.values():
        first: dict[str, str] = {}
        for j in judged:
            if j.pair.id == pair.id:
                first.setdefault(j.annotator, j.choice)
        votes = Counter(first.values())
        candidate = found[pair.id]
        assert candidate.votes == votes
        assert (candidate.prompt, candidate.response_a, candidate.response_b) == (
            pair.prompt,
            pair.response_a,
            pair.response_b,
        )
        if method == "majority":
            (top, n), *rest = votes.most_common()
            drawn = bool(rest) and rest[0][1] == n
            assert candidate.label == (None if drawn else top)
            assert candidate.confidence == (None if drawn else pytest.approx(n / 6))
        else:
            assert candidate.confidence is None or 0.25 < candidate.confidence <= 1


def test_candidates_of_a_campaign_and_a_category(store: Store, desks: Desks, judged: list[Judgement], make_pairs: MakePairs) -> None:  # fmt: skip
    other = campaigns.create(store, CampaignRow(id="", name="Other"), "ann").id
    pairs.add(store, desks, parsed(make_pairs(2)), other, "ann", source="x")
    assert all(c.votes == {} for c in exports.candidates(store, campaign_id=other))
    assert len(list(exports.candidates(store, campaign_id=other))) == 2
    assert [c.prompt.category for c in exports.candidates(store, category="math")] == ["math"]


def test_csv_comes_back_in_as_the_same_judgements(
    store: Store, judged: list[Judgement], tmp_path: Path
) -> None:
    def said(rows: list[Judgement]) -> Counter[tuple[object, ...]]:
        facts = ("annotator", "choice", "confidence", "reason", "seconds", "submitted_at")
        return Counter(
            (j.pair.prompt.text, *j.pair.response_ids, *(getattr(j, fact) for fact in facts)) for j in rows
        )

    data = b"".join(exports.annotations_csv(store))
    rows = read_rows(data, "annotations.csv")
    back = read_judgements(rows.rows)
    assert rows.refused == back.refused == []
    assert said([j for _, j in back.rows]) == said(judged)

    other = Store(f"duckdb:///{tmp_path}/other.duckdb")
    desks, main = Desks(other), campaigns.first(other).id
    report = pairs.add_judged(other, desks, back, main, "ann", source="export")
    assert (report.added, report.annotations, report.annotators) == (8, len(judged), 6)
    again = list(csv.DictReader(io.StringIO(b"".join(exports.annotations_csv(other)).decode(), newline="")))
    once = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    columns = (
        "annotator",
        "choice",
        "prompt",
        "response_a",
        "confidence",
        "reason",
        "submitted_at",
        "category",
        "model_a",
    )
    key = [[tuple(row[c] for c in columns) for row in table] for table in (once, again)]
    assert sorted(key[0]) == sorted(key[1])
    other.close()


def test_csv_of_a_campaign_in_pieces(store: Store, desks: Desks, make_campaign: MakeCampaign, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """What stands and no more, oldest first, with sides; pieces are a matter of memory alone."""
    campaign = make_campaign(25, k=1, aspects=["helpful"])
    make_campaign(3)
    desk, now = desks[campaign.id], datetime.now(UTC)
    sides = {}
    for turn in range(25):
        lease = desk.next("ann", now)
        assert isinstance(lease, Lease)
        sides[lease.pair_id] = "a" if lease.a_left else "b"
        row = desk.submit(
            "ann", lease.pair_id, Verdict("a", aspects={"helpful": "b"}), now, source="api", lease_id=lease.id
        )
        if turn == 24:
            desk.edit("ann", row.id, Verdict("skip"), now, source="api")
    whole = b"".join(exports.annotations_csv(store, campaign_id=campaign.id))
    monkeypatch.setattr(exports, "_BATCH", 4)
    pieces = list(exports.annotations_csv(store, campaign_id=campaign.id))
    assert len(pieces) > 5 and b"".join(pieces) == whole
    rows = list(csv.DictReader(io.StringIO(whole.decode(), newline="")))
    assert {row["pair_id"]: row["left"] for row in rows} == sides
    assert Counter(row["choice"] for row in rows) == {"a": 24, "skip": 1}
    assert json.loads(rows[0]["aspects"]) == {"helpful": "b"}
    assert {row["campaign"] for row in rows} == {campaign.name}


def test_a_csv_under_way_is_one_moment_of_the_store(store: Store, judged: list[Judgement], desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(exports, "_BATCH", 5)
    pieces = exports.annotations_csv(store)
    begun = [next(pieces), next(pieces)]
    early = [Judgement(judged[0].pair, "late comer", "a", submitted_at=datetime(2020, 1, 1, tzinfo=UTC))]
    pairs.add_judged(
        store, desks, Parsed([(1, early[0])], []), campaigns.first(store).id, "ann", source="crowd"
    )
    rows = list(csv.DictReader(io.StringIO(b"".join([*begun, *pieces]).decode(), newline="")))
    assert len(rows) == len({row["annotation_id"] for row in rows}) == len(judged)


def test_a_csv_of_nothing_is_its_header(store: Store) -> None:
    data = b"".join(exports.annotations_csv(store)).decode()
    assert data.startswith("annotation_id,campaign,pair_id") and data.count("\n") == 1
