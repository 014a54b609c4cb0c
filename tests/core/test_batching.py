"""The batcher: everybody gets their own results, in batches that are bounded and shared fairly."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.batching import Batcher


class Worker:
    """Doubles numbers, remembers its batches, and waits where it is told to; a negative number is an error."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.begun.set()
        assert self.go.wait(10)
        if min(items) < 0:
            raise ValueError(f"{min(items)} is negative")
        return [2 * item for item in items]


def asked_at_once(worker: Worker, calls: Sequence[Sequence[int]], most: int) -> list[list[int] | Exception]:
    """What each call gets when all are asked while the worker is busy with a first one, [0]."""
    batcher = Batcher(worker, most)

    def ask(items: Sequence[int]) -> list[int] | Exception:
        try:
            return batcher(items)
        except Exception as error:
            return error

    worker.go.clear()
    with ThreadPoolExecutor(len(calls) + 1) as pool:
        first = pool.submit(ask, [0])
        assert worker.begun.wait(10)
        found = []
        for number, items in enumerate(calls):
            found.append(pool.submit(ask, items))
            while len(batcher._waiting) < sum(map(bool, calls[: number + 1])):
                pass
        worker.go.set()
        assert first.result() == [0]
        return [one.result() for one in found]


def test_what_is_asked_meanwhile_is_one_batch() -> None:
    worker = Worker()
    assert asked_at_once(worker, [[n, n + 100] for n in range(16)], most=64) == [
        [2 * n, 2 * n + 200] for n in range(16)
    ]
    assert worker.batches == [[0], [m for n in range(16) for m in (n, n + 100)]]


def test_a_batch_is_bounded_and_a_long_call_holds_up_no_short_one() -> None:
    worker = Worker()
    long = list(range(1000, 1100))
    assert asked_at_once(worker, [long, [1, 2]], most=10) == [[2 * n for n in long], [2, 4]]
    assert max(map(len, worker.batches)) <= 10
    assert worker.batches[1:3] == [long[:10], [1, 2, *long[10:18]]]
    many = Worker()
    asked_at_once(many, [[n] for n in range(25)], most=10)
    assert [len(batch) for batch in many.batches] == [1, 10, 10, 5]


def test_a_bad_item_costs_its_own_call_alone() -> None:
    worker = Worker()
    good, bad, worse = asked_at_once(worker, [[1, 2], [3, -4], [-5]], most=64)
    assert good == [2, 4]
    assert (str(bad), str(worse)) == ("-4 is negative", "-5 is negative")
    batcher = Batcher(worker, 2)
    with pytest.raises(ValueError, match="-1 is negative"):
        batcher([1, 2, -1, 3, 4])
    before = len(worker.batches)
    assert batcher([7]) == [14] and len(worker.batches) == before + 1, "nothing of a failed call is left over"


def test_nothing_asked_is_nothing_done() -> None:
    worker = Worker()
    assert Batcher(worker, 8)([]) == [] and worker.batches == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-2, 50), max_size=9), min_size=1, max_size=12), st.integers(1, 8))
def test_every_caller_gets_their_own(calls: list[list[int]], most: int) -> None:
    worker = Worker()
    for items, got in zip(calls, asked_at_once(worker, calls, most), strict=True):
        if items and min(items) < 0:
            assert isinstance(got, ValueError)
        else:
            assert got == [2 * item for item in items]
    assert all(len(batch) <= most for batch in worker.batches)
