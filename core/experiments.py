"""A/B experiments: who gets which model, and what their outcomes say, in figures that hold however often one looks.

The unit (a user, a conversation) is what is randomised, so it is what counts: several outcomes of one unit are averaged first.
Intervals are asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Annals of Statistics 52, theorem 2.2,
two-sided Gaussian mixture): the chance that they ever miss the truth is 5% at most, whenever one looks and stops, once each arm has the
units that LEAST and SKEWED ask for. They are tightest at the planned number of units, and it is the plan an experiment began with that they are built on.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy

from core.estimate import Estimate, Estimates
from core.ratings import FloatArray, IntArray
from core.report import TOGETHER, told

Variant = Literal["control", "treatment"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
Metric = Literal["rating", "win", "latency", "cost", "tickets_deflected"]
Choice = Literal[
    "deploy treatment",
    "keep control",
    "no difference worth having",
    "go on",
    "extend or end",
    "check the ratio first",
]
ALPHA = 0.05
MISMATCH = 0.01
"""p-value of the ratio check below which nothing is recommended."""
LEAST = 100
"""Units that each arm must have before anything is said of a metric: the intervals are asymptotic."""
SKEWED = 25
"""Times the squared skewness of its outcomes, that is the units it must have too (Cochran 1977, Sampling Techniques, 2.15)."""
MOST = 1e6


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric: what it is called, the values it may have, and whether more of it is ``better`` (1) or worse (-1)."""

    label: str
    unit: str
    low: float
    high: float
    better: Literal[1, -1]


METRICS: dict[Metric, Measure] = {
    "rating": Measure("Rating", "", 1, 5, 1),
    "win": Measure("Win rate", "", 0, 1, 1),
    "latency": Measure("Latency", " s", 0, MOST, -1),
    "cost": Measure("Cost", " US$", 0, MOST, -1),
    "tickets_deflected": Measure("Tickets deflected", "", 0, MOST, 1),
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """Units of each arm, and the evidence that they are not split as they were to be; ``expected`` is the share of the treatment."""

    control: int
    treatment: int
    expected: float
    p_value: float

    @property
    def mismatch(self) -> bool:
        return self.p_value < MISMATCH

    def __str__(self) -> str:
        n = self.control + self.treatment
        share = self.treatment / n if n else 0.0
        return f"{share:.1%} of {n:,} units have the treatment where {self.expected:.0%} were to (p = {self.p_value:.2g})"


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """The means of units as of each day, less ``centre``: sums of their powers 0 (how many there are) to 3, shape (4, d, 2), control
    first. ``day``: shape (d,), in order."""

    day: npt.NDArray[np.datetime64]
    sums: FloatArray
    centre: float = 0.0

    def needed(self) -> FloatArray:
        """How many units each arm must have for a comparison, as of each day; shape (d,)."""
        n, *powers = self.sums.sum(2)
        mean, second, third = powers / n
        with np.errstate(divide="ignore", invalid="ignore"):
            skewness = (third - 3 * mean * second + 2 * mean**3) / (second - mean**2) ** 1.5
        return np.asarray(np.maximum(LEAST, np.ceil(SKEWED * np.nan_to_num(skewness) ** 2)))


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A metric in both arms. ``effect`` is treatment less control, ``p_value`` the always-valid one of no effect; n counts units.

    ``ratio`` is of the units that have an outcome of it. ``day`` and ``over``: the effect as of each day, shape (d,); ``fixed``: half of
    the usual 95% interval, which holds for one look only.
    """

    metric: Metric
    control: Estimate
    treatment: Estimate
    effect: Estimate
    p_value: float | None
    ratio: Ratio
    day: npt.NDArray[np.datetime64]
    over: Estimates
    fixed: FloatArray


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do, and the sentence that says why."""

    choice: Choice
    why: str

    @property
    def arm(self) -> Variant | None:
        """What is recommended to be deployed, if that is decided."""
        return {"deploy treatment": VARIANTS[1], "keep control": VARIANTS[0]}.get(self.choice)


@dataclass(frozen=True, slots=True)
class Analysis:
    """An experiment as it stands: ``ratio`` is of all units assigned, ``metrics`` those that have outcomes."""

    ratio: Ratio
    metrics: dict[Metric, Compared]
    recommendation: Recommendation


def assigned(seed: str, unit: str, share: float) -> Variant:
    """The arm of a unit: always the same one, the treatment for a ``share`` of all units."""
    digest = hashlib.sha256(f"{seed}:{unit}".encode()).digest()
    return "treatment" if int.from_bytes(digest[:8]) / 2**64 < share else "control"


def spread(n: npt.ArrayLike, planned: float, alpha: float = ALPHA) -> FloatArray:
    """Half the width of the confidence sequence in standard errors, at ``n`` units: theorem 2.2 with rho chosen for ``planned`` units."""
    k = np.asarray(n) / planned * _at_plan(alpha)
    return np.asarray(np.sqrt((1 + 1 / k) * (np.log1p(k) - 2 * np.log(alpha))))


def precision(planned: int, share: float) -> float:
    """Half the width of an effect's interval once the planned units are in, in standard deviations of what units vary by."""
    return float(spread(planned, planned) / np.sqrt(planned * share * (1 - share)))


def always_valid(z: npt.ArrayLike, n: npt.ArrayLike, planned: float) -> FloatArray:
    """The p-value of a difference of ``z`` standard errors at ``n`` units: the level at which its confidence sequence just reaches zero."""
    k = np.asarray(n) / planned * _at_plan(ALPHA)
    return np.asarray(np.exp(np.minimum(0, (np.log1p(k) - np.square(z) * k / (1 + k)) / 2)))


def ratio_p_values(counts: npt.ArrayLike, share: float, planned: float) -> FloatArray:
    """The sequential p-value, as of each look, that units are split by ``share``; ``counts``: shape (looks, 2), control first, growing.

    Lindon & Malek (2022), Anytime-valid inference for multinomial count data: one over the largest Bayes factor so far of a Dirichlet
    prior centred on the split. The chance that it is ever below p while the split is right is p at most.
    """
    x = np.asarray(counts, dtype=np.float64)
    split = np.array([1 - share, share])
    prior = split * planned / _at_plan(MISMATCH)
    gammaln = scipy.special.gammaln
    factor = (
        gammaln(prior.sum())
        - gammaln(prior.sum() + x.sum(1))
        + (gammaln(prior + x) - gammaln(prior) - x * np.log(split)).sum(1)
    )
    return np.asarray(np.exp(-np.maximum.accumulate(np.maximum(factor, 0))))


def _at_plan(alpha: float) -> float:
    """n rho^2 at the planned n, where the sequence is then nearly tightest: the closed form of Waudby-Smith et al."""
    return float(-2 * np.log(alpha) + np.log1p(-2 * np.log(alpha)))


def moments(table: pa.Table) -> dict[Metric, Moments]:
    """By metric, from what each day changed: ``metric``, ``centre``, ``day``, ``variant``, ``n``, ``total``, ``squares``, ``cubes``."""
    found: dict[Metric, Moments] = {}
    for metric in METRICS:
        part = table.filter(pc.equal(table["metric"], metric))
        if not len(part):
            continue
        day, place = np.unique(part["day"].to_numpy(), return_inverse=True)
        arm = part["variant"].to_numpy() == "treatment"
        sums = np.zeros((4, len(day), 2))
        for some, name in zip(sums, ("n", "total", "squares", "cubes"), strict=True):
            np.add.at(some, (place, arm.astype(int)), part[name].to_numpy())
        found[metric] = Moments(day, sums.cumsum(1), part["centre"][0].as_py())
    return found


def compare(metric: Metric, found: Moments, share: float, planned: float) -> Compared:
    """Both arms of a metric, now and as of each day."""
    (n, total, squares, _), needed = found.sums, found.needed()
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / n
        error = np.sqrt(np.maximum(squares / n - mean**2, 0) / (n - 1))
        effect, both, units = mean[:, 1] - mean[:, 0], np.hypot(*error.T), n.sum(1)
        half = both * spread(units, planned)
        z = effect / both
    enough = (n >= needed[:, None]).all(1)
    least = f"{needed[-1]:,.0f} units" + (", as much hangs on a few of them" if needed[-1] > LEAST else "")
    sure = enough & (both > 0)
    over = Estimates(
        np.where(enough, effect, np.nan),
        np.where(sure, effect - half, np.nan),
        np.where(sure, effect + half, np.nan),
        units,
        f"With an outcome of it, each arm needs {least}; there are {n[-1, 0]:,.0f} and {n[-1, 1]:,.0f}.",
        "Every unit has the same outcome, so there is no interval.",
    )
    control, treatment = (
        _arm(mean[-1, i] + found.centre, error[-1, i], int(n[-1, i]), planned * part, int(needed[-1]))
        for i, part in enumerate((1 - share, share))
    )
    ratio = ratio_p_values(n, share, planned)[-1]
    return Compared(
        metric,
        control,
        treatment,
        effect=over[-1],
        p_value=float(always_valid(z[-1], units[-1], planned)) if sure[-1] else None,
        ratio=Ratio(int(n[-1, 0]), int(n[-1, 1]), share, float(ratio)),
        day=found.day,
        over=over,
        fixed=np.where(sure, scipy.stats.norm.isf(ALPHA / 2) * both, np.nan),
    )


def _arm(mean: float, error: float, n: int, planned: float, needed: int) -> Estimate:
    if n == 0:
        return Estimate.unavailable("No unit of this arm has an outcome of it.")
    if n < needed:
        reason = f"An interval needs {needed:,} units; there are {n:,}."
        return Estimate(float(mean), None, None, n, reason=reason)
    half = error * float(spread(n, planned))
    return Estimate(float(mean), float(mean - half), float(mean + half), n)


def analyse(
    counts: IntArray,
    found: Mapping[Metric, Moments],
    metric: Metric,
    share: float,
    planned: int,
    target: int,
    worth: float,
) -> Analysis:
    """Everything that is known of an experiment.

    ``counts``: units assigned as of each day, shape (days, 2), control first. ``metric`` is the one that decides, ``worth`` the smallest
    difference of it worth having (0: any), ``planned`` the units it began with as its plan and ``target`` those it is to have by now.
    """
    control, treatment = (int(n) for n in counts[-1]) if len(counts) else (0, 0)
    p = ratio_p_values(counts, share, planned)[-1] if len(counts) else 1.0
    ratio = Ratio(control, treatment, share, float(p))
    metrics = {name: compare(name, some, share, planned) for name, some in found.items()}
    return Analysis(ratio, metrics, _recommend(ratio, metrics, metric, target, worth))


def _recommend(
    ratio: Ratio, metrics: Mapping[Metric, Compared], metric: Metric, target: int, worth: float
) -> Recommendation:
    measure, units, decides = METRICS[metric], ratio.control + ratio.treatment, metrics.get(metric)
    name = measure.label.lower()
    if ratio.mismatch:
        return Recommendation("check the ratio first", f"{ratio}. Units of one arm are lost, or counted twice: no "
                              "comparison can be trusted until it is known why.")  # fmt: skip
    if decides is None:
        return Recommendation("go on", f"No outcome of {name} has come in yet.")
    if decides.ratio.mismatch:
        return Recommendation("check the ratio first", f"Among those with an outcome of {name}, {decides.ratio}. Outcomes of one arm are "
                              "lost, or its model makes units answer more often: those that answered cannot be compared.")  # fmt: skip
    if decides.effect.low is None or decides.effect.high is None:
        return Recommendation("go on", decides.effect.reason or "")
    low, high = sorted((measure.better * decides.effect.low, measure.better * decides.effect.high))
    said = f"With the treatment, {name} differs by {_told(decides.effect, measure)}"
    mind = "".join(f" Mind: {METRICS[m].label.lower()} got worse, by {_told(c.effect, METRICS[m])}." for m, c in metrics.items()
                   if m != metric and _worse(c.effect, METRICS[m]))  # fmt: skip
    if high < 0:
        return Recommendation("keep control", f"{said}: it is worse.{mind}")
    if low > 0 and high >= worth:
        return Recommendation("deploy treatment", f"{said}: it is better.{mind}")
    if high < worth and low > -worth:
        return Recommendation(
            "no difference worth having", f"{said}: less than {worth:g}{measure.unit} either way.{mind}"
        )
    if high < worth:
        return Recommendation("keep control", f"{said}: it is not better by {worth:g}{measure.unit}.{mind}")
    if units < target:
        return Recommendation("go on", f"{said}: not decided yet, at {units:,} of {target:,} units.{mind}")
    return Recommendation(
        "extend or end", f"{said}: not decided, and all {target:,} planned units are in.{mind}"
    )


def _told(effect: Estimate, measure: Measure) -> str:
    return told(effect, "{:+.3g}") + measure.unit.replace(" ", TOGETHER)


def _worse(effect: Estimate, measure: Measure) -> bool:
    limit = effect.high if measure.better > 0 else effect.low
    return limit is not None and measure.better * limit < 0
