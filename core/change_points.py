"""A stream of right and wrong answers, watched for a change of the error rate, with a false-alarm rate that holds however often one looks.

At every look, the latest outcomes, in stretches that double in length, are held against all that came before them, as ADWIN does
(Bifet & Gavalda 2007, Learning from time-changing data with adaptive windowing). Where ADWIN has a bound, this has Fisher's exact test,
and where ADWIN's rate holds for one look, this one holds for all of them together: look k may spend ``RESERVE / ((k + RESERVE - 1) *
(k + RESERVE))`` of the level, which adds up to the whole of it over an endless stream, and the stretches of a look share what it has. After
an alarm all of the past is forgotten and the level is there again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from core.agreement import proportion
from core.estimate import Estimate
from core.ratings import FloatArray

ALPHA = 0.05
STEP = 50
"""Outcomes between two looks, and the shortest stretch that is held against the past."""
LATEST = 100
"""Outcomes whose error rate is drawn along a stream."""
RESERVE = 20
"""Looks that have about the same share of the level; later ones have less and less."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the error rate: found when outcome ``found`` was in, in the stretch that begins at outcome ``since``.

    Both are places in the stream. ``before`` and ``after`` are the error rates of the past and of that stretch; ``p_value`` is Fisher's.
    ``level`` is what this test could spend.
    """

    found: int
    since: int
    before: Estimate
    after: Estimate
    p_value: float
    level: float


def changes(wrong: npt.ArrayLike, alpha: float = ALPHA) -> list[Change]:
    """Every change in a stream of outcomes in order of time, 1 for an error and 0 for none, shape (n,).

    Where the error rate never changes and the outcomes are independent, the chance of any alarm is at most ``alpha``, however long
    the stream is; the same holds anew for what follows an alarm. A stream that has grown has the alarms that it had.
    """
    errors = np.concatenate([[0], np.cumsum(np.asarray(wrong, dtype=np.int64))])
    found = []
    start = 0
    while change := _first(errors[start:] - errors[start], start, alpha):
        found.append(change)
        start = change.found
    return found


def rolling(wrong: FloatArray, span: int = LATEST) -> tuple[int, FloatArray]:
    """The error rate of the latest outcomes, 1 for an error and 0 for none, shape (n,), n > 0, in order of time.

    Returns of how many (``span``, all of them where there are fewer), and the rate as of each outcome from that one on: shape (n - span + 1,).
    """
    span = min(span, len(wrong))
    total = np.concatenate([[0.0], np.cumsum(wrong)])
    return span, (total[span:] - total[:-span]) / span


def _first(errors: npt.NDArray[np.int64], start: int, alpha: float) -> Change | None:
    """The first change after ``start``; ``errors``: how many there were up to each outcome, shape (n + 1,)."""
    for look in range(1, (len(errors) - 1) // STEP):
        now = (look + 1) * STEP
        stretches = STEP << np.arange(int(np.log2(look)) + 1)
        hits = errors[now] - errors[now - stretches]
        drawn = now, errors[now], stretches
        p_values = 2 * np.minimum(
            scipy.stats.hypergeom.cdf(hits, *drawn), scipy.stats.hypergeom.sf(hits - 1, *drawn)
        )
        level = alpha * RESERVE / ((look + RESERVE - 1) * (look + RESERVE)) / len(stretches)
        best = int(p_values.argmin())
        if p_values[best] <= level:
            since = now - int(stretches[best])
            return Change(
                start + now,
                start + since,
                proportion(float(errors[since]), since),
                proportion(float(hits[best]), now - since),
                float(p_values[best]),
                level,
            )
    return None
