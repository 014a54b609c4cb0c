"""Sentence embeddings and logistic regression, with the surface features of an answer beside the embedding or without.

On pairs it is the model of Bradley & Terry (1952) with a linear reward: the log odds that a is preferred to b are
w . (x(a) - x(b)), where x is the embedding of the answer and its surface features. On ratings it is the odds that an
answer is good, and x embeds prompt and answer together.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy
from scipy.linalg import cholesky, solve_triangular
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from core import surface
from core.preferences import Preference, Rating, folds
from core.ratings import FloatArray
from core.rewards.base import Encoder, Encoders, RewardError, Vectors, sigmoid

METHOD = "sbert"
FOLDS = 5
EMBEDDING_RIDGES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
SURFACE_RIDGES = (10.0, 50.0, 250.0, 1250.0)
"""Prior precisions of a weight, chosen from by cross-validation; embeddings have length 1, features variance 1."""
BOTH, EMBEDDING, SURFACE = "embedding and surface", "embedding", "surface"
"""The variants of a reward on pairs."""
_WEIGHTS = "weights.safetensors"
_CONFIG = "reward.json"

Report = Callable[[int, int], None]
Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SbertReward:
    """``embedding`` (dimension,) weighs the embedding, ``surface`` (features,) the surface features, or is empty.

    ``joined``: the embedding is that of prompt and answer together. ``intercept`` matters for ratings alone.
    """

    encoder: Encoder
    embedding: FloatArray
    surface: FloatArray
    intercept: float = 0.0
    joined: bool = False
    method: str = field(default=METHOD, init=False)

    @property
    def base(self) -> str:
        return self.encoder.name

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        """Reward logits, shape (n,). Raises RewardError where the encoder's vectors are of another size."""
        scores = np.full(len(responses), self.intercept)
        if len(self.embedding) and len(responses):
            texts = list(map(join, prompts, responses)) if self.joined else list(responses)
            vectors = self.encoder.embed(texts)
            if vectors.shape[1] != len(self.embedding):
                raise RewardError(
                    f"The encoder {self.encoder.name} gives vectors of {vectors.shape[1]} numbers, but the reward was "
                    f"trained on vectors of {len(self.embedding)}: use the encoder it was trained with."
                )
            scores = scores + vectors @ self.embedding
        if len(self.surface) and len(responses):
            scores = scores + surface_table(responses) @ self.surface
        return scores

    def save(self, directory: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"embedding": self.embedding, "surface": self.surface}, directory / _WEIGHTS)
        described = {
            "encoder": self.encoder.name,
            "encoder_identity": self.encoder.identity,
            "intercept": self.intercept,
            "joined": self.joined,
            "surface_features": list(surface.NAMES) if len(self.surface) else [],
        }
        (directory / _CONFIG).write_text(json.dumps(described, indent=1), encoding="utf-8")


def load(directory: Path, encoder: Encoders) -> SbertReward:
    """The reward in a model folder. Raises RewardError, also where the encoder is not the one it was trained with."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        described = json.loads((directory / _CONFIG).read_bytes())
        weights = load_file(directory / _WEIGHTS)
        embedding, of_surface = weights["embedding"], weights["surface"]
        features, name, identity = (
            described[key] for key in ("surface_features", "encoder", "encoder_identity")
        )
        intercept, joined = float(described["intercept"]), bool(described["joined"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise RewardError(f"The reward model in {directory} cannot be read: {error}") from None
    if len(of_surface) != len(features) or (features and tuple(features) != surface.NAMES):
        raise RewardError(
            f"{directory} was trained on other surface features than this version has: train it again."
        )
    if not all(np.isfinite(part).all() for part in (embedding, of_surface, np.array(intercept))):
        raise RewardError(f"{directory} has a weight that is not a number: train it again.")
    found = encoder(name)
    if found.identity != identity:
        raise RewardError(
            f"The encoder {name} is not the one {directory} was trained with (its files differ): train the model again, or "
            "bring that encoder back."
        )
    return SbertReward(found, embedding, of_surface, intercept, joined)


@dataclass(frozen=True)
class Fitted:
    """A reward fitted on pairs, with what its form is worth: the same without surface features, and these alone."""

    reward: SbertReward
    variants: dict[str, SbertReward]
    settings: dict[str, float]


def fit_pairs(
    pairs: Sequence[Preference], encoder: Encoder, with_surface: bool, seed: int, report: Report | None = None
) -> Fitted:
    """Fit on pairs; how strongly weights are held to 0 is chosen by cross-validation over groups of these pairs.

    ``variants`` has BOTH, EMBEDDING and SURFACE; ``with_surface`` says which of the first two ``reward`` is. Raises RewardError where the pairs can teach nothing.
    """
    target, weight = (np.array([getattr(p, name) for p in pairs]) for name in ("target", "weight"))
    if len(pairs) == 0 or np.all(target == 0.5):
        raise RewardError(
            "Every pair is a tie, or none is left: a reward model needs pairs with a preferred answer."
        )
    texts = list(dict.fromkeys(text for p in pairs for text in (p.response_a, p.response_b)))
    row = {text: i for i, text in enumerate(texts)}
    a = np.array([row[p.response_a] for p in pairs])
    b = np.array([row[p.response_b] for p in pairs])
    vectors = encoder.embed(texts, report)
    features = surface_table(texts)
    of_form = features[a] - features[b]
    scale = of_form.std(0)
    scale[scale == 0] = np.inf
    of_form = of_form / scale
    fold = np.array(folds([p.group for p in pairs], FOLDS, seed))
    weight = weight / weight.mean()

    nothing = np.empty((len(pairs), 0))
    of_meaning = vectors[a] - vectors[b]
    blocks = {
        BOTH: (of_meaning, of_form),
        EMBEDDING: (of_meaning, nothing),
        SURFACE: (nothing, of_form),
    }
    found = {}
    with threadpool_limits(1, "blas"):  # threads slow products this small, a hundredfold on a busy machine
        _, surface_ridge = _choose(nothing, of_form, target, weight, fold, (1.0,), SURFACE_RIDGES)
        settings = {"surface_ridge": surface_ridge}
        for name, (left, right) in blocks.items():
            ridge = 1.0
            if left.shape[1]:
                ridge, _ = _choose(left, right, target, weight, fold, EMBEDDING_RIDGES, (surface_ridge,))
                settings[f"embedding_ridge ({name})"] = ridge
            w = _Logistic(left, right, target, weight).fit(ridge, surface_ridge)
            split = left.shape[1]
            of_surface = w[split:] / scale if right.shape[1] else w[split:]
            found[name] = SbertReward(encoder, w[:split], of_surface)
    return Fitted(found[BOTH if with_surface else EMBEDDING], found, settings)


def fit_ratings(
    ratings: Sequence[Rating],
    encoder: Encoder,
    with_surface: bool,
    threshold: float,
    seed: int,
    report: Report | None = None,
) -> SbertReward:
    """Fit good (a rating of ``threshold`` or more) against poor, each class with half of the weight in all.

    Raises RewardError where there is one class only.
    """
    good = np.array([r.rating >= threshold for r in ratings])
    if good.all() or not good.any():
        which = "good" if good.any() else "poor"
        raise RewardError(
            f"All {len(ratings)} answers are {which} (good is a rating of {threshold:g} or more): a model needs answers of "
            "both classes."
        )
    vectors = encoder.embed([join(r.prompt, r.response) for r in ratings], report)
    form = surface_table([r.response for r in ratings]) if with_surface else np.empty((len(ratings), 0))
    center, scale = form.mean(0), form.std(0)
    scale[scale == 0] = np.inf
    form = (form - center) / scale
    weight = np.where(good, 0.5 / good.mean(), 0.5 / (1 - good.mean()))
    fold = np.array(folds([r.group for r in ratings], FOLDS, seed))
    ridges = SURFACE_RIDGES if with_surface else (1.0,)
    with threadpool_limits(1, "blas"):
        chosen = _choose(vectors, form, good, weight, fold, EMBEDDING_RIDGES, ridges, intercept=True)
        w = _Logistic(vectors, form, good, weight, intercept=True).fit(*chosen)
    split = vectors.shape[1]
    of_form = w[split:-1] / scale if with_surface else w[split:-1]
    return SbertReward(encoder, w[:split], of_form, float(w[-1] - of_form @ center), joined=True)


def join(prompt: str, response: str) -> str:
    """Prompt and answer as the one text that is embedded for ratings."""
    return f"{prompt}\n\n{response}"


def surface_table(texts: Sequence[str]) -> FloatArray:
    """Surface features, shape (n, features), each distinct text looked at once."""
    known = {text: surface.features(text) for text in dict.fromkeys(texts)}
    return np.stack([known[text] for text in texts])


class _Logistic:
    """Logistic regression on two blocks of columns, (n, d) and (n, k), with soft targets and weights, shape (n,)."""

    def __init__(
        self,
        left: Vectors,
        right: FloatArray,
        target: FloatArray,
        weight: FloatArray,
        intercept: bool = False,
    ) -> None:
        ones = np.ones((len(target), int(intercept)))
        self._x = np.hstack([left, right, ones]).astype(np.float32)
        self._sizes = left.shape[1], right.shape[1], int(intercept)
        self._target, self._weight = target.astype(float), weight
        self._gram = (self._x.T @ (self._x * weight[:, None].astype(np.float32))).astype(float)

    def fit(
        self,
        left_ridge: float,
        right_ridge: float,
        rows: Rows | None = None,
        start: FloatArray | None = None,
    ) -> FloatArray:
        """The weights that minimise the weighted log loss plus half of each ridge times its squared weights.

        L-BFGS in the coordinates in which the curvature at 0 is the identity, so that it needs few steps. ``rows``
        narrows the data, ``start`` is where the search begins.
        """
        x = self._x if rows is None else self._x[rows]
        target = self._target if rows is None else self._target[rows]
        weight = self._weight if rows is None else self._weight[rows]
        penalty = np.repeat([left_ridge, right_ridge, 1e-6], self._sizes)
        root = cholesky(self._gram / 4 + np.diag(penalty))

        def loss(c: FloatArray) -> tuple[float, FloatArray]:
            w = solve_triangular(root, c)
            z = (x @ w.astype(np.float32)).astype(float)
            value = weight @ (np.logaddexp(0.0, z) - target * z) + penalty @ w**2 / 2
            residual = (weight * (sigmoid(z) - target)).astype(np.float32)
            slope = (residual @ x).astype(float) + penalty * w
            return float(value), solve_triangular(root, slope, trans="T")

        begin = np.zeros(x.shape[1]) if start is None else root @ start
        options = {"maxiter": 200, "ftol": 1e-7, "gtol": 1e-3}
        with threadpool_limits(
            1, "blas"
        ):  # products this small are slowed by threads, a hundredfold on a busy machine
            found = scipy.optimize.minimize(loss, begin, jac=True, method="L-BFGS-B", options=options)
        return np.asarray(solve_triangular(root, found.x))

    def log_loss(self, w: FloatArray, rows: Rows) -> float:
        """The weighted mean log loss of some rows."""
        z = self._x[rows] @ w
        return float(np.average(np.logaddexp(0.0, z) - self._target[rows] * z, weights=self._weight[rows]))


def _choose(
    left: Vectors,
    right: FloatArray,
    target: FloatArray,
    weight: FloatArray,
    fold: FloatArray,
    left_ridges: Sequence[float],
    right_ridges: Sequence[float],
    intercept: bool = False,
) -> tuple[float, float]:
    """The two ridges, by log loss out of fold: the strongest that are no worse than the best beyond a standard error.

    That is the one-standard-error rule of Breiman et al. (1984, section 3.4.3), on the differences paired by fold.
    """
    ridges = list(product(sorted(left_ridges, reverse=True), sorted(right_ridges, reverse=True)))
    held = [fold == i for i in np.unique(fold)]
    if len(held) < 2 or len(ridges) == 1:
        return ridges[0]
    model = _Logistic(left, right, target, weight, intercept)
    lost = np.empty((len(ridges), len(held)))
    for i, pair in enumerate(ridges):
        whole = model.fit(*pair)
        lost[i] = [model.log_loss(model.fit(*pair, ~rows, whole), rows) for rows in held]
    worse = lost - lost[lost.mean(1).argmin()]
    error = worse.std(1, ddof=1) / np.sqrt(len(held))
    return ridges[int(np.flatnonzero(worse.mean(1) <= error)[0])]
