"""Agreement: how far the annotators agree, where they do not, and what they say together."""

from typing import Any

import pandas as pd
import streamlit as st

from core.estimate import Estimate
from core.figures import AGREEMENT_NAMES, agreement_figure
from core.report import told
from pages._agreement import by_category, matrix, report
from pages._scope import narrow
from pages._session import read, require
from pages._settling import consensus, disagreed

VIEWS = ["Figures", "By category", "Between annotators", "Disagreements", "Consensus"]
MOST_CATEGORIES = 30
SHORT = {
    "cohen_kappa": "Cohen’s κ",
    "confidence_weighted_agreement": "Weighted",
    "krippendorff_alpha_ordinal": "α, ordinal",
}
EXPLAINED = {
    "raw_agreement": "How often two annotators of the same pair choose alike; chance alone already gives some of it.",
    "cohen_kappa": "Agreement beyond chance of every two annotators who share 10 pairs or more, averaged by pairs shared.",
    "fleiss_kappa": "Agreement beyond chance, were every annotator to draw from the shares of choices that all have in common.",
    "krippendorff_alpha": "One minus observed over expected disagreement; copes with any number of annotators a pair.",
    "krippendorff_alpha_ordinal": "Alpha on the strength of preference, where a near miss counts as less than an opposite.",
    "gwet_ac1": "Agreement beyond chance that does not collapse when nearly everybody makes one choice.",
    "confidence_weighted_agreement": "Raw agreement in which annotations given with more confidence weigh more.",
    "self_consistency": "How often an annotator who is shown a pair again judges it the same way.",
}


def main() -> None:
    require("researcher")
    st.title("Agreement", anchor=False)
    view = st.segmented_control("View", VIEWS, default="Figures", required=True, key="agreement view",
                                label_visibility="collapsed", persist_state="session")  # fmt: skip
    scope = narrow(
        "agreement",
        "Agreement needs two annotators on the same pairs.",
        category=view != "By category",
        ties=True,
    )
    if scope is None:
        return
    draw: dict[str, Any] = {"Figures": figures, "By category": categories, "Between annotators": annotators,
                            "Disagreements": disagreed, "Consensus": consensus}  # fmt: skip
    with st.spinner("Computing…"):
        draw[view](*scope)


def figures(*scope: Any) -> None:
    found = read(report, *scope)
    if any(estimate.value is not None for estimate in found.values()):
        figure = agreement_figure(found).update_traces(textposition="top right", selector={"mode": "text"})
        st.plotly_chart(figure, config={"displayModeBar": False}, key="agreement figure")
    widths = [3, 1, 1.5, 1, 1, 2]
    for column, title in zip(
        st.columns(widths), ["Figure", "Value", "95% interval", "n", "Target", ""], strict=True
    ):
        column.caption(title)
    for name, estimate in found.items():
        label, value, interval, n, target, state = st.columns(widths, vertical_alignment="center")
        label.markdown(AGREEMENT_NAMES[name], help=EXPLAINED[name])
        if estimate.value is None:
            value.markdown("–")
            interval.empty()
        else:
            value.markdown(f"**{estimate.value:.3f}**")
            interval.markdown(
                interval_of(estimate), help=None if estimate.low is not None else estimate.reason
            )
        n.markdown(f"{estimate.n:,}")
        target.markdown(f"{estimate.target:.2f}")
        state.markdown(reached(estimate))
    st.caption(
        "n counts pairs judged by two annotators or more; for self-consistency, repeats. Intervals say how a figure would move with other pairs."
    )


def interval_of(estimate: Estimate) -> str:
    return (
        "none"
        if estimate.low is None or estimate.high is None
        else f"{estimate.low:.3f} to {estimate.high:.3f}"
    )


def reached(estimate: Estimate) -> str:
    """Whether the target is met, and whether the interval leaves that open; why there is no value."""
    if estimate.value is None:
        return f":small[{estimate.reason}]"
    target, low, high = estimate.target or 0.0, estimate.low, estimate.high
    if estimate.value >= target:
        return ":green-badge[met]" if low is not None and low >= target else ":green-badge[met, not for sure]"
    return (
        ":red-badge[not met]"
        if high is not None and high < target
        else ":orange-badge[not met, not for sure]"
    )


def categories(here: str | None, _: None, ties: str, kinds: tuple[str, ...]) -> None:
    found = read(by_category, here, ties, kinds, MOST_CATEGORIES)
    rows = []
    for name, figures_of in found.items():
        cells = {key: told(estimate, "{:.2f}") for key, estimate in figures_of.items()}
        rows.append({"Category": name, "Pairs": figures_of["raw_agreement"].n, **cells})
    st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder="", column_config={
        "Category": st.column_config.TextColumn(pinned=True),
        "Pairs": st.column_config.NumberColumn(help="Judged by two annotators or more.", format="localized"),
        **{key: st.column_config.TextColumn(SHORT.get(key, AGREEMENT_NAMES[key]), help=EXPLAINED[key]) for key in EXPLAINED},
    })  # fmt: skip
    st.caption(
        "Value (95% interval); – where it cannot be computed: choose that category under Figures to read why."
    )


def annotators(*scope: Any) -> None:
    figure, n = read(matrix, *scope)
    st.plotly_chart(
        figure, width=figure.layout.height + 130, config={"displayModeBar": False}, key="kappa matrix"
    )
    most = f"the {min(30, n)} with the most work, of {n:,}" if n > 30 else f"all {n:,}"
    st.caption(f"Cohen’s κ of every two annotators: {most}. Empty where two share fewer than 10 pairs.")


main()
