"""The views of the Calibration page besides its diagram."""

from collections.abc import Callable

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
from pages._held_out import Calibrated, Ground, in_categories, in_windows, reported, risk
from pages._reliability import ORIENTED, PLAIN, counted, p_text, span
from pages._session import read
from storage.store import Store

Parts = Callable[[Store, Ground, str], tuple[dict[str, Report], int]]
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


def figures(ground: Ground, found: Calibrated, lines: list[str]) -> None:
    """Every figure of the chosen calibrators, and what each calibrator would give."""
    reports = {name: read(reported, ground, name)[0] for name in found.lines}
    rows = []
    for key, label in NAMES.items():
        cells = {name: cell(reports[name].figures[key]) for name in lines}
        rows.append(
            {"Figure": label, **cells, "n": reports[found.kept].figures[key].n, "Meaning": EXPLAINED[key]}
        )
    for label, field in (
        ("p of Spiegelhalter’s Z", "spiegelhalter_p"),
        ("p of Kolmogorov-Smirnov", "kolmogorov_smirnov_p"),
    ):
        cells = {name: p_text(getattr(reports[name], field)) for name in lines}
        rows.append({"Figure": label, **cells, "n": len(found.pairs), "Meaning": TESTED})
    table = pd.DataFrame(rows)
    wide = st.column_config.TextColumn(width=190)
    st.dataframe(table, hide_index=True, height="content", column_config={
        "Figure": st.column_config.TextColumn(width=170), **dict.fromkeys(lines, wide),
        "n": st.column_config.NumberColumn(format="localized", width=55, help="Pairs."),
        "Meaning": st.column_config.TextColumn(width="large"),
    })  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Value (95% interval over prompts). " + ORIENTED)
        st.download_button("CSV", lambda: table.to_csv(index=False).encode(), "calibration.csv", "text/csv", on_click="ignore",
                           icon=":material/download:")  # fmt: skip
    st.subheader("Calibrators", anchor=False)
    compared = [
        {"Calibrator": name, **{label: cell(one.figures[key]) for key, label in OVER.items()}}
        for name, one in reports.items()
    ]
    compared += [{"Calibrator": name, OVER["ece"]: reason} for name, reason in found.refused.items()]
    st.dataframe(pd.DataFrame(compared), hide_index=True, height="content", placeholder="", column_config={
        "Calibrator": st.column_config.TextColumn(width=170), **dict.fromkeys(OVER.values(), wide)})  # fmt: skip
    st.caption(
        "All on the same held-out pairs. The ones not kept are fitted here to the calibration split, every pair counting once."
    )


def confidence(ground: Ground, found: Calibrated, lines: list[str]) -> None:
    """How sure the predictions are, and what is gained by deciding only the surest."""
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**How sure the model is**")
        drawn = confidence_figure({name: found.predictions(name) for name in lines})
        st.plotly_chart(drawn, key="calibration confidence", **PLAIN)
        st.caption(
            "If the mean confidence is to the right of the votes that agree, the model is too sure of itself."
        )
    with right:
        st.markdown("**What it costs to decide less sure pairs**")
        drawn = risk_figure({name: read(risk, ground, name) for name in lines})
        st.plotly_chart(drawn.update_layout(showlegend=len(lines) > 1), key="calibration risk", **PLAIN)
        alike = " A calibrator that keeps the order of pairs, as a temperature does, leaves the line where it was." * (len(lines) > 1)  # fmt: skip
        st.caption("The share of wrong decisions if the model decides only the surest pairs, with its 95% band; a split vote "
                   f"is wrong in part.{alike}")  # fmt: skip


def categories(ground: Ground, found: Calibrated, lines: list[str]) -> None:
    """One figure in each category."""
    over("category", in_categories, ground, lines)


def times(ground: Ground, found: Calibrated, lines: list[str]) -> None:
    """One figure in each window of time."""
    over("window", in_windows, ground, lines)


def over(what: str, parts: Parts, ground: Ground, lines: list[str]) -> None:
    """A figure of each calibrator for each part of the pairs, beside what it would be if calibrated."""
    found = {name: read(parts, ground, name) for name in lines}
    reports = {name: one for name, (one, _) in found.items()}
    left_out = found[lines[0]][1]
    if not reports[lines[0]]:
        st.info(f"No {what} has {FEW} held-out pairs with votes yet.", icon=":material/data_usage:")
        return
    figure = st.segmented_control("Figure", list(OVER), default="ece", required=True, format_func=OVER.__getitem__,
                                  key="calibration figure", label_visibility="collapsed", persist_state="session")  # fmt: skip
    estimates = {
        name: {part: one.figures[figure] for part, one in of.items()} for name, of in reports.items()
    }
    limits = {
        name: {part: one.reliability.null.p95 for part, one in of.items() if one.reliability}
        for name, of in reports.items()
    }
    beside = limits if figure == "ece" else None
    if what == "category":
        drawn = category_figure(estimates, beside).update_xaxes(title=OVER[figure])
    else:
        drawn = time_figure(estimates, OVER[figure], beside)
    st.plotly_chart(drawn, key=f"calibration over {what}", **PLAIN)
    when = (
        ""
        if what == "category"
        else " A pair belongs to the window of its latest annotation, by its first day."
    )
    few = f" {counted(left_out)} in small parts, of fewer than {FEW}, are left out." if left_out else ""
    alone = any(estimate.low is None for estimate in estimates[lines[0]].values())
    without = f" A {what} whose pairs are all of one prompt has none." if alone else ""
    st.caption(
        f"With 95% intervals over prompts.{without}{when}{few} Small parts have a larger ECE by chance alone: go by the grey mark."
    )
    rows = [(part, name, reports[name][part].figures) for part in reports[lines[0]] for name in lines]
    table = [
        {what.capitalize(): part, "Calibrator": name, "Pairs": told["ece"].n, "ECE": cell(told["ece"]),
         LIMIT: f"{limits[name][part]:.3f}" if part in limits[name] else "", **{OVER[key]: cell(told[key]) for key in OVER}}
        for part, name, told in rows
    ]  # fmt: skip
    st.dataframe(pd.DataFrame(table), hide_index=True, placeholder="", column_config={
        "Pairs": st.column_config.NumberColumn(format="localized", width=55),
        LIMIT: st.column_config.TextColumn(width=70, help="If calibrated, the ECE stays below this in 95 of 100 cases."),
        "Calibrator": st.column_config.TextColumn(width=130),
        **dict.fromkeys(OVER.values(), st.column_config.TextColumn(width=155)),
    })  # fmt: skip


def cell(estimate: Estimate) -> str:
    """A value with its interval, or why there is none."""
    if estimate.value is None:
        return estimate.reason or "–"
    return (f"{estimate.value:.3f}" + ("" if estimate.low is None else f" ({span(estimate)})")).replace(
        "-", "−"
    )
