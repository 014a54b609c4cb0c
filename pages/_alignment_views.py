"""What the Alignment page shows: the figures of a view along time or other parts, and the pairs behind a point."""

import numpy as np
import pandas as pd
import streamlit as st

from core.alignment import SURE
from core.alignment_figures import alignment_figure
from core.estimate import Estimate
from core.held_out import FEW, Unit
from pages._alignment import Along, Parted, figures
from pages._predicted import pairs_list
from pages._reliability import PLAIN, counted, span
from pages._session import read

LABELS = {
    "accuracy": "Accuracy",
    "votes": "Votes for its answer",
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
    "Accuracy": ("accuracy", "votes", "confidence"),
    "Agreement": ("with_people", "among_people", "ceiling"),
    "Errors": ("wrong_though_sure", "against_all", "against_most", "sure_of_a_tie"),
}
EXPLAINED = {
    "Accuracy": "Accuracy is how often the model prefers what most people do. The confidence it gives its answer should be the share of votes "
    "for that answer, where a tie is half a vote: above that line it is too sure of itself, below it too modest.",
    "Agreement": "How often a vote for an answer agrees with the model, with another person’s vote, and with the majority, on pairs with two "
    "such votes or more. Two people are the yardstick; the majority, told after the votes, is the most that any model could reach.",
    "Errors": f"Each kind among the pairs on which it can happen: wrong among those the model was {SURE:.0%} sure of; against people where all of "
    "them, or only most, are of one mind; sure where they are evenly split.",
}
RIGHT = ("accuracy", "votes", "with_people")
"""Of these the lowest pairs are the worst, of the others the highest."""
Scope = tuple[str, str | None, str | None]
"""The model, the campaign and the category."""


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
    changed(VIEWS[view][0], found)
    st.caption(notes(view, along, found))
    table(view, along, read(figures, *scope), found)
    one = st.selectbox("Pairs of a point", points, index=None, placeholder="Click a point above, or choose one here", key=f"{key} point", width=460)  # fmt: skip
    if one is not None:
        name, part = points[one]
        listed(found, name, part, f"{key} {one}")


def pick(key: str) -> None:
    """The point that was clicked becomes the one in the select box."""
    for point in st.session_state[key].selection.points:
        line, part = point["customdata"][:2]
        st.session_state[f"{key} point"] = f"{line} · {part}"


def changed(name: str, found: Parted) -> None:
    """Whether a figure is another in the last window than before."""
    if (moved := found.change.get(name)) is None:
        return
    since, label = list(found.parts)[-1], LABELS[name]
    if moved.value is None or moved.low is None or moved.high is None:
        st.markdown(f":gray-badge[:material/trending_flat: {label} since {since}] {moved.reason}")
        return
    span = f"{100 * moved.value:+.1f} points ({100 * moved.low:+.1f} to {100 * moved.high:+.1f})".replace(
        "-", "−"
    )
    colour, icon, said = (
        ("red", "trending_down", "lower than before") if moved.high < 0
        else ("green", "trending_up", "higher than before") if moved.low > 0
        else ("gray", "trending_flat", "not clearly different from before")
    )  # fmt: skip
    st.markdown(f":{colour}-badge[:material/{icon}: {label} since {since}: {said}] {span}. This is one look; whoever looks often "
                "should go by the alerts of the Drift page.")  # fmt: skip


def notes(view: str, along: Along, found: Parted) -> str:
    """What the figures mean, and what was left out."""
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
    return " ".join(told)


def table(view: str, along: Along, whole: dict[str, Estimate], found: Parted) -> None:
    """The figures of the view as a table, over all pairs on top; all figures as CSV."""
    shown = [
        {along.capitalize(): part, "Pairs": of["confidence"].n, **{LABELS[name]: cell(of[name]) for name in VIEWS[view]}}
        for part, of in {"all": whole, **found.figures}.items()
    ]  # fmt: skip
    st.dataframe(pd.DataFrame(shown), hide_index=True, height=min(37 + 35 * len(shown), 250), placeholder="",
                 column_config={"Pairs": st.column_config.NumberColumn(format="localized", width="small")})  # fmt: skip
    rows = [
        {along: part, "figure": name, "value": e.value, "low": e.low, "high": e.high, "n": e.n, "reason": e.reason}
        for part, of in {"all": whole, **found.figures}.items() for name, e in of.items()
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
