"""Simulated annotators, for demos, load tests and planning: what they say is drawn from a model.

The model. A pair has a true difference in quality ``gap`` in [-1, 1], positive when response a is better. On
it an annotator has the utility

    u = ability * gap + position_bias * s + length_bias * log(length_a / length_b)

with s = +1 when response a stands left, else -1. The choice follows Davidson (1970), "On extending the
Bradley-Terry model to accommodate ties in paired comparison experiments":

    P(a) : P(b) : P(tie)  =  exp(u / 2) : exp(-u / 2) : nu,      nu = 2 * tie_rate / (1 - tie_rate)

so that ``tie_rate`` is the share of ties on a pair with u = 0, and among the preferences logit P(a) = u
exactly: a logistic regression recovers ability and both biases. It is drawn by adding Gumbel noise to the
three log weights and taking the largest; the distance to the second largest is how sure the annotator feels:

    confidence 1 to 5   one more for each of 0.3, 0.8, 1.5, 2.5 that it passes
    strength   1 to 3   one more for each of 1.0 and 2.5; only with a preference

Where both responses are bad, the annotator sees it, and says so, with probability tanh(ability / 2), which is
2 * accuracy - 1. The time is log-normal around seconds * sqrt((length_a + length_b) / 1000), with sigma 0.4.

Each pair goes to ``per_item`` different annotators, every set of them equally likely (Floyd's algorithm;
Bentley and Floyd 1987, "Programming pearls: a sample of brilliance"); each response stands left every other
time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.ratings import FloatArray, IntArray
from core.records import CHOICES, Choice

CONFIDENCE_CUTS = (0.3, 0.8, 1.5, 2.5)
STRENGTH_CUTS = (1.0, 2.5)
SIGMA_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class SimulatedAnnotator:
    """One annotator of a panel; the module's docstring says how each number acts.

    ``ability``: logits by which the better response is preferred at gap 1; 0 guesses.
    ``position_bias``: logits in favour of the left response.
    ``length_bias``: logits in favour of the longer response for each factor e in length.
    ``tie_rate``: share of ties between equal responses, 0 <= tie_rate < 1.
    ``seconds``: median time for a pair whose responses have 1,000 characters together.
    Raises ValueError where the name is blank, or tie_rate or seconds is out of range.
    """

    name: str
    ability: float
    position_bias: float = 0.0
    length_bias: float = 0.0
    tie_rate: float = 0.1
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("a simulated annotator has no name; give each one its own")
        if not 0 <= self.tie_rate < 1:
            raise ValueError(
                f"tie_rate of {self.name!r} is {self.tie_rate}; it must be at least 0 and below 1"
            )
        if self.seconds <= 0:
            raise ValueError(f"seconds of {self.name!r} is {self.seconds}; it must be above 0")

    @property
    def accuracy(self) -> float:
        """The chance that a preference names the better response when the gap is 1 and no bias acts."""
        return 1 / (1 + math.exp(-self.ability))


def ability(accuracy: float) -> float:
    """The ``ability`` of an annotator with that ``accuracy``, above 0 and below 1."""
    return math.log(accuracy / (1 - accuracy))


def default_panel() -> list[SimulatedAnnotator]:
    """Six annotators of different character; every name says that it is simulated."""
    return [
        SimulatedAnnotator("Simulated 1 · careful", 6.0, tie_rate=0.2, seconds=45),
        SimulatedAnnotator("Simulated 2 · quick", 3.5, 0.2, 0.1, tie_rate=0.05, seconds=12),
        SimulatedAnnotator("Simulated 3 · favours the left", 4.0, 0.9, tie_rate=0.1, seconds=25),
        SimulatedAnnotator("Simulated 4 · favours long answers", 4.0, 0.0, 1.2, tie_rate=0.1, seconds=30),
        SimulatedAnnotator("Simulated 5 · often undecided", 4.5, tie_rate=0.6, seconds=35),
        SimulatedAnnotator("Simulated 6 · guesses", 0.5, 0.3, 0.3, tie_rate=0.1, seconds=6),
    ]


@dataclass(frozen=True, slots=True)
class SimulatedItem:
    """A pair as the simulation sees it; ``gap`` is None where the truth is unknown, and is then drawn."""

    pair_id: str
    length_a: int
    length_b: int
    gap: float | None = None
    both_bad: bool = False


@dataclass(frozen=True, slots=True)
class SimulatedJudgement:
    """What one simulated annotator said; ``choice`` and ``left`` name the pair's own response a or b."""

    pair_id: str
    annotator: str
    choice: Choice
    left: Literal["a", "b"]
    confidence: int
    strength: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class SimulatedColumns:
    """Judgements in long form, each column of shape (items * per_item,), the judgements of an item together.

    ``item``, ``annotator``: positions in the items and in the panel. ``choice``: positions in ``CHOICES``.
    ``left_a``: whether response a stood left. ``strength``: 0 where nothing is preferred. ``seconds``: time
    taken. ``gap``: shape (items,), the true gaps, with those that were drawn.
    """

    item: IntArray
    annotator: IntArray
    choice: IntArray
    left_a: npt.NDArray[np.bool_]
    confidence: IntArray
    strength: IntArray
    seconds: FloatArray
    gap: FloatArray


def simulate_columns(
    panel: Sequence[SimulatedAnnotator],
    gap: FloatArray,
    length_a: npt.ArrayLike,
    length_b: npt.ArrayLike,
    both_bad: npt.ArrayLike = False,
    *,
    seed: int,
    per_item: int,
) -> SimulatedColumns:
    """Let ``per_item`` annotators of the panel judge each item; the same seed gives the same judgements.

    ``gap``: shape (items,), in [-1, 1]; NaN where unknown, and then 2 * Beta(2, 2) - 1, drawn from the seed
    alone, so that another panel meets the same truth. ``length_a``, ``length_b``: characters, at least 1.
    ``both_bad``: boolean. The last three are of shape (items,) or broadcast to it. Raises ValueError where a
    number is out of range.
    """
    if not 1 <= per_item <= len(panel):
        raise ValueError(
            f"per_item is {per_item}, but the panel has {len(panel)} annotators and nobody judges a pair "
            f"twice; choose 1 to {len(panel)}"
        )
    characters = np.stack(
        [np.broadcast_to(np.asarray(x, dtype=np.float64), gap.shape) for x in (length_a, length_b)]
    )
    if (characters < 1).any():
        raise ValueError(f"item {int((characters < 1).any(axis=0).argmax())} has an empty response")
    if (np.abs(gap) > 1).any():
        raise ValueError(f"item {int((np.abs(gap) > 1).argmax())} has a gap outside -1 to 1")

    truth_rng, rng = np.random.default_rng(seed).spawn(2)
    gap = np.where(np.isnan(gap), 2 * truth_rng.beta(2, 2, gap.size) - 1, gap)
    who = _assign(rng, gap.size, len(panel), per_item)
    left_a = (rng.integers(0, 2, (gap.size, 1)) + np.arange(per_item)) % 2 == 0
    ability, position, length, tie_rate, pace = (
        np.array([getattr(annotator, name) for annotator in panel], dtype=np.float64)[who]
        for name in ("ability", "position_bias", "length_bias", "tie_rate", "seconds")
    )

    log_ratio = np.log(characters[0] / characters[1])
    u = ability * gap[:, None] + position * np.where(left_a, 1, -1) + length * log_ratio[:, None]
    with np.errstate(divide="ignore"):
        log_nu = np.log(2 * tie_rate / (1 - tie_rate))
    utility = np.stack([u / 2, -u / 2, log_nu], axis=-1) + rng.gumbel(size=(*u.shape, 3))
    choice = utility.argmax(axis=-1)
    seen = np.broadcast_to(np.asarray(both_bad, dtype=bool), gap.shape)[:, None] & (
        rng.random(u.shape) < np.tanh(ability / 2)
    )
    choice[seen] = CHOICES.index("both_bad")

    utility.sort(axis=-1)
    margin = utility[..., 2] - utility[..., 1]
    strength = np.where(choice < CHOICES.index("tie"), 1 + np.digitize(margin, STRENGTH_CUTS), 0)
    seconds = (
        pace * np.sqrt(characters.sum(axis=0) / 1000)[:, None] * rng.lognormal(0, SIGMA_SECONDS, u.shape)
    )
    return SimulatedColumns(
        item=np.repeat(np.arange(gap.size), per_item),
        annotator=who.ravel(),
        choice=choice.ravel(),
        left_a=left_a.ravel(),
        confidence=1 + np.digitize(margin, CONFIDENCE_CUTS).ravel(),
        strength=strength.ravel(),
        seconds=seconds.ravel(),
        gap=gap,
    )


def simulate(
    panel: Sequence[SimulatedAnnotator], items: Sequence[SimulatedItem], *, seed: int, per_item: int
) -> list[SimulatedJudgement]:
    """``simulate_columns`` as records; raises ValueError where a number is out of range or two annotators have one name."""
    names = [annotator.name for annotator in panel]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"{names.count(name)} simulated annotators are called {name!r}; give each its own name"
            )
    columns = simulate_columns(
        panel,
        np.array([np.nan if item.gap is None else item.gap for item in items], dtype=np.float64),
        [item.length_a for item in items],
        [item.length_b for item in items],
        [item.both_bad for item in items],
        seed=seed,
        per_item=per_item,
    )
    return [
        SimulatedJudgement(
            items[item].pair_id,
            panel[annotator].name,
            CHOICES[choice],
            "a" if left_a else "b",
            confidence,
            strength or None,
            seconds,
        )
        for item, annotator, choice, left_a, confidence, strength, seconds in zip(
            columns.item.tolist(),
            columns.annotator.tolist(),
            columns.choice.tolist(),
            columns.left_a.tolist(),
            columns.confidence.tolist(),
            columns.strength.tolist(),
            columns.seconds.tolist(),
            strict=True,
        )
    ]


def _assign(rng: np.random.Generator, items: int, annotators: int, per_item: int) -> IntArray:
    """Different annotators for each item, in random order: shape (items, per_item)."""
    chosen = np.empty((items, per_item), dtype=np.int64)
    for taken, top in enumerate(range(annotators - per_item, annotators)):
        drawn = rng.integers(0, top, items, endpoint=True)
        again = (chosen[:, :taken] == drawn[:, None]).any(axis=1)
        chosen[:, taken] = np.where(again, top, drawn)
    return rng.permuted(chosen, axis=1)
