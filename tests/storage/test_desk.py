"""The desk on a real store: under load, on double and late submits, over edits, undos, restarts and new rules."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.judging import InvalidJudgement, Verdict
from core.queueing import Lease, NotAccepted, Nothing
from core.records import Pair
from storage import annotations, campaigns, pairs
from storage.desk import Desk, Desks
from storage.store import Store
from storage.tables import AnnotationRow, CampaignRow
from tests.storage.conftest import MakeCampaign, parsed

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def hand(desk: Desk, person: str, at: datetime | None = None) -> Lease:
    found = desk.next(person, at or now())
    assert isinstance(found, Lease)
    return found


def votes(store: Store, campaign_id: str) -> dict[str, int]:
    """Judgements that stand, by pair."""
    return dict(
        store.rows(
            """SELECT pair_id, count(*) FROM current_annotation
               WHERE campaign_id = ? AND verdict <> 'skip' AND NOT repeat GROUP BY pair_id""",
            campaign_id,
        )
    )


def refused(code: str, call: Callable[[], Any]) -> None:
    with pytest.raises(NotAccepted) as error:
        call()
    assert error.value.code == code


def test_32_annotators_at_once(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:
    """They submit, submit twice, skip, undo, edit, and walk away from leases that then run out."""
    campaign = make_campaign(200, k=3, lease_minutes=5, gold_share=0, repeat_share=0.05)
    desk = desks[campaign.id]
    jump = [0]
    acknowledged: list[str] = []
    undone: list[str] = []

    def at() -> datetime:
        return now() + timedelta(minutes=jump[0])

    def judge(person: str, lease: Lease, chance: random.Random, late: bool = False) -> str | None:
        verdict = Verdict("skip" if chance.random() < 0.03 else chance.choice(("a", "b", "tie")))
        client_id = f"{person}-{lease.id}" if chance.random() < 0.5 else None
        try:
            row = desk.submit(person, lease.pair_id, verdict, at(), source="person", lease_id=lease.id, annotation_id=client_id)  # fmt: skip
        except NotAccepted as error:
            assert error.code == "full" or late
            return None
        acknowledged.append(row.id)
        if chance.random() < 0.1:
            again = desk.submit(person, lease.pair_id, verdict, at(), source="person", lease_id=lease.id, annotation_id=client_id)  # fmt: skip
            assert again.id == row.id
        return row.id

    def work(number: int) -> None:
        person, chance = f"p{number}", random.Random(number)
        abandoned: list[Lease] = []
        last: str | None = None
        for _ in range(2000):
            found = desk.next(person, at())
            if isinstance(found, Nothing):
                if not found.held:
                    return
                jump[0] += 1
                continue
            luck = chance.random()
            if luck < 0.03:
                abandoned.append(found)
                jump[0] += 6
            elif luck < 0.06 and abandoned:
                judge(person, abandoned.pop(), chance, late=True)
            elif luck < 0.10 and last is not None:
                try:
                    desk.retract(person, last, at())
                    undone.append(last)
                except NotAccepted as error:
                    assert error.code == "judged"
                last = None
            elif luck < 0.13 and last is not None:
                try:
                    last = desk.edit(person, last, Verdict("both_bad"), at(), source="person").id
                    acknowledged.append(last)
                except NotAccepted as error:
                    assert error.code == "full"
            else:
                last = judge(person, found, chance) or last

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, range(32)))
    by_then = len(acknowledged)
    for number in range(32):  # what was undone when others had gone home
        while isinstance(found := desk.next(f"p{number}", at()), Lease):
            row = desk.submit(
                f"p{number}", found.pair_id, Verdict("a"), at(), source="person", lease_id=found.id
            )
            acknowledged.append(row.id)
    assert len(acknowledged) - by_then <= len(undone), "somebody was sent home while there was work"

    assert set(votes(store, campaign.id).values()) == {3} and len(votes(store, campaign.id)) == 200
    stored = [i for (i,) in store.rows("SELECT id FROM annotation WHERE verdict <> 'retracted'")]
    assert len(acknowledged) == len(set(acknowledged)) and set(stored) == set(acknowledged)
    assert set(undone) == {
        i for (i,) in store.rows("SELECT supersedes FROM annotation WHERE verdict = 'retracted'")
    }
    assert undone
    met = store.rows("SELECT annotator_id, pair_id, repeat FROM current_annotation")
    assert len(met) == len(set(met))
    firsts = {(person, pair) for person, pair, repeat in met if not repeat}
    repeats = {(person, pair) for person, pair, repeat in met if repeat}
    assert repeats and len(repeats - firsts) <= len(undone)

    fresh = Desks(store)[campaign.id]
    assert all(fresh.next(f"p{n}", at()) == Nothing() for n in range(32))


def test_the_same_submit_from_eight_threads_is_one_annotation(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:  # fmt: skip
    desk = desks[make_campaign(30, k=8).id]
    for turn in range(20):
        lease = hand(desk, "ann")
        client_id = f"client-{turn}" if turn % 2 else None
        ready = threading.Barrier(8)

        def submit(_: int, lease: Lease = lease, client_id: str | None = client_id, ready: threading.Barrier = ready) -> str:  # fmt: skip
            ready.wait()
            row = desk.submit("ann", lease.pair_id, Verdict("a"), now(), source="person", lease_id=lease.id, annotation_id=client_id)  # fmt: skip
            return row.id

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(submit, range(8)))) == 1
    assert store.rows("SELECT count(*), count(DISTINCT pair_id) FROM annotation") == [(20, 20)]


def test_the_same_id_with_another_choice_is_refused(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    desk = desks[make_campaign(3).id]
    lease = hand(desk, "ann")

    def submit(choice: Any, client_id: str | None, person: str = "ann") -> str:
        return desk.submit(
            person,
            lease.pair_id,
            Verdict(choice),
            now(),
            source="person",
            lease_id=lease.id,
            annotation_id=client_id,
        ).id

    assert submit("a", "mine") == submit("a", "mine") == "mine"
    refused("judged", lambda: submit("b", "mine"))
    refused("judged", lambda: submit("tie", "mine"))
    refused("judged", lambda: submit("a", "mine", "bob"))
    refused("judged", lambda: submit("a", "other"))
    assert store.rows("SELECT id, verdict FROM annotation") == [("mine", "prefer")]


def test_what_is_wrong_with_a_judgement_is_said_and_nothing_is_stored(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:  # fmt: skip
    desk = desks[make_campaign(3, ties=False).id]
    lease = hand(desk, "ann")
    with pytest.raises(InvalidJudgement, match="takes no ties"):
        desk.submit("ann", lease.pair_id, Verdict("tie"), now(), source="person", lease_id=lease.id)
    refused("unknown", lambda: desk.submit("ann", "nowhere", Verdict("a"), now(), source="api"))
    other = make_campaign(3)
    outside = next(p for (p,) in store.rows("SELECT id FROM pair") if p != lease.pair_id)
    refused(
        "unknown", lambda: desk.submit("ann", outside, Verdict("a"), now(), source="api", lease_id=lease.id)
    )
    refused(
        "unknown",
        lambda: desk.submit("bob", lease.pair_id, Verdict("a"), now(), source="api", lease_id=lease.id),
    )
    refused(
        "unknown",
        lambda: desk.submit("ann", lease.pair_id, Verdict("a"), now(), source="api", lease_id="l_no"),
    )
    refused("unknown", lambda: desks[other.id].submit("ann", lease.pair_id, Verdict("a"), now(), source="api", lease_id=lease.id))  # fmt: skip
    refused("unknown", lambda: desk.edit("ann", "a_no", Verdict("a"), now(), source="api"))
    refused("unknown", lambda: desk.retract("ann", "a_no", now()))
    assert store.rows("SELECT count(*) FROM annotation") == [(0,)]
    assert hand(desk, "ann") == lease


def test_a_pair_that_is_not_of_this_campaign_is_unknown(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    make_campaign(2)
    empty = campaigns.create(store, CampaignRow(id="", name="Empty"), "test")
    pair_id = store.rows("SELECT id FROM pair")[0][0]
    refused("unknown", lambda: desks[empty.id].submit("ann", pair_id, Verdict("a"), now(), source="api"))
    assert desks[empty.id].next("ann", now()) == Nothing()


def test_a_late_judgement_is_taken_while_there_is_room(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    campaign = make_campaign(1, k=1)
    desk = desks[campaign.id]
    start = now()
    late = hand(desk, "ann", start)
    assert desk.next("bob", start) == Nothing(1, late.expires_at)
    row = desk.submit("ann", late.pair_id, Verdict("a"), start + HOUR, source="person", lease_id=late.id)
    assert (row.left_id is not None, row.lease_id) == (True, late.id)

    desk = desks[make_campaign(1, k=1).id]
    late = hand(desk, "ann", start)
    taken_over = hand(desk, "bob", start + HOUR)

    def submit() -> AnnotationRow:
        return desk.submit("ann", late.pair_id, Verdict("a"), start + HOUR, source="person", lease_id=late.id)

    refused("full", submit)
    desk.submit(
        "bob", taken_over.pair_id, Verdict("b"), start + HOUR, source="person", lease_id=taken_over.id
    )
    refused("full", submit)
    assert desk.renew("ann", late.id, start + HOUR) is None


def test_a_lease_is_renewed_by_its_holder_alone(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    campaign = make_campaign(3, k=1)
    start = now()
    lease = hand(desks[campaign.id], "ann", start)
    assert desks[campaign.id].renew("bob", lease.id, start) is None
    renewed = desks[campaign.id].renew("ann", lease.id, start + timedelta(minutes=20))
    assert renewed is not None and renewed.expires_at == start + timedelta(minutes=50)
    assert Desks(store)[campaign.id].next("ann", start + timedelta(minutes=40)) == renewed


def test_a_submit_without_its_lease_ends_the_lease_all_the_same(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:  # fmt: skip
    campaign = make_campaign(3, k=1)
    start = now()
    lease = hand(desks[campaign.id], "ann", start)
    row = desks[campaign.id].submit("ann", lease.pair_id, Verdict("a"), start, source="api")
    assert row.lease_id == lease.id and row.left_id is not None
    refused(
        "judged", lambda: desks[campaign.id].submit("ann", lease.pair_id, Verdict("a"), start, source="api")
    )
    assert hand(Desks(store)[campaign.id], "ann", start).pair_id != lease.pair_id


def test_a_judgement_by_an_earlier_lease_ends_the_later_one(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:  # fmt: skip
    """A tab left open: its lease ran out, the pair was handed to the same person again, then the old tab submits."""
    campaign = make_campaign(2, k=1)
    start = now()
    old = hand(desks[campaign.id], "ann", start)
    new = hand(desks[campaign.id], "ann", start + HOUR)
    assert new.pair_id == old.pair_id and new.id != old.id
    desks[campaign.id].submit(
        "ann", old.pair_id, Verdict("a"), start + HOUR, source="person", lease_id=old.id
    )
    after_restart = hand(Desks(store)[campaign.id], "ann", start + HOUR)
    assert after_restart.pair_id != old.pair_id


def test_edits_and_undos_keep_the_history_and_the_count(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    campaign = make_campaign(1, k=1, aspects=["helpful"])
    desk = desks[campaign.id]
    lease = hand(desk, "ann")
    first = desk.submit(
        "ann", lease.pair_id, Verdict("a", reason="good"), now(), source="person", lease_id=lease.id
    )
    second = desk.edit(
        "ann", first.id, Verdict("b", confidence=4, aspects={"helpful": "b"}), now(), source="person"
    )
    assert (second.supersedes, second.left_id, second.lease_id) == (first.id, first.left_id, lease.id)
    refused("judged", lambda: desk.edit("ann", first.id, Verdict("a"), now(), source="person"))
    refused("judged", lambda: desk.retract("ann", first.id, now()))
    refused("unknown", lambda: desk.edit("bob", second.id, Verdict("a"), now(), source="person"))
    assert votes(store, campaign.id) == {lease.pair_id: 1}
    assert desk.next("bob", now()) == Nothing()

    third = desk.edit("ann", second.id, Verdict("skip"), now(), source="person")
    assert votes(store, campaign.id) == {}
    theirs = hand(desk, "bob")
    refused("full", lambda: desk.edit("ann", third.id, Verdict("a"), now(), source="person"))
    back = desk.submit("bob", theirs.pair_id, Verdict("tie"), now(), source="person", lease_id=theirs.id)
    again = desk.retract("bob", back.id, now())
    assert again is not None and again.id != theirs.id
    assert (again.pair_id, again.a_left) == (theirs.pair_id, theirs.a_left)
    refused("judged", lambda: desk.retract("bob", back.id, now()))
    desk.submit("bob", again.pair_id, Verdict("b"), now(), source="person", lease_id=again.id)

    seen = [(h["verdict"], h["preferred"], h["state"]) for h in annotations.history(store, lease.pair_id)]
    assert seen == [
        ("prefer", "a", "changed"),
        ("prefer", "b", "changed"),
        ("skip", None, "stands"),
        ("tie", None, "undone"),
        ("prefer", "b", "stands"),
    ]
    assert votes(store, campaign.id) == {lease.pair_id: 1}
    assert annotations.page(store, campaign_id=campaign.id)[1] == 2


def test_undo_right_after_a_restart(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:
    """Nothing of the annotator is in memory yet; what they held meanwhile is given back."""
    campaign = make_campaign(2, k=1)
    lease = hand(desks[campaign.id], "ann")
    row = desks[campaign.id].submit(
        "ann", lease.pair_id, Verdict("b"), now(), source="person", lease_id=lease.id
    )
    other = hand(desks[campaign.id], "ann")
    desk = Desks(store)[campaign.id]
    back = desk.retract("ann", row.id, now())
    assert back is not None and (back.pair_id, back.a_left) == (lease.pair_id, lease.a_left)
    assert hand(desk, "ann") == back
    assert hand(desk, "bob").pair_id == other.pair_id
    assert hand(Desks(store)[campaign.id], "ann") == back


def test_an_undone_repeat_comes_back_as_the_repeat_it_was(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    campaign = make_campaign(60, k=1, repeat_share=0.4)
    desk = desks[campaign.id]
    lease = hand(desk, "ann")
    while not lease.repeat:
        row = desk.submit("ann", lease.pair_id, Verdict("a"), now(), source="person", lease_id=lease.id)
        lease = hand(desk, "ann")
    first = store.rows("SELECT left_id FROM annotation WHERE pair_id = ?", lease.pair_id)
    row = desk.submit("ann", lease.pair_id, Verdict("b"), now(), source="person", lease_id=lease.id)
    assert row.repeat and [(row.left_id,)] != first
    back = desk.retract("ann", row.id, now())
    assert back is not None
    assert (back.pair_id, back.repeat, back.a_left) == (lease.pair_id, True, lease.a_left)
    again = desk.submit("ann", lease.pair_id, Verdict("a"), now(), source="person", lease_id=back.id)
    assert again.repeat and votes(store, campaign.id)[lease.pair_id] == 1
    refused("judged", lambda: desk.submit("ann", lease.pair_id, Verdict("b"), now(), source="person", lease_id=lease.id, annotation_id="x"))  # fmt: skip


def test_two_edits_at_once_leave_one_annotation_standing(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    desk = desks[make_campaign(5).id]
    lease = hand(desk, "ann")
    row = desk.submit("ann", lease.pair_id, Verdict("a"), now(), source="person", lease_id=lease.id)
    ready = threading.Barrier(2)

    def edit(choice: Any) -> str | None:
        ready.wait()
        try:
            return desk.edit("ann", row.id, Verdict(choice), now(), source="person").id
        except NotAccepted as error:
            return None if error.code == "judged" else error.code

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(edit, ("b", "tie")))
    assert outcomes.count(None) == 1
    assert store.rows("SELECT id FROM current_annotation") == [(i,) for i in outcomes if i]


def test_nothing_moves_while_the_desk_is_closed(store: Store, desks: Desks, make_campaign: MakeCampaign, make_pairs: Any) -> None:  # fmt: skip
    """Under load: pairs are added and k is changed; whoever asks meanwhile waits, and then meets the new state."""
    campaign = make_campaign(40, k=2)
    desk = desks[campaign.id]
    over = threading.Event()

    def work(number: int) -> int:
        done = 0
        while not over.is_set() or isinstance(desk.next(f"p{number}", now()), Lease):
            if isinstance(found := desk.next(f"p{number}", now()), Lease):
                desk.submit(
                    f"p{number}", found.pair_id, Verdict("a"), now(), source="person", lease_id=found.id
                )
                done += 1
        return done

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(work, i) for i in range(8)]
        more: list[Pair] = make_pairs(20, tag="more ")
        pairs.add(store, desks, parsed(more), campaign.id, "test", source="test")
        with desk.closed():
            before = store.rows("SELECT count(*) FROM annotation")
            leases = store.rows("SELECT count(*) FROM lease")
            campaign.k = 3
            campaigns.update(store, campaign, "test")
            assert store.rows("SELECT count(*) FROM annotation") == before
            assert store.rows("SELECT count(*) FROM lease") == leases
        over.set()
        done = sum(future.result(timeout=60) for future in futures)
    assert done == 180
    assert Counter(votes(store, campaign.id).values()) == {3: 60}


def test_fewer_annotators_a_pair_bind_at_once(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    campaign = make_campaign(1, k=3)
    desk = desks[campaign.id]
    leases = {person: hand(desk, person) for person in ("ann", "bob", "cleo")}
    desk.submit("ann", leases["ann"].pair_id, Verdict("a"), now(), source="person", lease_id=leases["ann"].id)
    campaign.k = 2
    with desk.closed():
        campaigns.update(store, campaign, "test")

    def submit(who: str) -> AnnotationRow:
        lease = leases[who]
        return desk.submit(who, lease.pair_id, Verdict("a"), now(), source="person", lease_id=lease.id)

    submit("bob")
    refused("full", lambda: submit("cleo"))
    assert votes(store, campaign.id) == {leases["ann"].pair_id: 2}


def test_a_restart_keeps_leases_sides_and_what_everybody_met(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:  # fmt: skip
    campaign = make_campaign(12, k=2)
    desk = desks[campaign.id]
    done = {}
    for person in ("ann", "bob"):
        for _ in range(4):
            lease = hand(desk, person)
            desk.submit(person, lease.pair_id, Verdict("a"), now(), source="person", lease_id=lease.id)
            done.setdefault(lease.pair_id, []).append(lease.a_left)
    held = {person: hand(desk, person) for person in ("ann", "bob", "cleo")}
    store.close()
    again = Store(str(store.engine.url))
    desk = Desks(again)[campaign.id]
    assert {person: hand(desk, person) for person in held} == held
    for person in ("ann", "bob", "cleo", "dan"):
        while isinstance(found := desk.next(person, now()), Lease):
            desk.submit(person, found.pair_id, Verdict("b"), now(), source="person", lease_id=found.id)
            done.setdefault(found.pair_id, []).append(found.a_left)
    assert all(sorted(sides) == [False, True] for sides in done.values()) and len(done) == 12
    again.close()


def test_two_requests_of_one_instant(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:
    desk = desks[make_campaign(3).id]
    instant = now()
    assert desk.next("ann", instant) == desk.next("ann", instant)
    assert store.rows("SELECT count(*) FROM lease") == [(1,)]


def test_only_those_named_may_work_on_a_campaign(desks: Desks, make_campaign: MakeCampaign) -> None:
    desk = desks[make_campaign(3, annotators=["ann"]).id]
    lease = hand(desk, "ann")
    refused("yours_not", lambda: desk.next("bob", now()))
    refused("yours_not", lambda: desk.submit("bob", lease.pair_id, Verdict("a"), now(), source="api"))
    refused("yours_not", lambda: desk.renew("bob", lease.id, now()))


def test_earlier_annotations_never_change(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:
    """Append-only: whatever is done, every row that was there is there as it was, and one is added each time."""
    desk = desks[make_campaign(6).id]
    query = "SELECT id, md5(annotation::TEXT) FROM annotation"
    seen: dict[str, str] = {}

    def grown() -> None:
        rows = dict(store.rows(query))
        assert seen.items() < rows.items() and len(rows) == len(seen) + 1
        seen.update(rows)

    for choice in ("a", "skip", "tie"):
        lease = hand(desk, "ann")
        row = desk.submit("ann", lease.pair_id, Verdict(choice), now(), source="person", lease_id=lease.id)  # type: ignore[arg-type]
        grown()
        row = desk.edit("ann", row.id, Verdict("b", reason="hm"), now(), source="person")
        grown()
        desk.retract("ann", row.id, now())
        grown()
