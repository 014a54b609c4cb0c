"""The table every agreement and consensus method reads: who put which unit into which category."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratings:
    """Judgements in long form: judgement i says that ``rater[i]`` put ``unit[i]`` into ``category[i]``.

    ``unit``, ``rater``, ``category``: shape (n,), codes into ``units``, ``raters``, ``categories``.
    ``confidence``: shape (n,), 1 to 5, NaN where not given.
    A rater may judge a unit more than once (a planned repeat); those rows are in the order of submission.
    """

    unit: IntArray
    rater: IntArray
    category: IntArray
    confidence: FloatArray
    units: Sequence[str]
    raters: Sequence[str]
    categories: tuple[str, ...]

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[tuple[str, str, str]],
        categories: tuple[str, ...] | None = None,
        confidence: Sequence[float | None] | None = None,
    ) -> "Ratings":
        """Code (unit, rater, category) rows; ``categories`` fixes the order, else it is alphabetical."""
        table = list(rows)
        units = sorted({u for u, _, _ in table})
        raters = sorted({r for _, r, _ in table})
        names = categories or tuple(sorted({c for _, _, c in table}))
        code = [{name: i for i, name in enumerate(labels)} for labels in (units, raters, names)]
        unit, rater, category = (
            np.array([code[k][row[k]] for row in table], dtype=np.int64) for k in range(3)
        )
        given = [np.nan if c is None else float(c) for c in (confidence or [None] * len(table))]
        return cls(unit, rater, category, np.array(given, dtype=np.float64), units, raters, names)
