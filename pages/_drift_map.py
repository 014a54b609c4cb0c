"""The map of a drift run: what is chosen on it, by lasso, by a click or from the ranked clusters, leads to pairs."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.drift_figures import BAD, EARLIER, FAINT, LATER, inside, map_figure
from core.report import p_value
from core.two_samples import BoolArray
from pages._drift import MANY, Cluster, Mapped, clusters, mapped
from pages._predicted_pairs import LISTED, pairs_table
from pages._session import read
from storage.tables import DriftRow
from storage.workbench import workbench

CHOSEN = "drift chosen"
HEIGHT = 540
CUT = 300
"""Characters of an answer in the list of pairs."""
COLOUR = {
    "What changed": "Clusters whose share grew or shrank, by adjusted p-values.",
    "Window": "In which of the two windows each text is.",
    "Errors": "Where the model was wrong.",
}


def map_view(run: DriftRow) -> None:
    """The map beside the clusters, the best evidence first; below, the pairs of what is chosen."""
    found, listed = read(mapped, run.id), clusters(run)
    names = [window["name"] for window in run.figures["windows"]]
    left, right = st.columns([4, 3], gap="medium")
    with left:
        by = [name for name in COLOUR if name != "Errors" or not np.isnan(found.error).all()]
        colour = st.segmented_control("Colour", by, default=by[0], required=True, key="drift colour", persist_state="session",
                                      label_visibility="collapsed", help="; ".join(COLOUR[name] for name in by))  # fmt: skip
        marks = [mark(found, one) for one in listed[:MANY]]
        key = f"drift map {run.id} {colour}"
        figure = map_figure(
            found.point, groups(found, listed, colour, names, run.figures["alpha"]), marks, HEIGHT
        )
        st.plotly_chart(
            figure, key=key, on_select=lambda: pick(key, run.id), selection_mode=("points", "box", "lasso"),
            config={"displaylogo": False, "scrollZoom": True}, alt="Map of the texts in both windows, similar ones close together",
        )  # fmt: skip
    with right:
        table(run, listed)
    if chosen := selected(run.id, found):
        name, rows = chosen
        pairs(run, name, rows, found, names)
    else:
        st.caption("Draw around texts on the map, click one, or choose a cluster: its pairs are listed here.")


def mark(found: Mapped, one: Cluster) -> dict[str, Any]:
    """The name of a cluster, above the most of it."""
    point = found.point[found.cluster == one.cluster]
    return {
        "x": float(np.median(point[:, 0])),
        "y": float(np.quantile(point[:, 1], 0.97)),
        "cluster": one.cluster,
        "name": one.name.partition(" · ")[2],
    }


def groups(
    found: Mapped, listed: list[Cluster], colour: str, names: list[str], alpha: float
) -> dict[str, tuple[BoolArray, str]]:
    """The rows of each colour, by what it means; what is drawn later lies on top."""
    if colour == "Window":
        return {names[0]: (~found.after, EARLIER), names[1]: (found.after, LATER)}
    if colour == "Errors":
        return {
            "not known": (np.isnan(found.error), FAINT),
            "right": (found.error == 0, EARLIER),
            "wrong": (found.error == 1, BAD),
        }
    changed = [one for one in listed if (one.adjusted("share", "change") or 1.0) <= alpha]
    shrank, grew = (
        np.isin(found.cluster, [one.cluster for one in changed if one.grew is up]) for up in (False, True)
    )
    return {
        "no evidence of change": (~(shrank | grew), FAINT),
        "shrank": (shrank, EARLIER),
        "grew": (grew, LATER),
    }


def pick(key: str, run_id: str) -> None:
    """What was drawn around or clicked on the map becomes what is chosen."""
    drawn = st.session_state[key].selection
    shapes = [list(zip(one["x"], one["y"], strict=True)) for one in drawn.lasso]
    for one in drawn.box:
        (x0, x1), (y0, y1) = one["x"], one["y"]
        shapes.append([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    clicked = [point["customdata"] for point in drawn.points if "customdata" in point]
    what: dict[str, Any] | None = None
    if shapes:
        what = {"shapes": shapes}
    elif clicked:
        row = int(np.ravel(clicked[0])[0])
        what = {"cluster": -1 - row} if row < 0 else {"row": row}
    st.session_state[CHOSEN] = what and {"run": run_id, **what}


def choose(run_id: str, cluster: int | None) -> None:
    st.session_state[CHOSEN] = None if cluster is None else {"run": run_id, "cluster": cluster}


def selected(run_id: str, found: Mapped) -> tuple[str, BoolArray] | None:
    """What is chosen of this run, in words, and its rows."""
    what = st.session_state.get(CHOSEN)
    if not what or what["run"] != run_id:
        return None
    if "cluster" in what:
        return f"cluster {what['cluster']}", found.cluster == what["cluster"]
    if "row" in what:
        return "the text that was clicked", np.arange(len(found.id)) == what["row"]
    return "what was drawn around", np.any([inside(found.point, shape) for shape in what["shapes"]], axis=0)


def table(run: DriftRow, listed: list[Cluster]) -> None:
    """The clusters by the evidence that their share changed; a click chooses one."""
    if not listed:
        st.info("The texts form no clusters: they lie on the map as one cloud. The tests still hold both windows against each other.",
                icon=":material/blur_on:")  # fmt: skip
        return
    rows = pd.DataFrame(
        {
            "Cluster": [one.name for one in listed],
            "Before": [100 * (one.estimate("share", "before").value or 0) for one in listed],
            "After": [100 * (one.estimate("share", "after").value or 0) for one in listed],
            "p": [p_value(one.adjusted("share", "change")) for one in listed],
        }
    )
    key = f"drift clusters {run.id}"
    st.dataframe(
        rows, hide_index=True, height=min(37 + 35 * len(rows), HEIGHT + 10), key=key, selection_mode=["single-row", "single-cell"],
        on_select=lambda: clicked(key, run.id, listed),
        column_config={
            "Cluster": st.column_config.TextColumn(width=150),
            "Before": st.column_config.NumberColumn(width=60, format="%.1f%%", help="Share of the first window; its interval is under Clusters."),
            "After": st.column_config.NumberColumn(width=60, format="%.1f%%", help="Share of the second window; its interval is under Clusters."),
            "p": st.column_config.TextColumn(width=60, help="That the share is the same in both, adjusted over all clusters (Benjamini-Hochberg)."),
        },
    )  # fmt: skip


def clicked(key: str, run_id: str, listed: list[Cluster]) -> None:
    picked = st.session_state[key].selection
    rows = [*picked.rows, *(row for row, _ in picked.cells)]
    choose(run_id, listed[rows[0]].cluster if rows else None)


def pairs(run: DriftRow, name: str, rows: BoolArray, found: Mapped, names: list[str]) -> None:
    """The pairs of some rows; those of an answer or a prompt are where it stands."""
    some = np.flatnonzero(rows)
    there = found.after[some]
    st.markdown(
        f"**{len(some):,}** in {name}: {int((~there).sum()):,} in {names[0]}, {int(there.sum()):,} in {names[1]}."
    )
    if not len(some):
        return
    listed = pd.DataFrame({"pair_id": found.pair_id[some], "window": [names[int(one)] for one in there]})
    texts = pd.DataFrame([answers(found.pair_id[row], found.id[row]) for row in some[:LISTED]])
    listed = pd.concat([listed, texts], axis=1)
    if not np.isnan(found.error[some]).all():
        listed["model"] = [{0.0: "right", 1.0: "wrong"}.get(one, "–") for one in found.error[some].tolist()]
    pairs_table(listed, f"drift pairs {run.id} {name}", window=st.column_config.TextColumn("Window", width=150),
                answer=st.column_config.TextColumn("Answer", width="large"), a=st.column_config.TextColumn("A", width="medium"),
                b=st.column_config.TextColumn("B", width="medium"), model=st.column_config.TextColumn("Model", width=70))  # fmt: skip


def answers(pair_id: str, item_id: str) -> dict[str, str]:
    """The beginning of the answer that an item is; of both where it is another part of the pair."""
    card = workbench().desks.cards.get(pair_id)
    if card is None:
        return {}
    both = {"a": card.a, "b": card.b}
    own = [one.text[:CUT] for one in both.values() if one.id == item_id]
    return {"answer": own[0]} if own else {side: one.text[:CUT] for side, one in both.items()}
