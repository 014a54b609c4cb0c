"""The retraining set: what a version gets wrong, how much each pair would weigh, and the way to a next version."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.agreement import proportion
from core.held_out import HeldOut
from core.retraining import BOOST, CATEGORY, CONFIDENT, LOW_CONFIDENCE, MIN_PAIRS, UNSURE, Emphasis, emphasis
from core.roles import Identity
from pages._held_out import held_out
from pages._predicted import called, choose, pairs_list, policy
from pages._report import plain
from pages._session import allowed, campaign, read
from pages._training_form import PARTS
from storage import learning
from storage.learning import Report
from storage.models import Model
from storage.store import Store
from storage.workbench import workbench


@dataclass(frozen=True)
class Errors:
    """The held-out pairs with the model's prediction, and how much each would weigh."""

    pairs: HeldOut
    emphasis: Emphasis
    groups: pd.DataFrame


def retrain(who: Identity) -> None:
    model = choose("retrain model", who)
    if model is None:
        return
    found = read(_errors, model.id)
    if not len(found.pairs):
        st.info("No pair that this version was not fitted to has a label now, so its errors are not known. Probe it first.",
                icon=":material/fact_check:")  # fmt: skip
        return
    what(found)
    left, right = st.columns(2, gap="large")
    with left:
        where(found)
    with right:
        hand_over(model, who)
    most(found)


def _errors(store: Store, model_id: str) -> Errors:
    pairs = held_out(store, model_id)
    clusters = np.array(learning.clusters(store, pairs.pair_id.tolist(), model_id), dtype=object)
    found = emphasis(pairs.p, pairs.y, pairs.category.tolist(), [True] * len(pairs), clusters.tolist())
    missed = (pairs.p - 0.5) * (pairs.y - 0.5) < 0
    rows = []
    for kind, names, factors in (
        ("Category", pairs.category, found.categories),
        ("Cluster", clusters, found.clusters),
    ):
        for name in sorted(set(names) - {""}):
            of_it = (names == name) & (pairs.y != 0.5)
            rate = proportion(int(missed[of_it].sum()), int(of_it.sum()))
            if rate.value is not None and rate.low is not None:
                span = f"{rate.value:.0%} ({rate.low:.0%} to {rate.high:.0%})"
                rows.append((kind, name, rate.n, rate.value, span, factors.get(name, 1.0)))
    rows.sort(key=lambda row: -row[3])
    columns = ["Of", "Name", "Pairs", "rate", "Error rate", "Factor"]
    return Errors(pairs, found, pd.DataFrame(rows, columns=columns).drop(columns="rate"))


def what(found: Errors) -> None:
    """The kinds of error among the held-out pairs, and what each does to a pair's weight."""
    n = len(found.pairs)
    one, two, three = st.columns(3)
    kinds = [
        (one, "Confident mistakes", found.emphasis.confident_mistakes, f"up to ×{BOOST:g}",
         f"The answer people rejected was given {CONFIDENT:.0%} or more. The clearer the votes, the more it weighs."),
        (two, "Low confidence", found.emphasis.low_confidence, f"×{UNSURE:g}",
         f"Neither answer was given more than {LOW_CONFIDENCE:.0%}."),
        (three, "Categories and clusters with high error", len(found.emphasis.categories) + len(found.emphasis.clusters),
         f"up to ×{CATEGORY:g}",
         f"Of {MIN_PAIRS} pairs or more, with an error rate that is above the overall one even at the lower end of its interval. "
         "Clusters are those of the latest drift run on pairs with this version."),
    ]  # fmt: skip
    for column, label, count, factor, about in kinds:
        of = f" of {n:,} held-out pairs" if column is not three else f" of {len(found.groups):,}"
        column.metric(label, f"{count:,}", f"{factor} · {of.strip()}", delta_color="gray", delta_arrow="off",
                      border=True, help=about, height="stretch")  # fmt: skip


def where(found: Errors) -> None:
    """The error rate of each category and cluster, and what it does to the weight of its pairs."""
    st.subheader("Error rate by category and cluster", anchor=False)
    table = found.groups
    st.dataframe(table, hide_index=True, placeholder="", height=min(37 + 35 * len(table), 247), column_config={
        "Of": st.column_config.TextColumn(width=60),
        "Name": st.column_config.TextColumn(width=150),
        "Pairs": st.column_config.NumberColumn(format="localized", width=45),
        "Error rate": st.column_config.TextColumn(width=115, help="On held-out pairs with a majority, with the 95% interval."),
        "Factor": st.column_config.NumberColumn(format="×%.2f", width=50, help="On the weight of every pair of it."),
    })  # fmt: skip


def most(found: Errors) -> None:
    """The pairs that would weigh most."""
    weight = found.emphasis.weight
    order = np.argsort(-weight, kind="stable")
    order = order[weight[order] > weight.min()]
    st.subheader("Pairs that would weigh most", anchor=False)
    if len(order):
        pairs_list(found.pairs.take(order), "retrain pairs", weight[order])
    else:
        st.caption("No pair weighs more than another.")


def hand_over(model: Model, who: Identity) -> None:
    """The whole set: to the Train page, or as a file for the shell."""
    st.subheader("Train the next version", anchor=False)
    report = read(_report, campaign().id, model.id)
    st.markdown(
        f"All **{report.usable:,}** labelled pairs of the campaign, each with the weight that {plain(called(model))}’s errors give it, 1 on average."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if allowed(who, "train"):
            if st.button("Train with these weights", type="primary", icon=":material/model_training:"):
                st.session_state.update(preset(model))
                st.switch_page("train.py")
        else:
            st.caption("A lead can train.", width="content")
        st.download_button("Download (JSONL)", lambda: _file(campaign().id, model.id), "retraining.jsonl", "application/x-ndjson",
                           icon=":material/download:", on_click="ignore")  # fmt: skip
    st.code(
        "python -m jobs train-reward --data retraining.jsonl --output next", language="bash", wrap_lines=True
    )


def preset(model: Model) -> dict[str, Any]:
    """What the Train page is to offer: the next version of the model, under its policy, its errors weighed up."""
    how = read(policy, model.id)
    return {
        "train view": "New training",
        "train name": model.name,
        "train everywhere": False,
        "train category": None,
        "train consensus": how.consensus,
        "train ties": how.ties,
        "train simulated": how.simulated,
        "train more": True,
        "train part": PARTS[1],
        f"train emphasise {model.name}": model.id,
    }


def _report(store: Store, campaign_id: str, model_id: str) -> Report:
    return learning.readiness(store, "", campaign_id, policy(store, model_id)).report


def _file(campaign_id: str, model_id: str) -> bytes:
    store = workbench().store
    frozen = learning.freeze(store, campaign_id, policy(store, model_id), emphasise=model_id)
    rows = frozen.table.drop_columns("annotations").to_pylist()
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
