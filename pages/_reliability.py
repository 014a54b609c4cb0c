"""The reliability diagram of the Calibration page, and the pairs of a bin of it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.calibration import Reliability, Report
from core.calibration_figures import reliability_figure
from core.estimate import Estimate
from core.ratings import IntArray
from pages._held_out import Calibrated, Ground, reported
from pages._predicted_pairs import pairs_table
from pages._session import read

ORIENTED = (
    "Every pair is told from the answer that the model scores higher, whichever of the two that is, so probabilities start at "
    "0.5; the votes have no say in that."
)
NULL = (
    "Grey bars and p-values take every pair for an independent yes or no. Split votes make them lenient, several pairs of one "
    "prompt make them strict; the intervals, drawn over prompts, are not affected."
)
PLAIN: dict[str, Any] = {"config": {"displayModeBar": False}}


def diagram(ground: Ground, found: Calibrated, lines: list[str]) -> None:
    """The reliability diagram of some calibrators, and the pairs of a bin."""
    reports = {name: read(reported, ground, name) for name in lines}
    diagrams = {name: one.reliability for name, (one, _) in reports.items() if one.reliability is not None}
    bins = bins_of(diagrams)
    key = f"calibration diagram {ground} {lines}"
    left, right = st.columns([3, 2], gap="medium")
    drawn = reliability_figure(diagrams, 0.5)
    drawn.layout.annotations, drawn.layout.height = (), 440
    left.plotly_chart(
        drawn, key=key, on_select=lambda: pick(key, bins), selection_mode="points", **PLAIN,
        alt="Reliability diagram: by bin, the share of votes that agree with the model against the probability it gave",
    )  # fmt: skip
    with right:
        tiles(lines[-1], len(found.pairs), diagrams[lines[-1]], *reports[lines[-1]])
        st.caption(ORIENTED)
        st.caption(NULL)
    one = st.selectbox("Pairs of a bin", bins, index=None, format_func=bins.__getitem__, key=f"{key} bin",
                       placeholder="Click a point above, or choose a bin here", width=460)  # fmt: skip
    if one is not None:
        listed(found, one[0], diagrams[one[0]].rows[one[1]], f"{key} {one}")


def bins_of(diagrams: Mapping[str, Reliability]) -> dict[tuple[str, int], str]:
    """Every bin, by the diagram's name and its position there, and what to call it; the last diagram's first."""
    bins = {}
    for name, found in reversed(diagrams.items()):
        for position, (low, high, observed) in enumerate(
            zip(found.low, found.high, found.observed, strict=True)
        ):
            of = f" · {name}" if len(diagrams) > 1 else ""
            bins[name, position] = f"{low:.2f} to {high:.2f} · {counted(observed.n)}{of}"
    return bins


def pick(key: str, bins: Mapping[tuple[str, int], str]) -> None:
    """The bin that was clicked becomes the one in the select box."""
    for point in st.session_state[key].selection.points:
        clicked = tuple(point.get("customdata", ())[:2])
        if clicked in bins:
            st.session_state[f"{key} bin"] = clicked


def tiles(name: str, n: int, drawn: Reliability, report: Report, accuracy: Estimate) -> None:
    """The figures that matter most, of the calibrator drawn last."""
    st.markdown(f"**{name}** · {counted(n)}")
    one, two = st.columns(2)
    tile(
        one,
        "ECE",
        report.figures["ece"],
        " Over 10 bins of equal width from 0.5 to 1, so not quite the figure of the training.",
    )
    p = drawn.null.p_value
    two.metric("ECE if calibrated", f"{drawn.null.mean:.3f}", f"95% below {drawn.null.p95:.3f}", border=True,
               delta_color="off", delta_arrow="off",
               help="What chance alone gives a perfectly calibrated model that says these probabilities of this many pairs.")  # fmt: skip
    tile(one, "Log loss", report.figures["log_loss"])
    tile(
        two,
        "Accuracy",
        accuracy,
        " A pair on which people were evenly split has no right answer and is left out.",
    )
    if p > 0.05:
        st.markdown(f":green-badge[:material/check: {p_text(p)}] Nothing here speaks against calibration.")
    else:
        st.markdown(
            f":red-badge[:material/close: {p_text(p)}] Not calibrated: chance alone rarely gives an ECE this large."
        )


def tile(column: DeltaGenerator, label: str, estimate: Estimate, help: str = "") -> None:
    value = "–" if estimate.value is None else f"{estimate.value:.3f}"
    column.metric(label, value, span(estimate), border=True, delta_color="off", delta_arrow="off",
                  help=estimate.reason or f"With its 95% interval over prompts, on {counted(estimate.n)}.{help}")  # fmt: skip


def listed(found: Calibrated, name: str, rows: IntArray, key: str) -> None:
    """The pairs of a bin, those the model is most wrong on first."""
    pairs, predictions = found.pairs.take(rows), found.predictions(name).take(rows)
    order = np.argsort(-np.abs(predictions.p - predictions.y), kind="stable")
    table = pd.DataFrame(
        {
            "pair_id": pairs.pair_id,
            "category": pairs.category,
            "side": np.where(pairs.turned, "B", "A"),
            "predicted": predictions.p,
            "votes": predictions.y,
        }
    ).iloc[order]
    number = partial(st.column_config.NumberColumn, format="%.2f", width="small")
    pairs_table(table, key, category=st.column_config.TextColumn("Category", width="small"),
                side=st.column_config.TextColumn("Model prefers", width="small"),
                predicted=number("Predicted", help="The probability that people prefer that answer."),
                votes=number("Votes", help="The share of votes for that answer; a tie counts half."))  # fmt: skip


def counted(pairs: int) -> str:
    return f"{pairs:,} pair{'s' * (pairs != 1)}"


def p_text(p: float | None) -> str:
    if p is None:
        return "–"
    return "p < 0.01" if p < 0.01 else f"p = {p:.2f}"


def span(estimate: Estimate) -> str:
    return "no interval" if estimate.low is None else f"{estimate.low:.3f} to {estimate.high:.3f}"
