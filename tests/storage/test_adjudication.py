"""Adjudication on a real store: who gets which pair, that votes stay as they are, and what a resolution decides."""

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.agreement import agreement_report
from core.importing import read_judgements
from core.judging import InvalidJudgement, Verdict
from core.labels import Policy
from core.next_steps import Disputed
from core.queueing import Lease, NotAccepted
from storage import adjudication, annotations, audits, campaigns, exports, learning, overview, pairs, people
from storage.adjudication import Adjudication
from storage.desk import Desks
from storage.simulated import load_sample
from storage.store import Store
from storage.tables import CampaignRow
from tests.storage.conftest import MakeCampaign
from tests.ukp import ukp_rows

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SAID = {"ann": "aaabt", "bob": "abbat", "cat": "abaax"}
"""What each says of the five pairs, in order of their prompts: all agree on the first and on none of the others."""
CHOICES = {"a": "a", "b": "b", "t": "tie", "x": "both_bad"}


@pytest.fixture
def campaign(store: Store, desks: Desks, make_campaign: MakeCampaign) -> CampaignRow:
    campaign = make_campaign(5, k=4)
    for name, said in SAID.items():
        who = people.annotator(store, name).id
        for pair_id, choice in zip(numbered(store), said, strict=True):
            desks[campaign.id].submit(
                who, pair_id, Verdict(CHOICES[choice], reason=f"{name} why"), NOW, source="person"
            )  # type: ignore[arg-type]
    return campaign


@pytest.fixture
def bench(store: Store, desks: Desks) -> Adjudication:
    return Adjudication(store, desks)


def numbered(store: Store) -> list[str]:
    """The pairs in order of their prompts."""
    return [
        row[0]
        for row in store.rows("SELECT pair.id FROM pair JOIN prompt ON prompt.id = prompt_id ORDER BY text")
    ]


def lead(store: Store, name: str = "Lea") -> str:
    return people.annotator(store, name).id


def taken(
    bench: Adjudication, campaign: CampaignRow, who: str, disputed: list[str], now: datetime = NOW
) -> Lease:
    lease = bench.next(campaign.id, who, disputed, now)
    assert lease is not None
    return lease


def test_the_disputed_pairs_come_and_each_is_resolved_once(
    store: Store, bench: Adjudication, campaign: CampaignRow
) -> None:
    disputed = adjudication.disputed(store, campaign.id)
    assert set(disputed) == set(numbered(store)[1:])
    assert (
        adjudication.disputed(store, campaign.id, "math")
        == adjudication.disputed(store, campaign.id, least=4)
        == []
    )
    who = lead(store)
    assert bench.docket(campaign.id, who, disputed, NOW) == adjudication.Docket(0, 0, 0, 0, disputed)
    lease = taken(bench, campaign, who, disputed)
    assert lease.pair_id == disputed[0] and taken(bench, campaign, who, disputed) == lease
    said = Verdict("a", strength=2, confidence=4, reason="It answers.", seconds=12.5)
    row = bench.resolve(who, lease.pair_id, said, NOW, lease_id=lease.id)
    assert bench.resolve(who, lease.pair_id, said, NOW, lease_id=lease.id) == row
    (shown,), n = annotations.page(store, campaign_id=campaign.id, resolutions=True)
    assert n == 1 and (shown["choice"], shown["reason"], shown["seconds"]) == ("a", "It answers.", 12.5)
    assert (shown["source"], shown["annotator"], shown["left"]) == (
        "adjudication",
        "Lea",
        "a" if lease.a_left else "b",
    )
    assert adjudication.resolutions(store, campaign.id) == {disputed[0]: "a"}
    docket = bench.docket(campaign.id, who, disputed, NOW)
    assert docket == adjudication.Docket(1, 0, 0, 0, disputed[1:]) and docket.disputed == len(disputed)
    with pytest.raises(NotAccepted, match="already, and otherwise"):
        bench.resolve(who, lease.pair_id, Verdict("b"), NOW, lease_id=lease.id)
    for pair_id in disputed[1:]:
        lease = taken(bench, campaign, who, disputed)
        assert lease.pair_id == pair_id
        bench.resolve(who, lease.pair_id, Verdict("tie"), NOW, lease_id=lease.id)
    assert bench.next(campaign.id, who, disputed, NOW) is None


def test_the_sides_are_seeded_and_vary(store: Store, bench: Adjudication, campaign: CampaignRow) -> None:
    disputed = adjudication.disputed(store, campaign.id)

    def side(bench: Adjudication, i: int) -> bool:
        who = lead(store, f"Lea {i}")
        lease = taken(bench, campaign, who, [disputed[i % 4]])
        bench.release(who, lease.id)
        return lease.a_left

    sides = [side(bench, i) for i in range(30)]
    assert {True, False} == set(sides)
    assert sides == [side(Adjudication(store, Desks(store)), i) for i in range(30)]


def test_nobody_adjudicates_a_pair_they_judged_or_annotates_one_they_adjudicated(
    store: Store, desks: Desks, bench: Adjudication, campaign: CampaignRow
) -> None:
    disputed = adjudication.disputed(store, campaign.id)
    ann = people.annotator(store, "ann").id
    assert bench.next(campaign.id, ann, disputed, NOW) is None
    assert bench.docket(campaign.id, ann, disputed, NOW) == adjudication.Docket(0, 4, 0, 0, [])
    who = lead(store)
    while lease := bench.next(campaign.id, who, disputed, NOW):
        bench.resolve(who, lease.pair_id, Verdict("b"), NOW, lease_id=lease.id)
    for queue in (desks[campaign.id], Desks(store)[campaign.id]):
        got = queue.next(who, NOW + timedelta(days=1))
        assert isinstance(got, Lease) and got.pair_id not in disputed
    with pytest.raises(NotAccepted, match="judged this pair already"):
        desks[campaign.id].submit(who, disputed[0], Verdict("a"), NOW, source="person")


def test_somebody_who_judged_it_in_another_campaign_is_told_so_too(
    store: Store, desks: Desks, bench: Adjudication, campaign: CampaignRow
) -> None:
    other = campaigns.create(store, CampaignRow(id="", name="Other"), "test")
    campaigns.add_from(store, other.id, campaign.id, "test")
    disputed, who = adjudication.disputed(store, campaign.id), lead(store)
    desks[other.id].submit(who, disputed[0], Verdict("a"), NOW, source="person")
    assert bench.docket(campaign.id, who, disputed, NOW).own == 1
    assert taken(bench, campaign, who, disputed).pair_id == disputed[1]


def test_two_adjudicators_never_hold_or_resolve_the_same_pair(
    store: Store, bench: Adjudication, campaign: CampaignRow
) -> None:
    disputed = adjudication.disputed(store, campaign.id)
    names = [lead(store, f"Lea {i}") for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        leases = [x for x in pool.map(lambda who: bench.next(campaign.id, who, disputed, NOW), names) if x]
    assert len(leases) == 4 and {x.pair_id for x in leases} == set(disputed)
    assert bench.docket(campaign.id, lead(store), disputed, NOW).held == 4
    late = NOW + timedelta(minutes=campaign.lease_minutes)
    second = taken(bench, campaign, lead(store), disputed, late)
    first = next(x for x in leases if x.pair_id == second.pair_id)
    with pytest.raises(NotAccepted, match="gone to another"):
        bench.resolve(first.annotator, first.pair_id, Verdict("a"), late, lease_id=first.id)
    bench.resolve(second.annotator, second.pair_id, Verdict("a"), late, lease_id=second.id)
    with pytest.raises(NotAccepted, match="resolved this pair meanwhile"):
        bench.resolve(first.annotator, first.pair_id, Verdict("a"), late, lease_id=first.id)
    lapsed = next(x for x in leases if x.pair_id != second.pair_id)
    assert bench.renew(lapsed.annotator, lapsed.id, late) is None
    assert bench.resolve(
        lapsed.annotator, lapsed.pair_id, Verdict("b"), late, lease_id=lapsed.id
    ).preferred_id
    with pytest.raises(NotAccepted, match="you hold no lease"):
        bench.resolve(names[0], disputed[0], Verdict("a"), NOW, lease_id="l_unknown")


def test_a_lease_can_be_renewed_and_given_back(
    store: Store, bench: Adjudication, campaign: CampaignRow
) -> None:
    disputed = adjudication.disputed(store, campaign.id)
    who, later = lead(store), NOW + timedelta(minutes=20)
    lease = taken(bench, campaign, who, disputed)
    longer = bench.renew(who, lease.id, later)
    assert longer is not None and longer.id == lease.id
    assert longer.expires_at - later == timedelta(minutes=campaign.lease_minutes)
    assert bench.renew("somebody else", lease.id, later) is None
    bench.release(who, lease.id)
    assert taken(bench, campaign, lead(store, "Lou"), disputed).pair_id == lease.pair_id


def test_undo_keeps_the_history_and_brings_the_pair_back(
    store: Store, desks: Desks, bench: Adjudication, campaign: CampaignRow
) -> None:
    disputed, who = adjudication.disputed(store, campaign.id), lead(store)
    lease = taken(bench, campaign, who, disputed)
    row = bench.resolve(who, lease.pair_id, Verdict("a"), NOW, lease_id=lease.id)
    with pytest.raises(NotAccepted):
        bench.retract(lead(store, "Lou"), row.id, NOW)
    with pytest.raises(NotAccepted):
        desks[campaign.id].retract(who, row.id, NOW)
    again = bench.retract(who, row.id, NOW)
    assert again is not None and (again.pair_id, again.a_left) == (lease.pair_id, lease.a_left)
    assert adjudication.resolutions(store) == {}
    with pytest.raises(NotAccepted, match="undone already"):
        bench.retract(who, row.id, NOW)
    bench.resolve(who, again.pair_id, Verdict("b"), NOW + timedelta(minutes=1), lease_id=again.id)
    told = [(r["source"], r["state"]) for r in annotations.history(store, lease.pair_id, who)]
    assert told == [("adjudication", "undone"), ("adjudication", "stands")]
    assert adjudication.resolutions(store) == {lease.pair_id: "b"}


def test_a_pair_passed_over_is_left_to_another(
    store: Store, bench: Adjudication, campaign: CampaignRow
) -> None:
    disputed, who, other = adjudication.disputed(store, campaign.id), lead(store), lead(store, "Lou")
    lease = taken(bench, campaign, who, disputed)
    skipped = bench.resolve(who, lease.pair_id, Verdict("skip"), NOW, lease_id=lease.id)
    docket = bench.docket(campaign.id, who, disputed, NOW)
    assert (docket.passed, docket.resolved, len(docket.open)) == (1, 0, 3)
    theirs = taken(bench, campaign, other, disputed)
    assert theirs.pair_id == lease.pair_id
    bench.resolve(other, theirs.pair_id, Verdict("a"), NOW, lease_id=theirs.id)
    assert bench.retract(who, skipped.id, NOW) is None


def test_the_campaigns_rules_hold_and_a_refused_resolution_leaves_the_pair_in_hand(
    store: Store, desks: Desks, bench: Adjudication, campaign: CampaignRow
) -> None:
    with desks[campaign.id].closed():
        campaign.ties, campaign.annotators = False, [people.annotator(store, "ann").id]
        campaigns.update(store, campaign, "test")
    disputed, who = adjudication.disputed(store, campaign.id), lead(store)
    lease = taken(bench, campaign, who, disputed)
    with pytest.raises(InvalidJudgement, match="no ties"):
        bench.resolve(who, lease.pair_id, Verdict("tie"), NOW, lease_id=lease.id)
    assert taken(bench, campaign, who, disputed) == lease
    bench.resolve(who, lease.pair_id, Verdict("a"), NOW, lease_id=lease.id)
    other = campaigns.create(store, CampaignRow(id="", name="Other"), "test")
    with desks[campaign.id].closed():
        campaign.archived = True
        campaigns.update(store, campaign, "test")
    with pytest.raises(NotAccepted, match="archived"):
        bench.next(campaign.id, who, disputed, NOW)
    assert bench.next(other.id, who, [], NOW) is None


def test_a_resolution_decides_the_label_and_nothing_that_counts_votes_sees_it(
    store: Store, desks: Desks, bench: Adjudication, campaign: CampaignRow
) -> None:
    pair_of = dict(zip("12345", numbered(store), strict=True))
    before = agreement_report(*annotations.ratings(store, campaign_id=campaign.id))
    votes = {c.pair_id: c.votes for c in exports.candidates(store, campaign_id=campaign.id)}
    left = campaigns.progress(store, campaign).left
    settled = {"2": "a", "3": "b", "4": "both_bad", "5": "a"}
    for number, choice in settled.items():
        lease = taken(bench, campaign, lead(store), [pair_of[number]])
        said, then = Verdict(choice), NOW + timedelta(hours=1)  # type: ignore[arg-type]
        bench.resolve(lead(store), lease.pair_id, said, then, lease_id=lease.id)

    assert agreement_report(*annotations.ratings(store, campaign_id=campaign.id)) == before
    assert campaigns.progress(store, campaign).left == left
    assert annotations.page(store, annotator_id=lead(store)) == ([], 0)
    for method in ("majority", "dawid_skene"):
        found = {c.pair_id: c for c in exports.candidates(store, campaign_id=campaign.id, method=method)}  # type: ignore[arg-type]
        assert {pair: c.votes for pair, c in found.items()} == votes
        assert {n: found[pair_of[n]].label for n in settled} == settled
        assert {found[pair_of[n]].confidence for n in settled} == {1.0}
        assert found[pair_of["1"]].label == "a"

    taught = {row["pair_id"]: row for row in learning.freeze(store, campaign.id, Policy()).table.to_pylist()}
    assert {n: taught[pair_of[n]]["target"] for n in "1235"} == {"1": 1.0, "2": 1.0, "3": 0.0, "5": 1.0}
    assert pair_of["4"] not in taught
    assert [taught[pair_of[n]]["weight"] for n in "125"] == [3, 4, 3]
    ids = {row["id"] for row in annotations.page(store, resolutions=True)[0]}
    assert all(set(taught[pair_of[n]]["annotations"]) & ids for n in "235")
    assert learning.readiness(store, "x", campaign.id).annotations == sum(
        len(r["annotations"]) for r in taught.values()
    )

    rows = list(csv.DictReader(io.StringIO(b"".join(exports.annotations_csv(store)).decode())))
    assert len(rows) == 15 and {r["source"] for r in rows} == {"person"}
    assert {r["pair_id"]: r["resolution"] for r in rows} == {pair_of[n]: settled.get(n, "") for n in pair_of}


def test_the_overview_counts_what_is_disputed_settled_and_drawn(
    store: Store, desks: Desks, bench: Adjudication, campaign: CampaignRow
) -> None:
    assert overview.disputed(store, campaign.id, 4) == Disputed()
    assert overview.disputed(store, campaign.id, 3) == Disputed(4, 0, 0)
    second = numbered(store)[1]
    dan = people.annotator(store, "dan").id
    desks[campaign.id].submit(dan, second, Verdict("a"), NOW, source="person")
    assert overview.disputed(store, campaign.id, 4) == Disputed(1, 0, 1)
    lease = taken(bench, campaign, lead(store), [second])
    bench.resolve(lead(store), second, Verdict("b"), NOW, lease_id=lease.id)
    assert overview.disputed(store, campaign.id, 1) == Disputed(4, 1, 0)


def test_a_person_settles_what_simulated_annotators_dispute(
    store: Store, desks: Desks, bench: Adjudication
) -> None:
    campaign = load_sample(store, desks, "test")
    disputed, who = adjudication.disputed(store, campaign.id), lead(store)
    assert disputed and adjudication.disputed(store, campaign.id, kinds=("person",)) == []
    lease = taken(bench, campaign, who, disputed)
    bench.resolve(who, lease.pair_id, Verdict("a"), NOW, lease_id=lease.id)
    taught = learning.freeze(store, campaign.id, Policy(simulated=False))
    assert taught.table["pair_id"].to_pylist() == [lease.pair_id] and taught.table["target"].to_pylist() == [
        1.0
    ]


def test_the_disputed_of_the_crowd_are_those_of_a_plain_count(
    store: Store, desks: Desks, shared_data: Path
) -> None:
    campaign = campaigns.first(store)
    some = [(n, row) for n, row in ukp_rows(shared_data) if n <= 6000]
    pairs.add_judged(store, desks, read_judgements(some), campaign.id, "test", source="ukp")
    said: dict[object, dict[object, object]] = {}
    for _, row in some:
        said.setdefault(row["pair_id"], {}).setdefault(row["annotator"], row["choice"])
    expected = {pair for pair, votes in said.items() if len(set(votes.values())) > 1}
    found = adjudication.disputed(store, campaign.id)
    names = dict(store.rows("SELECT id, external_id FROM pair"))
    assert {names[pair] for pair in found} == expected and len(found) == len(expected)


def test_a_resolution_is_in_the_audit(store: Store, bench: Adjudication, campaign: CampaignRow) -> None:
    who = lead(store)
    lease = taken(bench, campaign, who, adjudication.disputed(store, campaign.id))
    row = bench.resolve(who, lease.pair_id, Verdict("a"), NOW, lease_id=lease.id)
    bench.retract(who, row.id, NOW)
    entries, _ = audits.page(store, audits.Filter(actor="Lea", record=lease.pair_id))
    assert {entry["action"] for entry in entries} == {"adjudicate", "undo"}
