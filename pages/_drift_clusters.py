"""The clusters of a drift run: each figure of them in both windows with intervals, the best evidence first, and all of it as a table."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from core.drift_figures import shares_figure
from core.report import PERCENT, SIGNED_PERCENT, p_value, told
from core.report_drift_votes import KINDS as FIGURES
from pages._drift import KINDS, Cluster, clusters, ranked
from pages._drift_map import CHOSEN, choose
from storage.tables import DriftRow

SHOWN = 20
PLAIN: dict[str, Any] = {"config": {"displayModeBar": False}}
MEANT = {"share": "The share of each window that a cluster has, with its 95% interval."} | {
    kind: f"{meaning.capitalize()}." for kind, (_, meaning, *_) in FIGURES.items()
}
APART = {
    "error": "differs from the error rate of all other texts",
    "gap": "is not 0",
    "flips": "differs from that of all other texts",
}


def clusters_view(run: DriftRow) -> None:
    found = clusters(run)
    if not found:
        st.info("The texts form no clusters, so there is nothing to rank.", icon=":material/blur_on:")
        return
    kinds = [kind for kind in KINDS if any(one.estimate(kind).value is not None for one in found)]
    kind = st.segmented_control("Figure", kinds, default="share", required=True, format_func=KINDS.__getitem__, persist_state="session",
                                key=f"drift figure {kinds}", label_visibility="collapsed")  # fmt: skip
    missing = [KINDS[one].lower() for one in KINDS if one not in kinds]
    listed = ranked(found, kind)
    shown = listed[:SHOWN]
    names = [window["name"] for window in run.figures["windows"]]
    st.plotly_chart(
        shares_figure([one.name for one in shown], *([one.estimate(kind, part) for one in shown] for part in ("before", "after")),
                      (names[0], names[1])),
        key=f"drift figure {run.id} {kind}", alt=f"{KINDS[kind]} of each cluster in both windows, with intervals", **PLAIN,
    )  # fmt: skip
    most = f" The {SHOWN} with the best evidence of {len(listed)} are drawn." if len(listed) > SHOWN else ""
    st.caption(f"{MEANT[kind]}{most}")
    table(run, listed, kind)
    if missing:
        st.caption(
            f"Without {', '.join(missing)}: choose pairs that were judged, and a model (for flips, two) that had not seen them."
        )
    downloads(run, found)


def table(run: DriftRow, listed: list[Cluster], kind: str) -> None:
    text = st.column_config.TextColumn
    form = SIGNED_PERCENT if kind == "gap" else PERCENT
    columns: dict[str, list[Any]] = {
        "Cluster": [one.name for one in listed],
        "Texts": [one.n for one in listed],
        "Before": [told(one.estimate(kind, "before"), form) for one in listed],
        "After": [told(one.estimate(kind, "after"), form) for one in listed],
        "p, change": [p_value(one.adjusted(kind, "change")) for one in listed],
    }
    if kind in APART:
        columns["Both"] = [told(one.estimate(kind), form) for one in listed]
        columns["p, apart"] = [p_value(one.adjusted(kind, "apart")) for one in listed]
    key = f"drift table {run.id} {kind}"
    st.dataframe(
        pd.DataFrame(columns), hide_index=True, key=key, height=min(37 + 35 * len(listed), 500),
        selection_mode=["single-row", "single-cell"], on_select=lambda: go(key, run.id, listed),
        column_config={
            "Cluster": text(pinned=True, width=260), "Texts": st.column_config.NumberColumn(format="localized", width=70),
            "p, change": text(help="That it is the same in both windows, adjusted over all clusters.", width=90),
            "p, apart": text(help=f"That it {APART.get(kind, '')}, adjusted over all clusters.", width=90),
            **{name: text(help="With its 95% interval.") for name in ("Before", "After", "Both")},
        },
    )  # fmt: skip
    if (st.session_state.get(CHOSEN) or {}).get("run") == run.id:
        st.caption("The chosen cluster is on the **Map**, with its pairs.")


def go(key: str, run_id: str, listed: list[Cluster]) -> None:
    picked = st.session_state[key].selection
    for row in [*picked.rows, *(row for row, _ in picked.cells)][:1]:
        choose(run_id, listed[row].cluster)
        st.session_state["drift view"] = "Map"


def downloads(run: DriftRow, found: list[Cluster]) -> None:
    """Every figure of every cluster as CSV, and the whole run as JSON."""
    rows = [
        {"cluster": one.cluster, "name": one.name.partition(" · ")[2], "texts": one.n,
         **{f"{kind}_{part}{end}": getattr(one.estimate(kind, part), end[1:] or "value")
            for kind in KINDS for part in ("before", "after", "whole") for end in ("", "_low", "_high", "_n")},
         **{f"{kind}_p_{test}": one.adjusted(kind, test) for kind in KINDS for test in ("change", "apart")}}
        for one in found
    ]  # fmt: skip
    whole = {
        "windows": run.windows,
        "scope": run.scope,
        "view": run.view,
        "grouped": run.grouped,
        **run.figures,
    }
    with st.container(horizontal=True):
        st.download_button("Clusters (CSV)", lambda: pd.DataFrame(rows).to_csv(index=False).encode(), "drift-clusters.csv",
                           "text/csv", on_click="ignore", icon=":material/download:")  # fmt: skip
        st.download_button("Run (JSON)", lambda: json.dumps(whole, indent=1, ensure_ascii=False).encode(), "drift-run.json",
                           "application/json", on_click="ignore", icon=":material/download:")  # fmt: skip
