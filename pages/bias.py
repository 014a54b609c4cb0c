"""Bias: what the judgements owe to the side, the length and the layout of an answer, and to haste; overall and by annotator."""

from typing import Any

import pandas as pd
import streamlit as st

from core.bias import FDR, POSITION, SURE, TRAITS
from core.bias_figures import leaning_figure, speed_figure
from core.clustered import FEW
from pages._annotators import called
from pages._bias import as_table, judged, leaning, report
from pages._bias_words import (
    MORE,
    SETTLED,
    about_haste,
    about_length,
    about_position,
    about_style,
    cell,
    lower,
    shares_of,
)
from pages._scope import Scope, names_hidden, narrow
from pages._session import read, require

SHOWN = 25
PLAIN: dict[str, Any] = {"config": {"displayModeBar": False}}
HOW = (
    f"Clear pairs are those that Dawid-Skene is {SURE:.0%} sure of, ties left out. Intervals hold for other prompts and other "
    f"annotators; with fewer than {FEW} annotators for other prompts only."
)


def main() -> None:
    require("researcher")
    st.title("Bias", anchor=False)
    view = st.segmented_control("View", list(VIEWS), default="Labels", required=True, key="bias view",
                                label_visibility="collapsed", persist_state="session")  # fmt: skip
    scope = narrow("bias", "Bias is told from judgements that prefer an answer.")
    if scope is not None:
        with st.spinner("Computing…"):
            VIEWS[view](scope)


def labels(scope: Scope) -> None:
    """What all annotators together reward."""
    found = read(report, scope.campaign_id, scope.category, scope.kinds)
    texts = (about_position(found), about_length(found), about_style(found), about_haste(found))
    for column, some in zip(st.columns(2), (texts[::2], texts[1::2]), strict=True):
        for text in some:
            column.container(border=True).markdown(text)
    rows, units = shares_of(found)
    if any(estimate.value is not None for estimate in rows.values()):
        known = {name: e for name, e in rows.items() if e.value is not None}
        drawn = leaning_figure(known, 0.5, "How often it is preferred", (), [units[name] for name in known])
        st.plotly_chart(drawn.update_xaxes(range=[-0.02, 1.02]), key="bias figure", **PLAIN)
    table = as_table(found)
    shown = pd.DataFrame(
        [
            {"": MORE[name], "Preferred": cell(effect.share), "n": effect.share.n,
             "Odds, the rest equal": cell(effect.odds, 2),
             **{SETTLED[by].capitalize(): cell(won[name]) if name in won else "" for by, won in found.pairs.items()}}
            for name, effect in found.effects.items()
        ]
    )  # fmt: skip
    st.dataframe(shown, hide_index=True, column_config={
        "": st.column_config.TextColumn(pinned=True, width=150),
        "Preferred": st.column_config.TextColumn(help="Of the judgements that prefer one of two answers that differ in it."),
        "n": st.column_config.NumberColumn(format="localized", help="Judgements."),
        "Odds, the rest equal": st.column_config.TextColumn(
            help="What doubling it multiplies the odds of being preferred by, the other traits held fixed; for the left, the odds "
            "that it is preferred to an equal answer."),
    })  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(HOW)
        st.download_button("CSV", lambda: table.to_csv(index=False).encode(), "bias.csv", "text/csv", on_click="ignore",
                           icon=":material/download:")  # fmt: skip


def annotators(scope: Scope) -> None:
    """Who leans to what."""
    row = st.container(horizontal=True, vertical_alignment="center")
    trait = row.segmented_control("Trait", TRAITS, default=POSITION, required=True, format_func=MORE.__getitem__, key="bias trait",
                                  label_visibility="collapsed", persist_state="session", width="stretch")  # fmt: skip
    hidden = names_hidden(row)
    judgements = judged(scope.campaign_id, scope.category, scope.kinds)
    found = read(leaning, scope.campaign_id, scope.category, scope.kinds, trait)
    known = found.share.n.astype(bool)
    if not known.any():
        st.info(f"This cannot be computed for anybody. {found.share.missing}", icon=":material/query_stats:")
        return
    flagged = found.flagged
    lean = (
        "lean to the left or away from it"
        if trait == POSITION
        else f"prefer {lower(MORE[trait])} more or less often than all together, who do in {found.null:.3f}"
    )
    st.markdown(
        f"**{int(flagged.sum()):,}** of {int(known.sum()):,} annotators {lean}, beyond chance.",
        help=f"Exact binomial tests, adjusted for their number by Benjamini and Hochberg: of those flagged, {FDR:.0%} are so by chance, on average.",
    )
    beyond = (found.share.low - found.null).clip(0) + (found.null - found.share.high).clip(0)
    frame = pd.DataFrame({
        "annotator": called(judgements, hidden), "share": found.share.value, "low": found.share.low,
        "high": found.share.high, "n": found.share.n, "q": found.q, "flagged": flagged, "beyond": beyond,
    })[known].sort_values(["flagged", "beyond", "n"], ascending=False, kind="stable")  # fmt: skip
    top = frame.head(SHOWN)
    drawn = leaning_figure(
        {name: found.share[row] for row, name in top["annotator"].items()},
        found.null,
        f"How often they prefer {lower(MORE[trait])}",
        set(top["annotator"][top["flagged"]]),
    )
    st.plotly_chart(drawn.update_xaxes(range=[-0.02, 1.02]), key=f"bias by annotator {trait}", **PLAIN)
    more = f"The first {SHOWN} of {len(frame):,}, " if len(frame) > SHOWN else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{more}those furthest from the dotted line for sure first; flagged ones in orange.".capitalize()
        )
        st.download_button("CSV", lambda: frame.drop(columns="beyond").to_csv(index=False).encode(), f"bias_{trait}.csv".replace(" ", "_"),
                           "text/csv", on_click="ignore", icon=":material/download:")  # fmt: skip
        st.page_link("annotators.py", label="Annotators", icon=":material/arrow_forward:")


def haste(scope: Scope) -> None:
    """Agreement by speed."""
    found = read(report, scope.campaign_id, scope.category, scope.kinds)
    st.markdown(about_haste(found))
    if not found.speed.parts:
        st.info(
            f"Agreement by speed cannot be shown. {found.speed.careful.reason}", icon=":material/timer_off:"
        )
        return
    st.plotly_chart(speed_figure(found.speed.parts), key="bias speed", **PLAIN)
    st.caption(
        "Agreement with each of the others of a pair, in parts of equally many judgements. Quick judgements may be of easy pairs, "
        "so a difference within one annotator says more than one between annotators."
    )


VIEWS: dict[str, Any] = {"Labels": labels, "By annotator": annotators, "Haste": haste}

main()
