"""The views of the Calibration page besides its diagram."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.calibration import NAMES, Report
from core.calibration_figures import (
    category_figure,
    confidence_figure,
    risk_figure,
    time_figure,
)
from core.estimate import Estimate
from core.held_out import FEW
from pages._held_out import UNCALIBRATED, Calibrated, in_categories, in_windows, reported, risk
from pages._reliability import ORIENTED, PLAIN, counted, p_text, span
from pages._session import read

EXPLAINED = {
    "ece": "How far off predictions are, over 10 bins of equal width.",
    "ece_equal_mass": "The same over bins of equally many pairs.",
    "ece_debiased": "The same, less what chance alone makes of it.",
    "smooth_ece": "The same without bins, smoothed by a kernel as wide as the value.",
    "mce": "How far predictions are off in the worst bin.",
    "brier": "The mean squared error; reliability − resolution + uncertainty.",
    "reliability": "What miscalibration adds to the Brier score.",
    "resolution": "What telling pairs apart takes off it.",
    "uncertainty": "What it would be if every pair got the mean.",
    "log_loss": "The mean surprise at the votes; 0.693 for saying 0.5 to all.",
    "spiegelhalter_z": "0 on average if calibrated, beyond ±1.96 in 5 of 100.",
    "kolmogorov_smirnov": "The furthest that running sums of both drift apart.",
}
LIMIT = "95% limit"
TESTED = "How often a calibrated model would be at least as far off."
OVER = {"ece": "ECE", "log_loss": "Log loss", "brier": "Brier score", "smooth_ece": "Smooth ECE"}


def figures(model_id: str, which: str, found: Calibrated) -> None:
    """Every figure before and after calibration, and what each calibrator would give."""
    reports = {name: read(reported, model_id, which, name) for name in found.lines}
    shown = [name for name in (UNCALIBRATED, found.kept) if name in found.lines]
    rows = []
    for key, label in NAMES.items():
        cells = {name: cell(reports[name][0].figures[key]) for name in shown}
        rows.append(
            {"Figure": label, **cells, "n": reports[found.kept][0].figures[key].n, "Meaning": EXPLAINED[key]}
        )
    for label, field in (
        ("p of Spiegelhalter’s Z", "spiegelhalter_p"),
        ("p of Kolmogorov-Smirnov", "kolmogorov_smirnov_p"),
    ):
        cells = {name: p_text(getattr(reports[name][0], field)) for name in shown}
        rows.append({"Figure": label, **cells, "n": len(found.pairs), "Meaning": TESTED})
    table = pd.DataFrame(rows)
    wide = st.column_config.TextColumn(width=190)
    st.dataframe(table, hide_index=True, height="content", column_config={
        "Figure": st.column_config.TextColumn(width=170), **dict.fromkeys(shown, wide),
        "n": st.column_config.NumberColumn(format="localized", width=55, help="Pairs."),
        "Meaning": st.column_config.TextColumn(width="large"),
    })  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Value (95% interval over prompts). " + ORIENTED)
        st.download_button("CSV", lambda: table.to_csv(index=False).encode(), "calibration.csv", "text/csv", on_click="ignore",
                           icon=":material/download:")  # fmt: skip
    st.subheader("Calibrators", anchor=False)
    compared = [
        {"Calibrator": name, **{label: cell(reports[name][0].figures[key]) for key, label in OVER.items()}}
        for name in found.lines
    ]
    compared += [{"Calibrator": name, OVER["ece"]: reason} for name, reason in found.refused.items()]
    st.dataframe(pd.DataFrame(compared), hide_index=True, height="content", placeholder="", column_config={
        "Calibrator": st.column_config.TextColumn(width=170), **dict.fromkeys(OVER.values(), wide)})  # fmt: skip
    st.caption(
        "All on the same held-out pairs. The ones not kept are fitted here to the calibration split, every pair counting once."
    )


def confidence(model_id: str, which: str, found: Calibrated) -> None:
    """How sure the predictions are, and what is gained by deciding only the surest."""
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**How sure the model is**")
        st.plotly_chart(
            confidence_figure(found.predictions(found.kept)), key="calibration confidence", **PLAIN
        )
        st.caption(
            "If the mean confidence is to the right of the votes that agree, the model is too sure of itself."
        )
    with right:
        st.markdown("**What it costs to decide less sure pairs**")
        st.plotly_chart(risk_figure({found.kept: read(risk, model_id, which, found.kept)}).update_layout(showlegend=False),
                        key="calibration risk", **PLAIN)  # fmt: skip
        st.caption("The share of wrong decisions if the model decides only the surest pairs, with its 95% band; a split vote "
                   "is wrong in part.")  # fmt: skip


def categories(model_id: str, which: str, found: Calibrated) -> None:
    """One figure in each category."""
    reports, left_out = read(in_categories, model_id, which)
    over("category", reports, left_out)


def times(model_id: str, which: str, found: Calibrated) -> None:
    """One figure in each window of time."""
    reports, left_out = read(in_windows, model_id, which)
    over("window", reports, left_out)


def over(what: str, reports: Mapping[str, Report], left_out: int) -> None:
    """A figure for each part of the pairs, beside what it would be if calibrated."""
    if not reports:
        st.info(f"No {what} has {FEW} held-out pairs with votes yet.", icon=":material/data_usage:")
        return
    figure = st.segmented_control("Figure", list(OVER), default="ece", required=True, format_func=OVER.__getitem__,
                                  key="calibration figure", label_visibility="collapsed", persist_state="session")  # fmt: skip
    estimates = {name: one.figures[figure] for name, one in reports.items()}
    limits = {name: one.reliability.null.p95 for name, one in reports.items() if one.reliability}
    beside = limits if figure == "ece" else None
    if what == "category":
        drawn = category_figure(estimates, beside).update_xaxes(title=OVER[figure])
    else:
        drawn = time_figure(
            list(estimates), list(estimates.values()), OVER[figure], beside and list(beside.values())
        )
    st.plotly_chart(drawn, key=f"calibration over {what}", **PLAIN)
    when = (
        ""
        if what == "category"
        else " A pair belongs to the window of its latest annotation, by its first day."
    )
    few = f" {counted(left_out)} in small parts, of fewer than {FEW}, are left out." if left_out else ""
    alone = any(estimate.low is None for estimate in estimates.values())
    without = f" A {what} whose pairs are all of one prompt has none." if alone else ""
    st.caption(
        f"With 95% intervals over prompts.{without}{when}{few} Small parts have a larger ECE by chance alone: go by the grey mark."
    )
    table = [
        {what.capitalize(): name, "Pairs": one.figures["ece"].n, "ECE": cell(one.figures["ece"]),
         LIMIT: f"{limits[name]:.3f}" if name in limits else "", **{OVER[key]: cell(one.figures[key]) for key in OVER}}
        for name, one in reports.items()
    ]  # fmt: skip
    st.dataframe(pd.DataFrame(table), hide_index=True, placeholder="", column_config={
        "Pairs": st.column_config.NumberColumn(format="localized", width=55),
        LIMIT: st.column_config.TextColumn(width=80, help="If calibrated, the ECE stays below this in 95 of 100 cases."),
    })  # fmt: skip


def cell(estimate: Estimate) -> str:
    """A value with its interval, or why there is none."""
    if estimate.value is None:
        return estimate.reason or "–"
    return (f"{estimate.value:.3f}" + ("" if estimate.low is None else f" ({span(estimate)})")).replace(
        "-", "−"
    )
