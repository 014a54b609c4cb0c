"""A measure over time as a figure, and the annotations behind a point of it."""

import numpy as np
import pandas as pd
import streamlit as st

from core.timeline import Measure, Split, Timeline
from core.timeline_figures import MOST, OTHERS, counts_figure, moment, shares_figure
from pages._history import listing, pages
from pages._scope import Scope
from pages._session import read
from pages._timeline import judgements
from storage import history

NAMES: dict[Measure, str] = {"count": "Annotations", "longer": "Prefer longer", "left": "Prefer left", "wins": "Wins",
                             "undecided": "Undecided"}  # fmt: skip
EXPLAINED: dict[Measure, str] = {
    "count": "Annotations that stand, without skips; the last window may not be over.",
    "longer": "The share that prefers the longer answer, where one is longer and one is preferred.",
    "left": "The share that prefers the answer on the left, where that is known; a half is no bias.",
    "wins": "The share of its comparisons with other models that a model won; a tie is half, “both bad” is left out.",
    "undecided": "The share of ties and “both bad”.",
}


def chosen(found: Timeline, split: Split) -> list[int]:
    """The groups to draw: those of most annotations, unless somebody chose others."""
    everything = list(range(len(found.names)))
    if split == "all" or len(found.names) == 1:
        return everything
    sizes = np.bincount(found.group)
    picked: list[int] = st.multiselect(
        f"Which, of {len(found.names):,}", everything, everything[:MOST], max_selections=MOST, key=f"timeline lines {split} {len(found.names)}",
        format_func=lambda i: f"{found.names[i]} ({sizes[i]:,})", placeholder="Choose what to draw",
    )  # fmt: skip
    return picked


def drawn(scope: Scope, found: Timeline, lines: list[int], measure: Measure) -> None:
    """The figure, its download, and the annotations behind a point."""
    names, counts = [found.names[i] for i in lines], found.counts()
    told = found.shares(lines)
    if measure == "count":
        others = counts.sum(0) - counts[lines].sum(0)
        more = (
            ([*names, OTHERS], np.vstack([counts[lines], others])) if others.any() else (names, counts[lines])
        )
        figure = counts_figure(found.starts, *more)
    else:
        figure = shares_figure(found.starts, names, told, NAMES[measure], even=measure != "undecided")
    points = {
        (
            i,
            at,
        ): f"{moment(start)} · {f'{names[i]} · ' if len(names) > 1 else ''}{counts[line, at]:,} annotations"
        for i, line in enumerate(lines)
        for at, start in enumerate(found.starts)
        if counts[line, at]
    }
    key = f"timeline figure {scope} {measure} {lines} {len(found.starts)}"
    st.plotly_chart(figure, key=key, on_select=lambda: pick(key, points), selection_mode="points", config={"displayModeBar": False},
                    alt=f"{NAMES[measure]} over time")  # fmt: skip
    over = "" if measure == "count" else " With 95% intervals over prompts; a window of one prompt has none."
    st.caption(f"{EXPLAINED[measure]}{over} Windows are named by their beginning, UTC.")
    table = pd.DataFrame(
        {"window": moment(start), "group": names[i], "n": int(counts[line, at])}
        | ({} if measure == "count" else {"share": told[i][at].value, "low": told[i][at].low, "high": told[i][at].high})
        for i, line in enumerate(lines) for at, start in enumerate(found.starts)
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        point = st.selectbox("Annotations behind a point", points, index=None, format_func=points.__getitem__, key=f"{key} point",
                             placeholder="Click a point above, or choose one here", width=460)  # fmt: skip
        st.download_button("Figures (CSV)", lambda: table.to_csv(index=False).encode(), f"timeline-{measure}.csv", "text/csv",
                           on_click="ignore", icon=":material/download:")  # fmt: skip
    if point is not None:
        rows = found.behind(lines[point[0]], point[1])[::-1]
        ids = read(judgements, scope)["id"]
        first, last = pages(len(rows), f"{key} {point}")
        listing(history.of, tuple(ids.take(rows[first:last]).to_pylist()), key=f"{key} {point} {first}")


def pick(key: str, points: dict[tuple[int, int], str]) -> None:
    """The point that was clicked becomes the one in the select box."""
    for point in st.session_state[key].selection.points:
        clicked = tuple(point.get("customdata", ())[:2])
        if clicked in points:
            st.session_state[f"{key} point"] = clicked
