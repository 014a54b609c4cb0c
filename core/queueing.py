"""Who is handed which pair: one campaign's queue, held in memory and pure, so that its rules can be tested alone.

A pair takes k annotators and never more; a pair handed out is held by a lease until it is answered, given back or
expires. Nobody meets a pair twice, except in a planned repeat. Gold pairs, while the campaign mixes them in, go to
everybody and do not count towards k. The sides of a pair are counterbalanced over its annotators.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt

ORDERINGS = ("random", "least_annotated")
REPEAT_AFTER = 10
"""A repeat is of a pair judged at least so many pairs ago."""

_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Rules:
    """The campaign's part: k annotators a pair, shares in [0, 1), lease time, seed of every random choice."""

    k: int
    ordering: str = "random"
    gold_share: float = 0.0
    repeat_share: float = 0.0
    lease: timedelta = timedelta(minutes=30)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A pair held for an annotator until ``expires_at``; ``a_left`` says that its response a stands left."""

    id: str
    pair_id: str
    annotator: str
    a_left: bool
    issued_at: datetime
    expires_at: datetime
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Nothing:
    """No pair now. With ``held`` the work left is in other hands, the first of it until ``until``; else it is done."""

    held: int = 0
    until: datetime | None = None


class NotAccepted(ValueError):
    """The judgement cannot be taken; ``code`` is full, judged, unknown or yours_not."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Queue:
    """The state of one campaign: how often each pair is judged, who holds what, who has met what."""

    def __init__(
        self,
        rules: Rules,
        pair_ids: Sequence[str],
        judged: npt.NDArray[np.int64],
        lean: npt.NDArray[np.int64],
        gold: npt.NDArray[np.bool_],
        met: Callable[[str], Iterable[tuple[str, bool | None, bool]]],
        new_id: Callable[[], str],
        leases: Iterable[Lease] = (),
    ) -> None:
        """``judged``, ``lean`` and ``gold`` have shape (n_pairs,), in the order of ``pair_ids``; ``lean`` is how many
        more of the judgements saw a left than b left.

        ``met(annotator)`` lists the pairs that annotator has judged or skipped, oldest first: (pair, whether a stood
        left or None for a skip, whether it was a repeat); it is asked once per annotator. ``leases`` are those still
        running; one for which its pair has no room any more is let go.
        """
        self.rules = rules
        order = np.random.default_rng(rules.seed).permutation(len(pair_ids))
        self._pairs = [pair_ids[i] for i in order]
        self._place = {pair: i for i, pair in enumerate(self._pairs)}
        self._judged = judged[order].astype(np.int32)
        self._held = np.zeros(len(order), dtype=np.int32)
        self._lean = lean[order].astype(np.int32)
        self._gold = gold[order] if rules.gold_share > 0 else np.zeros(len(order), dtype=np.bool_)
        live = self._judged[~self._gold]
        self._done, self._wanted = int(np.minimum(live, rules.k).sum()), len(live) * rules.k
        self._met_by = met
        self._met: dict[str, dict[int, bool | None]] = {}
        self._repeated: dict[str, set[int]] = {}
        self._cursor: dict[str, int] = {}
        self._new_id = new_id
        self._leases: dict[str, Lease] = {}
        for lease in leases:
            place = self._place.get(lease.pair_id)
            if place is not None and (lease.repeat or self._room(place)):
                self._hold(lease)

    # What is handed out ------------------------------------------------------------------------------------------

    def next(self, annotator: str, now: datetime) -> Lease | Nothing:
        """The pair for this annotator: the one they hold, or a new one."""
        self.expire(now)
        for lease in self.held(annotator):
            return lease
        met = self._of(annotator)
        draw = self._draw(annotator, len(met) + len(self._repeated.get(annotator, ())))
        found = None
        if draw < self.rules.repeat_share:
            if (again := self._repeat(annotator)) is not None:
                return self._issue(annotator, again, now, repeat=True)
        elif draw < self.rules.repeat_share + self.rules.gold_share:
            found = next(self._among(self._gold.__getitem__, met), None)
        if found is None and (found := next(self._open(annotator, met), None)) is not None:
            self._cursor[annotator] = found
        if found is None:
            found = next(self._among(self._gold.__getitem__, met), None)
        if found is not None:
            return self._issue(annotator, found, now)
        waiting = [
            lease
            for lease in self._leases.values()
            if not lease.repeat
            and self._place[lease.pair_id] not in met
            and not self._gold[self._place[lease.pair_id]]
        ]
        return Nothing(len(waiting), min((lease.expires_at for lease in waiting), default=None))

    def ahead(self, annotator: str, n: int = 1) -> list[str]:
        """The pairs, n at most, that are likely to be handed to them after the one they hold."""
        held: dict[int, bool | None] = {self._place[x.pair_id]: None for x in self.held(annotator)}
        places = self._open(annotator, self._of(annotator) | held)
        return [self._pairs[place] for place in islice(places, n)]

    def take(
        self, annotator: str, pair_id: str, a_left: bool | None, now: datetime, *, repeat: bool = False
    ) -> Lease | None:
        """Hold this very pair for the annotator, sides as given, if it has room and they have not met it (or, for a
        repeat, if they have met it once).

        What they held before is given back.
        """
        self.expire(now)
        place = self._place.get(pair_id)
        if place is None or not self._may(annotator, place, repeat) or not (repeat or self._room(place)):
            return None
        for lease in self.held(annotator):
            self._drop(lease)
        return self._issue(annotator, place, now, repeat=repeat, a_left=a_left)

    def progress(self) -> tuple[int, int]:
        """Judgements there are and judgements wanted, k a pair; gold pairs mixed in count for neither."""
        return self._done, self._wanted

    def lease(self, lease_id: str) -> Lease | None:
        return self._leases.get(lease_id)

    def held(self, annotator: str) -> list[Lease]:
        return [lease for lease in self._leases.values() if lease.annotator == annotator]

    def held_on(self, annotator: str, pair_id: str) -> Lease | None:
        return next((lease for lease in self.held(annotator) if lease.pair_id == pair_id), None)

    def renew(self, lease_id: str, now: datetime) -> Lease | None:
        """Start the lease's time again; None when it is no longer held."""
        lease = self._leases.get(lease_id)
        if lease is not None:
            lease = self._leases[lease_id] = replace(lease, expires_at=now + self.rules.lease)
        return lease

    def expire(self, now: datetime) -> None:
        """Take back every lease that has run out."""
        for lease in [lease for lease in self._leases.values() if lease.expires_at <= now]:
            self._drop(lease)

    # What comes back ---------------------------------------------------------------------------------------------

    def settle(
        self,
        annotator: str,
        pair_id: str,
        a_left: bool | None,
        now: datetime,
        *,
        skip: bool = False,
        repeat: bool = False,
    ) -> None:
        """Count a judgement (or a skip) of a pair, ending the annotator's lease on it.

        A lease that ran out, or none, is no hindrance while the pair has room. Raises NotAccepted otherwise.
        """
        self.expire(now)
        place = self._place.get(pair_id)
        if place is None:
            raise NotAccepted("unknown", f"pair {pair_id} is not part of this campaign")
        held = self.held_on(annotator, pair_id)
        if not self._may(annotator, place, repeat):
            raise NotAccepted("judged", "you have judged this pair already; edit that judgement instead")
        if held is None and not (repeat or skip or self._room(place)):
            raise self._full()
        if held is not None:
            self._drop(held)
        if repeat:
            self._repeated.setdefault(annotator, set()).add(place)
        else:
            self._count(annotator, place, None if skip else a_left, 0 if skip else 1)

    def unsettle(
        self, annotator: str, pair_id: str, a_left: bool | None, *, skip: bool = False, repeat: bool = False
    ) -> None:
        """Take a judgement (or a skip) back: the pair has room again and the annotator may meet it again."""
        place = self._place[pair_id]
        if repeat:
            self._repeated.get(annotator, set()).discard(place)
            return
        self._count(annotator, place, a_left, 0 if skip else -1)
        del self._of(annotator)[place]
        self._cursor.pop(annotator, None)

    def recount(self, annotator: str, pair_id: str, a_left: bool | None, change: int) -> None:
        """An edit turned a skip into a judgement (+1) or a judgement into a skip (-1). Raises NotAccepted when full."""
        place = self._place[pair_id]
        if change > 0 and not self._room(place):
            raise self._full()
        self._count(annotator, place, a_left, change)

    # Inside ------------------------------------------------------------------------------------------------------

    def _of(self, annotator: str) -> dict[int, bool | None]:
        if annotator not in self._met:
            met: dict[int, bool | None] = {}
            for pair, a_left, repeat in self._met_by(annotator):
                if repeat:
                    self._repeated.setdefault(annotator, set()).add(self._place[pair])
                else:
                    met[self._place[pair]] = a_left
            self._met[annotator] = met
        return self._met[annotator]

    def _may(self, annotator: str, place: int, repeat: bool) -> bool:
        """Whether the annotator may judge the pair, for the first time or again."""
        met = place in self._of(annotator)
        return met and place not in self._repeated.get(annotator, ()) if repeat else not met

    def _count(self, annotator: str, place: int, a_left: bool | None, change: int) -> None:
        """Count a judgement (+1), take one back (-1) or note a skip (0); those beyond k do not count as done."""
        if not self._gold[place]:
            before = int(self._judged[place])
            self._done += min(before + change, self.rules.k) - min(before, self.rules.k)
        self._judged[place] += change
        self._lean[place] += change * _toward(a_left)
        self._of(annotator)[place] = a_left if change > 0 else None

    def _full(self) -> NotAccepted:
        return NotAccepted("full", f"this pair has had its {self.rules.k} annotators meanwhile")

    def _draw(self, annotator: str, turn: int) -> float:
        return self._hash(annotator, str(turn)) / 2**64

    def _hash(self, *parts: str) -> int:
        text = "\0".join((str(self.rules.seed), *parts))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

    def _room(self, place: int) -> bool:
        return bool(self._gold[place]) or int(self._judged[place] + self._held[place]) < self.rules.k

    def _free(self, part: slice) -> npt.NDArray[np.int32]:
        """How many annotators each pair of a part still takes; none for gold, which is handed out by its share."""
        free = self.rules.k - self._judged[part] - self._held[part]
        free[self._gold[part]] = 0
        return free

    def _has_free(self, level: int, part: slice) -> npt.NDArray[np.bool_]:
        return np.asarray(self._free(part) == level, dtype=np.bool_)

    def _open(self, annotator: str, met: dict[int, bool | None]) -> Iterator[int]:
        """The places of the pairs with room that they have not met, in the campaign's order."""
        if self.rules.ordering == "least_annotated":
            for level in range(self.rules.k, 0, -1):
                yield from self._among(partial(self._has_free, level), met)
        else:
            start = self._cursor.get(annotator, 0)
            yield from self._among(lambda part: self._free(part) > 0, met, start)
            yield from self._among(lambda part: self._free(part) > 0, met, 0, start)

    def _among(
        self,
        wanted: Callable[[slice], npt.NDArray[np.bool_]],
        met: dict[int, bool | None],
        start: int = 0,
        end: int | None = None,
    ) -> Iterator[int]:
        """The places from ``start`` to ``end`` that are wanted and not met, looked for a part at a time."""
        end = len(self._pairs) if end is None else end
        for low in range(start, end, _CHUNK):
            for place in np.flatnonzero(wanted(slice(low, min(low + _CHUNK, end)))):
                if low + int(place) not in met:
                    yield low + int(place)

    def _repeat(self, annotator: str) -> int | None:
        done = [place for place, a_left in self._of(annotator).items() if a_left is not None][:-REPEAT_AFTER]
        repeated = self._repeated.setdefault(annotator, set())
        again = [place for place in done if place not in repeated]
        return again[self._hash(annotator, "repeat", str(len(repeated))) % len(again)] if again else None

    def _issue(
        self, annotator: str, place: int, now: datetime, *, repeat: bool = False, a_left: bool | None = None
    ) -> Lease:
        pair = self._pairs[place]
        if repeat:
            a_left = not self._of(annotator)[place]
        elif a_left is None:
            lean = int(self._lean[place])
            a_left = lean < 0 if lean else self._hash(pair) % 2 == 0
        lease = Lease(self._new_id(), pair, annotator, a_left, now, now + self.rules.lease, repeat)
        self._hold(lease)
        return lease

    def _hold(self, lease: Lease) -> None:
        self._leases[lease.id] = lease
        self._weigh(lease, 1)

    def _drop(self, lease: Lease) -> None:
        del self._leases[lease.id]
        self._weigh(lease, -1)

    def _weigh(self, lease: Lease, change: int) -> None:
        if not lease.repeat:
            place = self._place[lease.pair_id]
            self._held[place] += change
            self._lean[place] += change * _toward(lease.a_left)


def _toward(a_left: bool | None) -> int:
    return 0 if a_left is None else 1 if a_left else -1
