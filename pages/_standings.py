"""The strengths of the models, as they were judged and at equal style: a figure and a table."""

from typing import Any

import pandas as pd
import streamlit as st

from core.estimate import Estimate
from core.ranking import Ranking
from core.ranking_figures import strength_figure
from pages._strengths import whole

AS_JUDGED, EQUAL, BOTH = "As judged", "At equal style", "Side by side"
PLAIN: dict[str, Any] = {"config": {"displayModeBar": False}}


def strengths(judged: Ranking, equal: Ranking) -> None:
    """The strengths with their intervals, with and without control for style, as a figure and as a table."""
    shown = st.segmented_control("Control", [AS_JUDGED, EQUAL, BOTH], default=BOTH, required=True, key="ranking control",
                                 label_visibility="collapsed", persist_state="session")  # fmt: skip
    chosen = {AS_JUDGED: judged, EQUAL: equal}
    lines = chosen if shown == BOTH else {shown: chosen[shown]}
    drawn = {
        name: {one.model: one.strength for one in found.ranked}
        for name, found in lines.items()
        if found.ranked
    }
    for name, found in lines.items():
        if found.reason:
            st.warning(f"{name}: {found.reason}", icon=":material/data_usage:")
    if drawn:
        st.plotly_chart(
            strength_figure(drawn),
            key="ranking figure",
            alt="Strength of each model with its interval",
            **PLAIN,
        )
    first = equal if shown == EQUAL else judged
    other = {one.model: one.strength for one in (judged if shown == EQUAL else equal).standings}
    labels = [EQUAL, AS_JUDGED] if shown == EQUAL else [AS_JUDGED, EQUAL]
    rows = [
        {
            "Rank": "–" if one.best is None else f"{one.best}" if one.best == one.worst else f"{one.best}–{one.worst}",
            "Model": one.model,
            labels[0]: cell(one.strength),
            "Points": None if one.points.value is None else round(one.points.value),
            labels[1]: cell(other[one.model]),
            "Won": share(one.won),
            "n": one.won.n,
            "Remark": one.strength.reason,
        }
        for one in first.standings
    ]  # fmt: skip
    table = pd.DataFrame(rows).dropna(axis="columns", how="all")
    text = st.column_config.TextColumn
    st.dataframe(table, hide_index=True, height="content", placeholder="", column_config={
        "Rank": text(width=60, help="The ranks a model may have, for all models at once, in 95 of 100 cases. Ranks that overlap are not told apart."),
        "Model": text(pinned=True),
        AS_JUDGED: text(help="Strength: log odds against the average model, with its 95% interval."),
        EQUAL: text(help="The strength that is left when answers are alike in length, lists, headings and bold, and code."),
        "Points": st.column_config.NumberColumn(width=70, format="%d", help=f"{labels[0]}, on a scale like Elo's: 1,000 is the average model, 400 more are odds of ten to one."),
        "Won": text(help="The share of its comparisons that the model won, with its 95% interval; a tie is half."),
        "n": st.column_config.NumberColumn(width=70, format="localized", help="Comparisons."),
        "Remark": text(width="large"),
    })  # fmt: skip
    st.download_button("Ranking (CSV)", lambda: whole(judged, equal).to_csv(index=False).encode(), "ranking.csv", "text/csv",
                       on_click="ignore", icon=":material/download:")  # fmt: skip


def cell(e: Estimate) -> str:
    if e.value is None:
        return "–"
    span = "" if e.low is None else f" ({e.low:+.2f} to {e.high:+.2f})"
    return f"{e.value:+.2f}{span}".replace("-", "−")


def share(e: Estimate) -> str:
    if e.value is None:
        return "–"
    return f"{e.value:.0%}" + ("" if e.low is None else f" ({e.low:.0%} to {e.high:.0%})")
