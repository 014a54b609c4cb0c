"""How long somebody really worked on a pair: from shown to submitted, without pauses, idleness and absence."""

from dataclasses import dataclass, replace

IDLE = 60.0
"""Seconds without a key, a mouse move or a scroll, or without any sign of the page, after which nobody is working."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A stopwatch; every ``now`` is in seconds on one clock that never goes back.

    ``spent`` seconds are counted for good; it runs since ``since`` (None while stopped) and the page last gave a sign
    of itself at ``seen``.
    """

    spent: float = 0.0
    since: float | None = None
    seen: float = 0.0

    def run(self, now: float) -> "Clock":
        """Start, or go on. Time since a sign of the page longer than IDLE ago is left out."""
        clock = self.left() if now - self.seen > IDLE else self
        return replace(clock, since=now if clock.since is None else clock.since, seen=now)

    def stop(self, now: float, idle: float = 0.0) -> "Clock":
        """Stop; nobody has been working for the last ``idle`` seconds already."""
        if self.since is None:
            return self
        if now - self.seen > IDLE:
            return self.left()
        return Clock(self.spent + max(0.0, now - idle - self.since), None, now)

    def left(self) -> "Clock":
        """Stop at the last sign of the page: it was left since, nobody knows when."""
        if self.since is None:
            return self
        return Clock(self.spent + max(0.0, self.seen - self.since), None, self.seen)

    def seconds(self, now: float) -> float:
        """Seconds of work up to now."""
        return self.stop(now).spent
