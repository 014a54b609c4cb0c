"""An estimate with its uncertainty: what every figure in Attune is made of."""

from dataclasses import dataclass, replace


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
