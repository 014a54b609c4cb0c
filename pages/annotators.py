"""Annotators: how much each did, how fast, how far others bear them out, what they lean to, and whether they changed."""

from functools import partial

import pandas as pd
import streamlit as st

from core.annotators import Profiles
from core.bias import FDR
from core.bias_figures import leaning_figure
from pages._annotator import one
from pages._annotators import EXPLAINED, NAMES, profiles, shown, table
from pages._bias import judged
from pages._bias_words import listed
from pages._scope import KEPT, Scope, names_hidden, narrow
from pages._session import read, require

VIEWS = ["Ranking", "One annotator"]
ORDERS = {
    "reliability": "Least reliable",
    "agreement": "Least agreement",
    "gold": "Least right on gold",
    "quick": "Most in haste",
    "seconds": "Fastest",
    "left": "Leans left or right",
    "length": "Leans to length",
    "judged": "Most work",
}
SHOWN = 15


def main() -> None:
    require("researcher")
    head = st.container(horizontal=True, vertical_alignment="center")
    head.title("Annotators", anchor=False, width="stretch")
    hidden = names_hidden(head)
    view = st.segmented_control("View", VIEWS, default="Ranking", required=True, key="annotators view",
                                label_visibility="collapsed", **KEPT)  # fmt: skip
    scope = narrow("annotators", "Every judgement tells something of who gave it.")
    if scope is not None:
        with st.spinner("Computing…"):
            (ranking if view == "Ranking" else one)(scope, hidden)


def ranking(scope: Scope, hidden: bool) -> None:
    """Everybody, those to look at first on top."""
    found = read(profiles, scope.campaign_id, scope.category, scope.kinds)
    able = [name for name in ORDERS if name == "judged" or found.figures[name].n.any()]
    by = st.segmented_control("On top", able, default=able[0], required=True, format_func=ORDERS.__getitem__, key=f"annotators by {able}",
                              help="Ranked by the end of the interval that counts in their favour, so that few judgements put nobody on top.", **KEPT)  # fmt: skip
    asked = (scope.campaign_id, scope.category, scope.kinds, by, hidden)
    everybody, listing = read(table, *asked), read(shown, *asked)
    drawn = "reliability" if by == "judged" and "reliability" in able else by
    if drawn != "judged":
        chart(found, drawn, everybody.head(SHOWN))
    key = f"annotators table {asked}"
    st.dataframe(listing, hide_index=True, height=min(37 + 35 * len(listing), 460), on_select=partial(opens, key, scope, list(everybody.index)),
                 selection_mode=["single-row", "single-cell"], key=key,
                 column_config={
                     "Annotator": st.column_config.TextColumn(pinned=True), "Judged": st.column_config.NumberColumn(format="localized", width=70),
                     "Kind": st.column_config.TextColumn(width=85),
                     "Flags": st.column_config.TextColumn(width=130, help=f"Leans beyond chance, or changed over time: of those flagged, {FDR:.0%} are so by chance, on average."),
                     **{label: st.column_config.TextColumn(help=EXPLAINED[name]) for name, label in NAMES.items()},
                 })  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{len(listing):,} annotators, with 95% intervals of each alone. Click one to see their time line and disagreements."
        )
        st.download_button("CSV", lambda: everybody.to_csv(index=False).encode(), "annotators.csv", "text/csv", on_click="ignore",
                           icon=":material/download:")  # fmt: skip
    missing = [name for name in NAMES if not found.figures[name].n.any()]
    for reason in dict.fromkeys(found.figures[name].missing for name in missing):
        lacking = [NAMES[name] for name in missing if found.figures[name].missing == reason]
        st.caption(f":material/info: **{listed(lacking, 'and')}** cannot be computed. {reason}")


def chart(found: Profiles, name: str, top: pd.DataFrame) -> None:
    """One figure of the first annotators, each with its interval."""
    leaning = found.leanings.get(name)
    flagged = {who for row, who in top["annotator"].items() if leaning is not None and leaning.flagged[row]}
    rows = {who: found.figures[name][row] for row, who in top["annotator"].items()}
    drawn = leaning_figure(rows, leaning.null if leaning else None, NAMES[name], flagged)
    if name != "seconds":
        drawn.update_xaxes(range=[-0.02, 1.02])
    st.plotly_chart(drawn, key=f"annotators figure {name}", config={"displayModeBar": False})
    st.caption(EXPLAINED[name] + (" Dotted: what to expect; orange: beyond chance." if leaning else ""))


def opens(key: str, scope: Scope, rows: list[int]) -> None:
    """The annotator that was clicked becomes the one looked at."""
    chosen = st.session_state[key]["selection"]
    for place in [*chosen["rows"], *(row for row, _ in chosen["cells"])][:1]:
        st.session_state["annotator"] = judged(scope.campaign_id, scope.category, scope.kinds).annotators[
            rows[place]
        ]
        st.session_state["annotators view"] = "One annotator"


main()
