"""What the report of an evaluation says: how good a model is on what it had not seen, and how far its probabilities can be believed."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from core.bootstrap import DRAWS
from core.calibration import Predictions, Reliability, risk_coverage
from core.calibration import Report as Calibration
from core.calibration import report as calibrated
from core.comparing import accuracy, compare
from core.estimate import Estimate
from core.held_out import FEW, MOST, Names
from core.ratings import FloatArray
from core.report import (
    PERCENT,
    SIGNED,
    Facts,
    Figure,
    Listed,
    Report,
    Section,
    Table,
    cells,
    counted,
    sentence,
    told,
    versions,
)
from core.report_figures import reliability, rows_of_intervals

ALPHA = 0.05
ROUGH = 30
"""Prompts below which intervals over them are rough."""
COVERED = (0.25, 0.5, 0.75, 0.9, 1.0)
MEASURES = {
    "log_loss": "Log loss",
    "brier": "Brier score",
    "ece": "Expected calibration error (ECE)",
    "smooth_ece": "Smooth ECE",
}


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What a model said of pairs, or of single answers, that it had not seen; every array has shape (n,), n > 0.

    ``p``: the probability that a is preferred, or that the answer is good; ``uncalibrated``: before the calibrator. ``y``: what people
    said. ``longer``: of pairs the length of a less that of b, None where it is not known. ``pairs``: False for single answers.
    ``bins``: those of [0, 1] for the calibration error.
    """

    p: FloatArray
    uncalibrated: FloatArray
    y: FloatArray
    group: Names
    category: Names
    longer: FloatArray | None
    bins: int
    pairs: bool = True

    @property
    def as_said(self) -> Predictions:
        return Predictions.of(self.p, self.y, None, self.group)

    def toward(self, p: FloatArray) -> Predictions:
        """Probabilities, and votes, of the answer that the model scores higher (``core.held_out`` says why); those of single answers as they are."""
        turned = self.pairs & (self.uncalibrated < 0.5)
        return Predictions.of(
            np.where(turned, 1 - p, p), np.where(turned, 1 - self.y, self.y), None, self.group
        )


def evaluation_report(
    model: str, found: Evaluated, about: Facts, lineage: Facts, settings: Facts, made_at: datetime
) -> Report:
    """A report of ``model`` on what it had not seen. ``about``: when, by whom, of what; ``lineage``: what the model comes from;
    ``settings``: what is needed to train and to evaluate it again."""
    after, before = (calibrated(found.toward(p), found.bins) for p in (found.p, found.uncalibrated))
    right = accuracy(found.as_said)
    assert after.reliability is not None
    sections = [
        _quality(found, right, after, before),
        _reliable(found, after, after.reliability),
        _sure(found),
        *_categories(found),
        Section("What the model comes from", [Listed(lineage)]),
        _method(found),
        Section(
            "To do it again",
            [Listed([*settings, *versions("scikit-learn", "scipy", "numpy", "torch", "transformers")])],
        ),
    ]
    what = counted(len(found.p), "pair" if found.pairs else "answer")
    size = f"{what} of {counted(len(set(found.group.tolist())), 'prompt')} that it had not seen"
    return Report(
        f"Evaluation of {model}", size, about, _summary(model, found, right, after), sections, made_at
    )


def _summary(model: str, found: Evaluated, right: Estimate, after: Calibration) -> list[str]:
    where = "on the side that people prefer" if found.pairs else "right on whether an answer is good"
    said = f"{model} is {where} in {told(right, PERCENT)} of cases it had not seen (n = {right.n:,})."
    if right.value is None:
        said = right.reason or ""
    elif found.longer is not None:
        longer, gain = _longer(found, found.longer)
        said += f" Preferring the longer answer is so in {told(longer, PERCENT)}; the difference is {told(_points(gain), '{:+.1f}')} points{_verdict(gain)}."
    assert after.reliability is not None
    null, tests = after.reliability.null, (after.spiegelhalter_p, after.kolmogorov_smirnov_p)
    off = [p <= ALPHA for p in (null.p_value, *tests) if p is not None]
    believed = (
        "Its probabilities are off" if all(off) else "There is no evidence that its probabilities are off"
    )
    if any(off) and not all(off):
        believed = "Tests disagree on whether its probabilities are off"
    toward = found.toward(found.p)
    loss, ece = after.figures["log_loss"], after.figures["ece"]
    calibration = (
        f"{believed}: the calibration error (ECE) is {told(ece)}, where a calibrated model would have {null.mean:.3f} on average and stay "
        f"below {null.p95:.3f} in 95 of 100 cases ({sentence(null.p_value)}); without bins, Spiegelhalter’s Z has {sentence(tests[0])} and "
        f"Kolmogorov-Smirnov {sentence(tests[1])}. On average it says {toward.p.mean():.3f} where {toward.y.mean():.3f} {'of votes agree' if found.pairs else 'are good'}. "
        f"Its log loss is {told(loss)}; saying one half to everything has 0.693."
    )
    few = []
    if toward.n_groups < ROUGH:
        few.append(
            f"All this rests on {counted(toward.n_groups, 'prompt')}, so the intervals, which are over prompts, are rough."
        )
    return [said, calibration, *few]


def _verdict(gain: Estimate) -> str:
    if gain.low is None or gain.high is None:
        return ""
    if gain.low <= 0 <= gain.high:
        return ", which is no evidence of a difference"
    return f", so the model does {'better' if gain.low > 0 else 'worse'}"


def _longer(found: Evaluated, longer: FloatArray) -> tuple[Estimate, Estimate]:
    """The accuracy of preferring the longer answer, and how much more the model has, paired."""
    baseline = found.as_said.with_p(0.5 + np.sign(longer) / 4)
    return accuracy(baseline), compare(baseline, found.as_said).accuracy


def _points(share: Estimate) -> Estimate:
    value, low, high = (None if one is None else 100 * one for one in (share.value, share.low, share.high))
    return Estimate(value, low, high, share.n, reason=share.reason)


def _quality(found: Evaluated, right: Estimate, after: Calibration, before: Calibration) -> Section:
    rows = [["Accuracy", *cells(right)]]
    if found.longer is not None:
        longer, gain = _longer(found, found.longer)
        rows += [
            ["Accuracy of preferring the longer answer", *cells(longer)],
            ["Accuracy, model less longer answer", *cells(gain, SIGNED)],
        ]
    for key, name in MEASURES.items():
        rows.append([name, *cells(after.figures[key])])
        if not np.allclose(found.p, found.uncalibrated):
            rows.append([f"{name}, before calibration", *cells(before.figures[key])])
    tied = len(found.p) - right.n
    caption = "How good the model is on what it had not seen."
    if tied:
        caption += f" {counted(tied, 'pair')} on which people were split evenly {'has' if tied == 1 else 'have'} no preferred answer and {'is' if tied == 1 else 'are'} not in the accuracy."
    return Section("Quality", [Table(caption, ["Figure", "Value", "95% interval", "n"], rows)])


def _reliable(found: Evaluated, after: Calibration, diagram: Reliability) -> Section:
    drawn = reliability(diagram, 0.5 if found.pairs else 0.0, "Reliability diagram", found.pairs)
    turned = (
        "Every pair is told from the answer that the model scores higher, so probabilities start at 0.5; the votes have no say in that. "
        if found.pairs
        else ""
    )
    observed = "votes that agree" if found.pairs else "answers that are good"
    caption = (
        f"Reliability diagram: the share of {observed} in each bin of predicted probability, with 95% intervals; on the dotted line "
        f"predictions are what they say. {turned}Grey: where the points would lie 95% of the time if the model were calibrated. Below: how many are in each bin."
    )
    rows = [
        [f"{low:.2f} to {high:.2f}", f"{predicted:.3f}", *cells(one)]
        for low, high, predicted, one in zip(
            diagram.low, diagram.high, diagram.predicted, diagram.observed, strict=True
        )
    ]
    tests = f"Tests that the model is calibrated: ECE {sentence(diagram.null.p_value)}; Spiegelhalter’s Z {sentence(after.spiegelhalter_p)}; Kolmogorov-Smirnov {sentence(after.kolmogorov_smirnov_p)}."
    table = Table(
        f"The bins of the diagram. {tests}", ["Bin", "Predicted", "Observed", "95% interval", "n"], rows
    )
    return Section("Calibration", [Figure(caption, drawn), table])


def _sure(found: Evaluated) -> Section:
    """The error rate of the surest predictions."""
    curve = risk_coverage(found.as_said)
    at = [
        min(int(np.searchsorted(curve.coverage, share - 1e-9)), len(curve.coverage) - 1) for share in COVERED
    ]
    rows = [
        [f"{curve.coverage[i]:.0%}", f"{curve.confidence[i]:.3f}", *cells(curve.risk[i], PERCENT)]
        for i in dict.fromkeys(at)
    ]
    caption = "The share of wrong decisions if the model decides only where it is surest; a split vote is wrong in part."
    header = ["Decided", "Confidence from", "Error rate", "95% interval", "n"]
    return Section("What it costs to decide less sure cases", [Table(caption, header, rows)])


def _categories(found: Evaluated) -> list[Section]:
    names, code, sizes = np.unique(found.category.astype(str), return_inverse=True, return_counts=True)
    large = [int(i) for i in np.argsort(-sizes, kind="stable")[:MOST] if sizes[i] >= FEW]
    if len(names) < 2 or not large:
        return []
    called, right, rows = [str(names[i]) or "(no category)" for i in large], [], []
    for i, name in zip(large, called, strict=True):
        some = code == i
        right.append(accuracy(found.as_said.take(some)))
        figures = calibrated(found.toward(found.p).take(some), found.bins).figures
        rows.append([name, f"{sizes[i]:,}", told(right[-1]), told(figures["log_loss"]), told(figures["ece"])])
    others = int(sizes.sum() - sizes[large].sum())
    left_out = f" {counted(others, 'case')} of smaller or further categories left out." if others else ""
    caption = f"By category, the largest first, with 95% intervals; one of a single prompt has none. Small categories have a larger ECE by chance alone.{left_out}"
    drawn = rows_of_intervals(called, {"Accuracy": right}, "Accuracy by category")
    table = Table(caption, ["Category", "n", "Accuracy", "Log loss", "ECE"], rows)
    return [
        Section(
            "By category",
            [
                Figure("Accuracy by category, with 95% intervals where there are several prompts.", drawn),
                table,
            ],
        )
    ]


def _method(found: Evaluated) -> Section:
    side = (
        "Accuracy asks whether the model is on the side that people prefer; a prediction of exactly one half is half right. Log loss and Brier "
        "score take the share of votes as it is, so an even split counts there."
        if found.pairs
        else "An answer is good from a set rating on; accuracy asks whether the model says so."
    )
    return Section(
        "Method",
        [
            f"{side} Intervals are 95% and drawn over prompts, as cases of one prompt are alike: {DRAWS:,} bootstrap draws (seed 0); of accuracy "
            "and differences the expanded percentile interval (Hesterberg 2015), which is wider where prompts are few.",
            f"ECE: the mean distance of predicted and observed shares over bins of equal width, {found.bins} to the whole of 0 to 1 (Naeini et al. "
            "2015). Its interval reaches down to 0 unless calibration is rejected at 5%. Smooth ECE: Blasiok & Nakkiran 2023. Bands: Bröcker & "
            "Smith 2007. Tests: Spiegelhalter 1986; Arrieta-Ibarra et al. 2022. They take cases for independent draws, so split votes make them "
            "lenient and several cases of one prompt strict.",
        ],
    )
