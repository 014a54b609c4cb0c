"""Alignment: how far the vote predictor and people go together on pairs it had not seen, over time."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.alignment import SURE
from core.alignment_figures import alignment_figure
from core.estimate import Estimate
from core.held_out import UNITS, Unit
from pages._alignment import Along, Parted, aligned, figures, parted
from pages._held_out import FEW, held_out
from pages._predicted import called, choose, pairs_list
from pages._reliability import PLAIN, counted, span, tile
from pages._report import plain
from pages._session import allowed, campaign, read, require
from storage import annotations
from storage.models import Model

LABELS = {
    "accuracy": "Accuracy",
    "confidence": "Mean confidence",
    "with_people": "Model and a person",
    "among_people": "Two people",
    "ceiling": "Majority and a person",
    "wrong_though_sure": f"Wrong though {SURE:.0%} sure",
    "against_all": "Against all people",
    "against_most": "Against most people",
    "sure_of_a_tie": f"{SURE:.0%} sure where people tie",
}
VIEWS = {
    "Accuracy": ("accuracy", "confidence"),
    "Agreement": ("with_people", "among_people", "ceiling"),
    "Errors": ("wrong_though_sure", "against_all", "against_most", "sure_of_a_tie"),
}
EXPLAINED = {
    "Accuracy": "Accuracy is how often the model prefers what most people do; its mean confidence on the same pairs should be the same, "
    "and is above it where the model is too sure. Pairs on which people tie have no right answer and are left out.",
    "Agreement": "How often a vote for an answer agrees with the model, with another person’s vote, and with the majority, on pairs with two "
    "such votes or more. Two people are the yardstick; the majority, told after the votes, is the most that any model could reach.",
    "Errors": f"Each kind among the pairs on which it can happen: wrong among those the model was {SURE:.0%} sure of; against people where all of "
    "them, or only most, are of one mind; sure where they are evenly split.",
}
RIGHT = ("accuracy", "with_people")
"""The figures of which less is worse; their pairs are listed from the lowest."""
KEPT: dict[str, Any] = {"persist_state": "session"}
Scope = tuple[str, str | None, str | None]


def main() -> None:
    who = require("researcher")
    st.title("Alignment", anchor=False)
    head = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with head:
        model = choose("alignment model", who)
        if model is None:
            return
        everywhere = st.toggle("All campaigns", key="alignment everywhere", **KEPT)
        here = None if everywhere else campaign().id
        category = st.selectbox("Category", read(annotations.categories, here), index=None, placeholder="All", width=220,
                                key="alignment category", **KEPT)  # fmt: skip
    scope = model.id, here, category
    with st.spinner("Computing…"):
        n = len(read(aligned, *scope))
    if not n:
        nothing(model, here, allowed(who, "predict"))
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        view = st.segmented_control(
            "View", list(VIEWS), default="Accuracy", required=True, key="alignment view", **KEPT
        )
        along: Along = st.segmented_control("Along", ["time", "category", "version"], default="time", required=True,
                                            format_func=str.capitalize, key="alignment along", **KEPT)  # fmt: skip
        width = st.segmented_control("Window", [None, *UNITS[1:]], default=None, key="alignment window",
                                     format_func=lambda w: (w or "Automatic").capitalize(), **KEPT) if along == "time" else None  # fmt: skip
    with st.spinner("Computing…"):
        tiles(read(figures, *scope))
        show(view, along, width, scope, read(parted, *scope, along, width))


def tiles(found: dict[str, Estimate]) -> None:
    """The figures that matter most, over all pairs."""
    tile_of = partial(tile, help=" Over all pairs that the model had not seen.")
    for column, name in zip(
        st.columns(4), ("accuracy", "confidence", "with_people", "among_people"), strict=True
    ):
        tile_of(column, LABELS[name], found[name])


def show(view: str, along: Along, width: Unit | None, scope: Scope, found: Parted) -> None:
    """The chosen figures of every part, the table behind them, and the pairs of one point."""
    if not found.parts:
        st.info(f"No {'window' if along == 'time' else along} has {FEW} pairs with votes that the model had not seen. "
                "Take a wider window, or annotate more and probe the model on it.", icon=":material/data_usage:")  # fmt: skip
        return
    names, lines = list(found.parts), VIEWS[view]
    if along == "time" and len(names) == 1:
        st.info(f"All of it is in one window, from {names[0]} on, so nothing can be said of change yet. Take a narrower window, or come "
                "back when more was annotated.", icon=":material/timeline:")  # fmt: skip
    key = f"alignment chart {view} {along} {width} {scope}"
    drawn = {LABELS[name]: [found.figures[part][name] for part in names] for name in lines}
    points = {
        f"{label} · {part}": (name, part) for name, label in LABELS.items() if name in lines for part in names
    }
    st.plotly_chart(alignment_figure(names, drawn, along == "time"), key=key, on_select=lambda: pick(key), selection_mode="points",
                    alt=f"{view} of the model on pairs it had not seen, by {along}, with intervals", **PLAIN)  # fmt: skip
    st.caption(notes(view, along, found))
    table(view, along, found)
    one = st.selectbox("Pairs of a point", points, index=None, placeholder="Click a point above, or choose one here", key=f"{key} point", width=460)  # fmt: skip
    if one is not None:
        name, part = points[one]
        listed(found, name, part, f"{key} {one}")


def pick(key: str) -> None:
    """The point that was clicked becomes the one in the select box."""
    for point in st.session_state[key].selection.points:
        line, part = point["customdata"][:2]
        st.session_state[f"{key} point"] = f"{line} · {part}"


def notes(view: str, along: Along, found: Parted) -> str:
    """What the figures mean, what was left out, and what changed."""
    told = [EXPLAINED[view], "With 95% intervals over prompts."]
    if along == "time":
        told.append("A pair belongs to the window of its latest annotation, by its first day (UTC).")
    if along == "version":
        told.append(
            "Each version on the pairs that it had not seen, which differ: Models, Compare holds two against each other on the same ones."
        )
    if found.left_out:
        told.append(
            f"{counted(found.left_out)} in small parts, of fewer than {FEW}, or of unknown time, are left out."
        )
    if (moved := found.change.get(VIEWS[view][0])) is not None:
        last = list(found.parts)[-1]
        if moved.value is None or moved.low is None or moved.high is None:
            told.append(f"**Since {last}:** {moved.reason}")
        else:
            said = "lower" if moved.high < 0 else "higher" if moved.low > 0 else "not clearly different"
            change = f"{100 * moved.value:+.1f} points ({100 * moved.low:+.1f} to {100 * moved.high:+.1f})".replace(
                "-", "−"
            )
            told.append(
                f"**Since {last} {LABELS[VIEWS[view][0]].lower()} is {said} than before:** {change}, as one look; Drift keeps watch with a set false-alarm rate."
            )
    return " ".join(told)


def table(view: str, along: Along, found: Parted) -> None:
    """The figures of the view as a table, all of them as CSV."""
    shown = [
        {along.capitalize(): part, "Pairs": len(found.parts[part]), **{LABELS[name]: cell(of[name]) for name in VIEWS[view]}}
        for part, of in found.figures.items()
    ]  # fmt: skip
    st.dataframe(pd.DataFrame(shown), hide_index=True, height=min(37 + 35 * len(shown), 250), placeholder="",
                 column_config={"Pairs": st.column_config.NumberColumn(format="localized", width="small")})  # fmt: skip
    rows = [
        {along: part, "pairs": len(found.parts[part]), "figure": name, "value": e.value, "low": e.low, "high": e.high, "n": e.n, "reason": e.reason}
        for part, of in found.figures.items() for name, e in of.items()
    ]  # fmt: skip
    st.download_button("All figures (CSV)", lambda: pd.DataFrame(rows).to_csv(index=False).encode(), "alignment.csv", "text/csv",
                       icon=":material/download:", on_click="ignore")  # fmt: skip


def cell(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    return f"{estimate.value:.3f}" + ("" if estimate.low is None else f" ({span(estimate)})")


def listed(found: Parted, name: str, part: str, key: str) -> None:
    """The pairs that a point is made of, the worst first."""
    values = found.parts[part].values()[name]
    rows = np.flatnonzero(~np.isnan(values))
    if not len(rows):
        st.caption(found.figures[part][name].reason)
        return
    order = np.argsort(values[rows] if name in RIGHT else -values[rows], kind="stable")
    pairs_list(found.parts[part].pairs.take(rows[order]), key)


def nothing(model: Model, here: str | None, may_probe: bool) -> None:
    """Why there is nothing to see, and what to do about it."""
    elsewhere = len(read(held_out, model.id))
    if elsewhere:
        st.info(f"None of the {counted(elsewhere)} with votes that {plain(called(model))} had not seen is in this campaign and category. "
                "Widen them, or probe the model on pairs of this campaign.", icon=":material/filter_alt_off:")  # fmt: skip
    else:
        st.info(f"{plain(called(model))} has predicted no pair that it had not seen and that has votes. Probe it on pairs it has not learnt from.",
                icon=":material/query_stats:")  # fmt: skip
    if may_probe:
        st.page_link("predict.py", label="Probe it", icon=":material/arrow_forward:")


main()
