"""Who beats whom, and what style adds: the views of the Model ranking page besides the strengths."""

import math
from typing import Any

import pandas as pd
import streamlit as st

from core.estimate import Estimate
from core.evolution_figures import difference_figure
from core.ranking import Ranking
from core.ranking_figures import SHOWN, head_to_head_figure
from pages._report import plain
from pages._session import read
from pages._strengths import Scope, against

PLAIN: dict[str, Any] = {"config": {"displayModeBar": False}}
FEATURES = {
    "characters (log)": "Length",
    "list items (log)": "List items",
    "headings and bold (log)": "Headings and bold",
    "code (log)": "Code",
}


def head_to_head(scope: Scope, judged: Ranking, equal: Ranking) -> None:
    """The share of their comparisons that each model won against each other, and two of them in full."""
    models, observed = read(against, scope)
    expected = {
        (one.model, other.model): judged.chance(i, j).value or 0.0
        for i, one in enumerate(judged.ranked)
        for j, other in enumerate(judged.ranked)
    }
    figure = head_to_head_figure(observed, expected, models)
    st.plotly_chart(figure, width=min(260 + 90 * len(models), 1100), key="ranking matrix", **PLAIN)
    most = f" The {SHOWN} with the most comparisons." if len(judged.standings) > SHOWN else ""
    st.caption(
        f"The share of their comparisons that the model of the row won, and how many there are; a tie is half.{most}"
    )
    left, right = st.columns(2)
    first = left.selectbox("Model", models, 0, key="ranking first")
    others = [model for model in models if model != first]
    second = right.selectbox("Against", others, 0, key=f"ranking second {first}")
    direct = observed.get((first, second), Estimate.unavailable("They were never compared with each other."))
    tiles = st.columns(3)
    tile(tiles[0], "Won of their comparisons", direct, f"{direct.n:,} comparisons")
    tile(tiles[1], "By their strengths", chance(judged, first, second), "uses all comparisons")
    tile(tiles[2], "At equal style", chance(equal, first, second), "length and Markdown alike")
    rows = [
        {"model": one, "against": other, "won": e.value, "low": e.low, "high": e.high, "n": e.n}
        for (one, other), e in observed.items()
    ]
    st.download_button("Head to head (CSV)", lambda: pd.DataFrame(rows).to_csv(index=False).encode(), "head-to-head.csv", "text/csv",
                       on_click="ignore", icon=":material/download:")  # fmt: skip


def chance(found: Ranking, first: str, second: str) -> Estimate:
    """The probability that an answer of the first is preferred to one of the second."""
    places = {one.model: i for i, one in enumerate(found.ranked)}
    if first in places and second in places:
        return found.chance(places[first], places[second])
    without = {one.model: one.strength.reason for one in found.standings}
    missing = first if first not in places else second
    return Estimate.unavailable(f"{plain(missing)} has no strength. {without[missing]}")


def tile(column: Any, label: str, e: Estimate, note: str) -> None:
    if e.value is None:
        column.metric(label, "–", note, border=True, delta_color="off", delta_arrow="off", help=e.reason)
        return
    span = "no interval" if e.low is None else f"{e.low:.0%} to {e.high:.0%}"
    column.metric(
        label,
        f"{e.value:.0%}",
        f"{span} · {note}",
        border=True,
        delta_color="off",
        delta_arrow="off",
        help=e.reason,
    )


def style_effects(found: Ranking) -> None:
    """What length and Markdown add to an answer's odds, whoever wrote it."""
    if not found.style:
        st.info(found.reason or "Nothing is known of style.", icon=":material/data_usage:")
        return
    known = {FEATURES[name]: e for name, e in found.style.items() if e.value is not None}
    st.plotly_chart(difference_figure(known).update_xaxes(title="Log odds that a typical difference adds"), key="ranking style",
                    alt="What each feature of style adds, with its interval", **PLAIN)  # fmt: skip
    rows = [
        {
            "Of style": FEATURES[name],
            "Odds": e.reason if e.value is None else f"× {math.exp(e.value):.2f}",
            "95% interval": "" if e.low is None else f"{math.exp(e.low):.2f} to {math.exp(e.high or 0):.2f}",
            "Log odds": e.value,
            "n": e.n,
        }
        for name, e in found.style.items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content", placeholder="", column_config={
        "Odds": st.column_config.TextColumn(help="What one typical difference (root mean square) multiplies the odds of being preferred by."),
        "Log odds": st.column_config.NumberColumn(format="%.3f"),
        "n": st.column_config.NumberColumn(format="localized", help="Comparisons."),
    })  # fmt: skip
    st.caption(
        "Fitted together with the strengths: what an answer gains by a typical difference in this, between answers of equally strong models. "
        "People may like length for good reasons; the control says what is left of a model without it, not what is right."
    )
