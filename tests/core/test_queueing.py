"""The queue against a naive model of its rules, under any interleaving; and the shares it deals by chance."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.queueing import REPEAT_AFTER, Lease, NotAccepted, Nothing, Queue, Rules

START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = ("ann", "bob", "cleo", "dan")
N_PAIRS = 16
PAIRS = [f"x{i}" for i in range(N_PAIRS)]
people = st.sampled_from(PEOPLE)
pairs = st.sampled_from(PAIRS)


class Naive(RuleBasedStateMachine):
    """What has happened, kept as plain facts; every answer of the queue is checked against all of them."""

    @initialize(
        k=st.integers(1, 4),
        ordering=st.sampled_from(["random", "least_annotated"]),
        gold=st.sets(pairs, max_size=4),
        gold_share=st.sampled_from([0.0, 0.3]),
        repeat_share=st.sampled_from([0.0, 0.3]),
        seed=st.integers(0, 50),
    )
    def start(
        self, k: int, ordering: str, gold: set[str], gold_share: float, repeat_share: float, seed: int
    ) -> None:
        self.rules = Rules(k, ordering, gold_share, repeat_share, timedelta(minutes=30), seed)
        self.gold = gold if gold_share else set[str]()
        self.marked = gold
        self.now = START
        self.met: dict[str, dict[str, tuple[bool | None, bool]]] = {p: {} for p in PEOPLE}
        """For each person, what they met in order: the side, and whether it is a judgement (not a skip)."""
        self.again: dict[str, set[str]] = {p: set() for p in PEOPLE}
        self.leases: dict[str, Lease] = {}
        self.uneven: set[str] = set()
        """Pairs whose sides were not all chosen by the queue."""
        self.ids = count()
        self.queue = self.load()

    def load(self) -> Queue:
        judged = np.array([len(self.sides(p)) for p in PAIRS])
        lean = np.array([self.leaning(p) for p in PAIRS])
        gold = np.array([p in self.marked for p in PAIRS])
        leases = list(self.leases.values())
        return Queue(
            self.rules, PAIRS, judged, lean, gold, self.history, lambda: f"l{next(self.ids)}", leases
        )

    def history(self, person: str) -> Iterable[tuple[str, bool | None, bool]]:
        yield from ((pair, side, False) for pair, (side, _) in self.met[person].items())
        yield from ((pair, True, True) for pair in self.again[person])

    # The facts

    def sides(self, pair: str) -> list[bool | None]:
        return [
            side for met in self.met.values() for p, (side, judged) in met.items() if p == pair and judged
        ]

    def leaning(self, pair: str) -> int:
        return sum(0 if side is None else 1 if side else -1 for side in self.sides(pair))

    def holding(self, pair: str) -> list[Lease]:
        return [x for x in self.leases.values() if x.pair_id == pair and not x.repeat]

    def held_by(self, person: str) -> Lease | None:
        return next((x for x in self.leases.values() if x.annotator == person), None)

    def room(self, pair: str) -> bool:
        return pair in self.gold or len(self.sides(pair)) + len(self.holding(pair)) < self.rules.k

    def expire(self) -> None:
        self.leases = {i: x for i, x in self.leases.items() if x.expires_at > self.now}

    def may_repeat(self, person: str) -> set[str]:
        judged = [p for p, (_, judged) in self.met[person].items() if judged]
        return {
            p
            for p in judged[: max(0, len(judged) - REPEAT_AFTER)]
            if p not in self.again[person] and self.met[person][p][0] is not None
        }

    # What may happen

    @rule(person=people)
    def next(self, person: str) -> None:
        self.expire()
        before = self.held_by(person)
        found = self.queue.next(person, self.now)
        if before is not None:
            assert found == before
        elif isinstance(found, Nothing):
            assert not [p for p in PAIRS if self.room(p) and p not in self.met[person]]
            others = [
                x
                for x in self.leases.values()
                if not x.repeat and x.pair_id not in self.met[person] and x.pair_id not in self.gold
            ]
            assert found == Nothing(len(others), min((x.expires_at for x in others), default=None))
        else:
            assert found.annotator == person and found.id not in self.leases
            assert (found.issued_at, found.expires_at) == (self.now, self.now + self.rules.lease)
            if found.repeat:
                assert found.pair_id in self.may_repeat(person)
                assert found.a_left is not self.met[person][found.pair_id][0]
            else:
                assert found.pair_id not in self.met[person] and self.room(found.pair_id)
            self.leases[found.id] = found

    @rule(person=people, turns=st.integers(1, 14))
    def work(self, person: str, turns: int) -> None:
        for _ in range(turns):
            self.next(person)
            if (lease := self.held_by(person)) is not None:
                self.settle(person, lease.pair_id, lease.a_left, False, lease.repeat)

    @rule(
        person=people,
        pair=pairs,
        side=st.sampled_from([True, False, None]),
        skip=st.booleans(),
        repeat=st.booleans(),
    )
    def settle_anything(self, person: str, pair: str, side: bool | None, skip: bool, repeat: bool) -> None:
        self.settle(person, pair, side, skip, repeat)

    @rule(person=people, skip=st.booleans())
    def answer(self, person: str, skip: bool) -> None:
        if (lease := self.held_by(person)) is not None:
            self.settle(person, lease.pair_id, lease.a_left, skip, lease.repeat)

    def settle(self, person: str, pair: str, side: bool | None, skip: bool, repeat: bool) -> None:
        self.expire()
        held = next((x for x in self.holding(pair) if x.annotator == person), None)
        first = pair not in self.met[person]
        allowed = not first and pair not in self.again[person] if repeat else first
        problem = None
        if not allowed:
            problem = "judged"
        elif not (repeat or skip or held or self.room(pair)):
            problem = "full"
        if problem:
            with pytest.raises(NotAccepted) as error:
                self.queue.settle(person, pair, side, self.now, skip=skip, repeat=repeat)
            assert error.value.code == problem
            return
        self.queue.settle(person, pair, side, self.now, skip=skip, repeat=repeat)
        self.leases = {i: x for i, x in self.leases.items() if (x.annotator, x.pair_id) != (person, pair)}
        if repeat:
            self.again[person].add(pair)
        else:
            self.met[person][pair] = (None, False) if skip else (side, True)
            if not skip and (held is None or held.a_left != side):
                self.uneven.add(pair)

    @rule(person=people, data=st.data())
    def retract(self, person: str, data: st.DataObject) -> None:
        """Unsettle, and take the pair again as it stood."""
        repeat = data.draw(st.booleans())
        done = sorted(self.again[person] if repeat else self.met[person])
        if not done:
            return
        pair = data.draw(st.sampled_from(done))
        self.expire()
        if repeat:
            self.queue.unsettle(person, pair, None, repeat=True)
            self.again[person].discard(pair)
            side = None
        else:
            side, judged = self.met[person].pop(pair)
            self.queue.unsettle(person, pair, side, skip=not judged)
        self.take(person, pair, side, repeat)

    @rule(person=people, pair=pairs, side=st.sampled_from([True, False, None]), repeat=st.booleans())
    def take_anything(self, person: str, pair: str, side: bool | None, repeat: bool) -> None:
        self.expire()
        if side is not None:
            self.uneven.add(pair)
        self.take(person, pair, side, repeat)

    def take(self, person: str, pair: str, side: bool | None, repeat: bool) -> None:
        if repeat:
            free = pair in self.met[person] and pair not in self.again[person]
        else:
            free = pair not in self.met[person] and self.room(pair)
        lease = self.queue.take(person, pair, side, self.now, repeat=repeat)
        assert (lease is not None) == free
        if lease is not None:
            self.leases = {i: x for i, x in self.leases.items() if x.annotator != person}
            self.leases[lease.id] = lease
            assert (lease.pair_id, lease.annotator, lease.repeat) == (pair, person, repeat)
            if repeat:
                assert lease.a_left is not self.met[person][pair][0]
            elif side is not None:
                assert lease.a_left is side

    @rule(person=people, pair=pairs, side=st.booleans())
    def edit(self, person: str, pair: str, side: bool) -> None:
        if pair not in self.met[person]:
            return
        was_judged = self.met[person][pair][1]
        if was_judged:
            self.queue.recount(person, pair, self.met[person][pair][0], -1)
            self.met[person][pair] = (None, False)
        elif self.room(pair):
            self.queue.recount(person, pair, side, 1)
            self.met[person][pair] = (side, True)
            self.uneven.add(pair)
        else:
            with pytest.raises(NotAccepted, match="has had its"):
                self.queue.recount(person, pair, side, 1)

    @rule(minutes=st.sampled_from([1, 10, 31]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        self.queue.expire(self.now)
        self.expire()

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        lease_id = data.draw(st.sampled_from(sorted(self.leases)))
        renewed = self.queue.renew(lease_id, self.now)
        assert renewed == replace(self.leases[lease_id], expires_at=self.now + self.rules.lease)
        assert renewed is not None
        self.leases[lease_id] = renewed

    @rule(k=st.integers(1, 4))
    def reload(self, k: int) -> None:
        """The queue is read anew, with as many annotators a pair as a lead wants now."""
        if k != self.rules.k:
            self.uneven.update(PAIRS)
            self.rules = replace(self.rules, k=k)
        kept: dict[str, Lease] = {}
        everything, self.leases = self.leases, kept
        for lease_id, lease in everything.items():
            if lease.repeat or self.room(lease.pair_id):
                kept[lease_id] = lease
        self.leases = everything
        self.queue = self.load()
        self.leases = kept

    # What must always hold

    @invariant()
    def never_above_k(self) -> None:
        for pair in set(PAIRS) - self.gold:
            assert len(self.holding(pair)) <= max(0, self.rules.k - len(self.sides(pair)))

    @invariant()
    def sides_can_still_be_balanced(self) -> None:
        """With all k judged, at most one more saw a left than b left, or the other way round."""
        for pair in set(PAIRS) - self.gold - self.uneven:
            lean = self.leaning(pair) + sum(1 if x.a_left else -1 for x in self.holding(pair))
            open_places = self.rules.k - len(self.sides(pair)) - len(self.holding(pair))
            assert abs(lean) <= open_places + self.rules.k % 2

    @invariant()
    def the_same_progress(self) -> None:
        live = set(PAIRS) - self.gold
        done = sum(min(len(self.sides(pair)), self.rules.k) for pair in live)
        assert self.queue.progress() == (done, len(live) * self.rules.k)

    @invariant()
    def the_same_leases(self) -> None:
        assert {x.id: x for p in PEOPLE for x in self.queue.held(p)} == self.leases


TestNaive = Naive.TestCase
TestNaive.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


def fresh(rules: Rules, n: int, gold: int = 0) -> Queue:
    ids = count()
    zeros = np.zeros(n, dtype=np.int64)
    names = [f"x{i}" for i in range(n)]
    return Queue(rules, names, zeros, zeros, np.arange(n) < gold, lambda _: (), lambda: f"l{next(ids)}")


def all_of(queue: Queue, person: str, limit: int = 10_000) -> list[Lease]:
    """Everything one person is handed until there is nothing left, judging all of it."""
    found = []
    while len(found) < limit and isinstance(lease := queue.next(person, START), Lease):
        queue.settle(person, lease.pair_id, lease.a_left, START, repeat=lease.repeat)
        found.append(lease)
    return found


@pytest.mark.parametrize("ordering", ["random", "least_annotated"])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_each_pair_is_judged_k_times_with_its_sides_balanced(ordering: str, k: int) -> None:
    queue = fresh(Rules(k, ordering, seed=3), 200)
    sides: dict[str, list[bool]] = {}
    for person in range(k + 2):
        for lease in all_of(queue, f"p{person}"):
            sides.setdefault(lease.pair_id, []).append(lease.a_left)
    assert len(sides) == 200
    assert all(len(left) == k and abs(2 * sum(left) - k) <= 1 for left in sides.values())
    firsts = sum(left[0] for left in sides.values())
    assert 70 <= firsts <= 130


def test_the_seed_decides_order_and_sides() -> None:
    def dealt(seed: int) -> list[tuple[str, bool]]:
        return [(x.pair_id, x.a_left) for x in all_of(fresh(Rules(2, seed=seed), 50), "ann")]

    assert dealt(1) == dealt(1) != dealt(2)
    assert dict(dealt(1)) != dict(dealt(2))


def test_repeats_come_at_their_share_with_sides_swapped_and_only_later() -> None:
    queue = fresh(Rules(1, repeat_share=0.15, seed=5), 2000)
    dealt = all_of(queue, "ann")
    repeats = [x for x in dealt if x.repeat]
    assert 0.12 <= len(repeats) / len(dealt) <= 0.18
    assert max(Counter(x.pair_id for x in repeats).values()) == 1
    firsts: dict[str, tuple[int, bool]] = {}
    judged = 0
    for lease in dealt:
        if lease.repeat:
            place, a_left = firsts[lease.pair_id]
            assert lease.a_left is not a_left
            assert judged - place > REPEAT_AFTER
        else:
            judged += 1
            firsts[lease.pair_id] = (judged, lease.a_left)
    runs = "".join("r" if x.repeat else "-" for x in dealt)
    assert "rrrrrr" not in runs


def test_gold_goes_to_everybody_at_its_share_and_does_not_count() -> None:
    queue = fresh(Rules(1, gold_share=0.2, seed=5), 1000, gold=60)
    gold = {f"x{i}" for i in range(60)}
    first, second = all_of(queue, "ann", 200), all_of(queue, "bob", 200)
    for dealt in (first, second):
        assert 0.12 <= sum(x.pair_id in gold for x in dealt) / 200 <= 0.28
    assert not {x.pair_id for x in first} & {x.pair_id for x in second} - gold
    rest = {x.pair_id for x in first + all_of(queue, "ann")}
    assert gold <= rest
    assert rest | {x.pair_id for x in second} == {f"x{i}" for i in range(1000)}


def test_without_a_share_gold_pairs_are_pairs_like_any_other() -> None:
    queue = fresh(Rules(1, seed=5), 10, gold=5)
    assert len(all_of(queue, "ann")) == 10
    assert queue.next("bob", START) == Nothing()


def test_least_annotated_goes_in_rounds() -> None:
    queue = fresh(Rules(3, "least_annotated"), 30)
    dealt = []
    for turn in range(90):
        person = f"p{turn % 5}"
        lease = queue.next(person, START)
        if isinstance(lease, Lease):
            queue.settle(person, lease.pair_id, lease.a_left, START)
            dealt.append(lease.pair_id)
    assert set(Counter(dealt[:30]).values()) == {1}
    assert set(Counter(dealt[:60]).values()) == {2}


def test_nothing_tells_work_in_other_hands_from_work_done() -> None:
    queue = fresh(Rules(1), 1)
    lease = queue.next("ann", START)
    assert isinstance(lease, Lease)
    assert queue.next("bob", START) == Nothing(1, lease.expires_at)
    later = START + timedelta(minutes=31)
    back = queue.next("bob", later)
    assert isinstance(back, Lease) and back.pair_id == lease.pair_id
    with pytest.raises(NotAccepted, match="has had its 1 annotators"):
        queue.settle("ann", lease.pair_id, True, later)
    queue.settle("bob", back.pair_id, back.a_left, later)
    assert queue.next("ann", later) == queue.next("bob", later) == Nothing()


def test_a_pair_outside_the_campaign_is_unknown() -> None:
    with pytest.raises(NotAccepted, match="not part of this campaign") as error:
        fresh(Rules(1), 1).settle("ann", "elsewhere", True, START)
    assert error.value.code == "unknown"


def test_the_pairs_looked_ahead_at_are_those_that_come_next() -> None:
    none = np.zeros(N_PAIRS)
    ids = count()
    for ordering in ("random", "least_annotated"):
        rules = Rules(k=2, ordering=ordering)
        queue = Queue(rules, PAIRS, none, none, none > 0, lambda _: (), lambda: f"l{next(ids)}")
        ahead = queue.ahead("ann", N_PAIRS)
        assert sorted(ahead) == sorted(PAIRS) and queue.ahead("ann") == ahead[:1]
        for i, expected in enumerate(ahead):
            lease = queue.next("ann", START)
            assert isinstance(lease, Lease)
            assert lease.pair_id == expected
            assert queue.ahead("ann", N_PAIRS) == ahead[i + 1 :]
            queue.settle("ann", lease.pair_id, lease.a_left, START, skip=False, repeat=False)
        assert queue.ahead("ann") == []
