"""What many threads ask for at once is worked out together: a model is quicker at one batch than at many single items."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """``work(items)`` answers a result an item; it runs in one thread, on at most ``most`` items at a time.

    What is asked while a batch is worked on waits for the next; nobody waits for a batch to fill. First come, first
    served, but a call that is longer than its batch has room for goes on behind the others.
    """

    def __init__(self, work: Callable[[list[Item]], Sequence[Result]], most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: deque[_Call[Item, Result]] = deque()
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """The results, in order; raises what ``work`` raises on these items alone."""
        call: _Call[Item, Result] = _Call(list(items))
        if not call.left:
            return []
        with self._lock:
            self._waiting.append(call)
        self._thread.submit(self._work_off)
        return call.done.result()

    def _work_off(self) -> None:
        while parts := self._next():
            try:
                self._settle(parts)
            except Exception:
                for part in parts:
                    try:
                        self._settle([part])
                    except Exception as error:
                        self._fail(part[0], error)

    def _next(self) -> "list[tuple[_Call[Item, Result], list[Item]]]":
        """The calls of the next batch, each with those of its items that are in it."""
        parts, room = [], self._most
        with self._lock:
            while self._waiting and room:
                call = self._waiting.popleft()
                items, call.left = call.left[:room], call.left[room:]
                room -= len(items)
                parts.append((call, items))
                if call.left:
                    self._waiting.append(call)
        return parts

    def _settle(self, parts: "Sequence[tuple[_Call[Item, Result], list[Item]]]") -> None:
        results = iter(self._work([item for _, items in parts for item in items]))
        for call, items in parts:
            call.results += [next(results) for _ in items]
            if not call.left:
                call.done.set_result(call.results)

    def _fail(self, call: "_Call[Item, Result]", error: Exception) -> None:
        with self._lock, suppress(ValueError):
            self._waiting.remove(call)
        call.done.set_exception(error)


@dataclass(eq=False)
class _Call(Generic[Item, Result]):
    """What one thread asked for; ``left`` are the items that are in no batch yet."""

    left: list[Item]
    results: list[Result] = field(default_factory=list)
    done: "Future[list[Result]]" = field(default_factory=Future)
