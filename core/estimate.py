"""An estimate with its uncertainty: what every figure in Attune is made of."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with a 95% interval and the number of units it rests on.

    ``value`` is None exactly when the figure cannot be computed, and then ``reason`` says why.
    ``low`` and ``high`` may be None beside a value when only the interval cannot be computed; ``reason`` says why.
    ``n`` counts the independent units (pairs, unless the figure's docstring says otherwise).
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    target: float | None = None
    reason: str | None = None

    @classmethod
    def unavailable(cls, reason: str, n: int = 0) -> "Estimate":
        """The figure cannot be computed, because of ``reason`` (a full sentence a user can act on)."""
        return cls(None, None, None, n, reason=reason)

    def with_target(self, target: float) -> "Estimate":
        return replace(self, target=target)


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """One figure of many at once (of every annotator), each of shape (n,); NaN where there is no value, or no interval.

    ``missing`` is the reason for the first, ``wide`` for the second.
    """

    value: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    n: npt.NDArray[Any]
    missing: str
    wide: str = ""

    def __getitem__(self, row: int) -> Estimate:
        """One of them."""
        value, low, high, n = (column[row] for column in (self.value, self.low, self.high, self.n))
        if np.isnan(value):
            return Estimate.unavailable(self.missing, int(n))
        if np.isnan(low):
            return Estimate(float(value), None, None, int(n), reason=self.wide)
        return Estimate(float(value), float(low), float(high), int(n))
