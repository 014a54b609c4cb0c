"""Calibrators: monotone maps from a predicted probability to one that means what it says, and the choice among them.

A soft outcome y weighs both classes, y for the first answer and 1 - y for the second, in every fit and every log loss; so a
tie (0.5) pulls towards one half. A vote predictor has no first answer of its own, so its calibrator is fitted on every pair
in both orders and made symmetric, f(p) = (g(p) + 1 - g(1 - p)) / 2. Platt's and beta calibration then have no intercept left
and one slope, and are temperature scaling; isotonic regression remains something else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import scipy
from scipy.special import expit, logit

from core.bootstrap import Bootstrap
from core.calibration import TINY, Predictions, log_losses, probabilities
from core.estimate import Estimate
from core.ratings import FloatArray

Method = Literal["temperature", "platt", "beta", "isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)

LEAST = 20
"""Predictions below which no calibrator is fitted."""

FOLDS = 5

NEEDED = -(-LEAST * FOLDS // (FOLDS - 1))
"""Predictions below which no calibrator can be judged out of fold, and so none is chosen."""

STEEPEST = 100.0
SEPARATED = 1e-3
"""The largest slope on the logit scale and the least log loss: a fit that gets there has found the classes separated."""


class Calibrator(Protocol):
    """A monotone map of probabilities; ``__call__`` takes and gives shape (n,), ValueError unless all are in [0, 1]."""

    @property
    def name(self) -> str: ...

    def __call__(self, p: npt.ArrayLike) -> FloatArray: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """The probability as it is."""

    name = "identity"

    def __call__(self, p: npt.ArrayLike) -> FloatArray:
        return _checked(p)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True, slots=True)
class Temperature:
    """sigmoid(logit(p) / temperature) (Guo et al. 2017, On Calibration of Modern Neural Networks)."""

    temperature: float
    name = "temperature"

    def __call__(self, p: npt.ArrayLike) -> FloatArray:
        return np.asarray(expit(_logit(_checked(p)) / self.temperature))

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "temperature": self.temperature}


@dataclass(frozen=True, slots=True)
class Platt:
    """sigmoid(slope logit(p) + intercept) (Platt 1999)."""

    slope: float
    intercept: float
    name = "platt"

    def __call__(self, p: npt.ArrayLike) -> FloatArray:
        return np.asarray(expit(self.slope * _logit(_checked(p)) + self.intercept))

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True, slots=True)
class Beta:
    """sigmoid(a log p - b log(1 - p) + c), a, b >= 0 (Kull, Silva Filho & Flach 2017, Beta calibration)."""

    a: float
    b: float
    c: float
    name = "beta"

    def __call__(self, p: npt.ArrayLike) -> FloatArray:
        return np.asarray(expit(_logs(_checked(p)) @ [self.a, self.b] + self.c))

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "a": self.a, "b": self.b, "c": self.c}


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Straight lines between the points (``x``, ``y``), both in ascending order, flat beyond (Zadrozny & Elkan 2002)."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    name = "isotonic"

    def __call__(self, p: npt.ArrayLike) -> FloatArray:
        return np.interp(_checked(p), self.x, self.y)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "x": list(self.x), "y": list(self.y)}


@dataclass(frozen=True, slots=True)
class Symmetric:
    """(g(p) + 1 - g(1 - p)) / 2 of a calibrator g, whose name it keeps."""

    of: Calibrator

    @property
    def name(self) -> str:
        return self.of.name

    def __call__(self, p: npt.ArrayLike) -> FloatArray:
        given = _checked(p)
        return (self.of(given) + (1 - self.of(1 - given))) / 2

    def to_json(self) -> dict[str, Any]:
        return {"name": "symmetric", "of": self.of.to_json()}


@dataclass(frozen=True, slots=True)
class Choice:
    """The calibrator to use and why.

    ``log_loss``: out of fold, of identity and of each method that could be fitted. ``gain``: by how much each method's is below
    identity's, paired. ``out_of_fold``: shape (n,), what the chosen method says of each prediction when fitted on other
    groups; that is what "after" in a diagram has to be.
    """

    calibrator: Calibrator
    reason: str
    log_loss: Mapping[str, Estimate]
    gain: Mapping[str, Estimate]
    out_of_fold: FloatArray

    @property
    def name(self) -> str:
        return self.calibrator.name


def fit(
    method: Method,
    p: npt.ArrayLike,
    y: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    symmetric: bool = False,
) -> Calibrator:
    """The calibrator of least log loss (isotonic: of least squares, which is the same fit); ``symmetric`` as a vote predictor
    needs it.

    Raises ValueError on bad input, fewer than ``LEAST`` predictions, outcomes all alike (all ties, where
    ``symmetric``), or classes that p separates perfectly.
    """
    data = Predictions.of(p, y, weight)
    if len(data) < LEAST:
        missing = LEAST - len(data)
        raise ValueError(
            f"{len(data)} predictions are too few to fit a calibrator; {missing} more are needed."
        )
    if np.ptp(data.y) == 0 and (data.y[0] == 0.5 or not symmetric):
        raise ValueError(f"Every outcome is {data.y[0]:g}; a calibrator needs outcomes that differ.")
    if symmetric:
        return Symmetric(_fit(method, *_both_orders(data.p, data.y, data.weight)))
    return _fit(method, data.p, data.y, data.weight)


def choose(
    p: npt.ArrayLike,
    y: npt.ArrayLike,
    groups: Sequence[Any] | npt.NDArray[Any] | None,
    weight: npt.ArrayLike | None = None,
    seed: int = 0,
    symmetric: bool = True,
) -> Choice:
    """The method of least log loss out of fold (``FOLDS`` folds of whole groups) if it beats identity beyond the 95% interval
    of a bootstrap by group, else identity. Where methods come out the same, the first in ``METHODS``.

    Raises ValueError on bad input; too little or too uniform data is no error: it gives identity, and the reason.
    """
    data = Predictions.of(p, y, weight, groups)
    draw = Bootstrap(data.group, data.n_groups, seed=seed)
    before = log_losses(data.p, data.y)
    losses = {"identity": draw.mean(before, data.weight)} if len(data) else {}
    if data.n_groups < FOLDS:
        reason = f"Comparing calibrators needs {FOLDS} prompts or more; there are {data.n_groups}."
        return Choice(Identity(), f"No calibrator: {reason}", losses, {}, data.p)
    fold = np.random.default_rng(seed).permutation(np.arange(data.n_groups) % FOLDS)[data.group]
    said: dict[Method, FloatArray] = {}
    gain: dict[str, Estimate] = {}
    refusals: list[str] = []
    for method in METHODS:
        try:
            said[method] = _out_of_fold(method, data, fold, symmetric)
        except ValueError as error:
            refusals.append(str(error))
            continue
        after = log_losses(said[method], data.y)
        losses[method] = draw.mean(after, data.weight)
        gain[method] = draw.mean(before - after, data.weight)
    if not said:
        return Choice(Identity(), f"No calibrator: {refusals[0]}", losses, gain, data.p)
    best = max(said, key=lambda method: round(gain[method].value or 0.0, 7))
    by = gain[best]
    gained = f"{by.value:.4f} ({by.low:.4f} to {by.high:.4f})"
    if by.low is None or by.low <= 0:
        reason = (
            f"No calibrator: the best, {best}, gains {gained} in held-out log loss, which may be nothing."
        )
        return Choice(Identity(), reason, losses, gain, data.p)
    reason = f"{best.capitalize()} calibration gains {gained} in held-out log loss, the most of the methods compared."
    return Choice(fit(best, data.p, data.y, data.weight, symmetric), reason, losses, gain, said[best])


def from_json(data: Mapping[str, Any]) -> Calibrator:
    """The calibrator ``to_json`` described; ValueError where it is not one, or not monotone."""
    if not isinstance(data, Mapping):
        raise ValueError(f"A calibrator is described by an object, not {data!r}.")
    name = data.get("name")
    match name:
        case "identity":
            return Identity()
        case "symmetric":
            return Symmetric(from_json(data.get("of", {})))
        case "temperature":
            return Temperature(_number(data, "temperature", least=TINY))
        case "platt":
            return Platt(_number(data, "slope", least=0), _number(data, "intercept"))
        case "beta":
            return Beta(_number(data, "a", least=0), _number(data, "b", least=0), _number(data, "c"))
        case "isotonic":
            return Isotonic(_ascending(data, "x"), _ascending(data, "y", len(data.get("x", ()))))
    known = ", ".join(("identity", *METHODS))
    raise ValueError(f"There is no calibrator named {name!r}; known are {known}.")


def _checked(p: npt.ArrayLike) -> FloatArray:
    return probabilities(p, "probability")


def _logs(p: FloatArray) -> FloatArray:
    """log p and -log(1 - p): shape (n, 2)."""
    kept = np.clip(p, TINY, 1 - TINY)
    return np.column_stack([np.log(kept), -np.log1p(-kept)])


def _logit(p: FloatArray) -> FloatArray:
    return np.asarray(logit(np.clip(p, TINY, 1 - TINY)))


def _both_orders(
    p: FloatArray, y: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Each pair as it is and the other way round, weighing half each."""
    return np.concatenate([p, 1 - p]), np.concatenate([y, 1 - y]), np.concatenate([weight, weight]) / 2


def _fit(method: Method, p: FloatArray, y: FloatArray, weight: FloatArray) -> Calibrator:
    match method:
        case "temperature":
            (slope,), _ = _logistic(_logit(p)[:, None], y, weight, intercept=False)
            return Temperature(1 / max(slope, 1 / STEEPEST**2))
        case "platt":
            (slope,), intercept = _logistic(_logit(p)[:, None], y, weight)
            return Platt(slope, intercept)
        case "beta":
            (a, b), c = _logistic(_logs(p), y, weight)
            return Beta(a, b, c)
        case "isotonic":
            return _isotonic(p, y, weight)


def _logistic(
    x: FloatArray, y: FloatArray, weight: FloatArray, intercept: bool = True
) -> tuple[list[float], float]:
    """Logistic regression with slopes of 0 or more; ValueError where the classes are separated. ``x``: shape (n, k)."""
    columns = np.column_stack([x, np.ones(len(x))]) if intercept else x
    share = weight / weight.sum()

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        z = columns @ theta
        return float(share @ (np.logaddexp(0, z) - y * z)), columns.T @ (share * (expit(z) - y))

    k = x.shape[1]
    bounds = [(0.0, STEEPEST)] * k + [(None, None)] * intercept
    start = np.r_[np.ones(k), np.zeros(int(intercept))]
    found = scipy.optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9}
    )
    if found.fun < SEPARATED or (found.x[:k] > 0.999 * STEEPEST).any():
        raise ValueError(
            "The predictions separate the outcomes perfectly, so no slope is steep enough to fit them."
        )
    return [float(s) for s in found.x[:k]], float(found.x[k]) if intercept else 0.0


def _isotonic(p: FloatArray, y: FloatArray, weight: FloatArray) -> Isotonic:
    """Pool adjacent violators; no value nearer to 0 or 1 than Laplace's rule of succession allows a share of all the weight."""
    x, place = np.unique(p, return_inverse=True)
    mass = np.bincount(place, weight)
    fitted = scipy.optimize.isotonic_regression(np.bincount(place, weight * y) / mass, weights=mass).x
    edge = 1 / (len(p) + 2)
    fitted = np.clip(fitted, edge, 1 - edge)
    bend = np.ones(len(x), dtype=bool)
    bend[1:-1] = (fitted[1:-1] != fitted[:-2]) | (fitted[1:-1] != fitted[2:])
    return Isotonic(tuple(x[bend].tolist()), tuple(fitted[bend].tolist()))


def _out_of_fold(method: Method, data: Predictions, fold: npt.NDArray[Any], symmetric: bool) -> FloatArray:
    """What the method says of each prediction when fitted without its fold: shape (n,)."""
    said = np.empty(len(data))
    for k in range(FOLDS):
        held, rest = fold == k, fold != k
        said[held] = fit(method, data.p[rest], data.y[rest], data.weight[rest], symmetric)(data.p[held])
    return said


def _number(data: Mapping[str, Any], field: str, least: float = -np.inf) -> float:
    value = data.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < np.inf:
        at_least = "" if least == -np.inf else f" of {least:g} or more"
        raise ValueError(f"Calibrator {data['name']!r} needs a number {field!r}{at_least}, not {value!r}.")
    return float(value)


def _ascending(data: Mapping[str, Any], field: str, length: int = 0) -> tuple[float, ...]:
    given = data.get(field)
    values = probabilities(given if isinstance(given, list) else [], f"value in {field!r}")
    if not len(values) or (np.diff(values) < 0).any() or length not in (0, len(values)):
        raise ValueError(
            f"Calibrator {data['name']!r} needs a list {field!r} of probabilities in ascending order."
        )
    return tuple(values.tolist())
