"""Two versions of a model held against each other, on the pairs that neither has seen."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.comparing import Comparison
from core.evolution_figures import difference_figure
from core.roles import Identity
from pages._held_out import Match, match
from pages._model_evolution import PLAIN, change
from pages._model_versions import here, numbered, shown
from pages._predicted_pairs import pairs_table
from pages._report import plain
from pages._session import read
from storage.models import Model

KEPT: dict[str, Any] = {"persist_state": "session"}


def compare(name: str, who: Identity) -> None:
    """Choose two versions, and see which is better and where."""
    found = {model.id: model for model in shown(name)}
    if len(found) < 2:
        st.info(
            f"{plain(name)} has one version{here()} in use. Train another to compare the two.",
            icon=":material/difference:",
        )
        return
    ids, called = list(found), lambda key: numbered(found[key])
    start = next((i for i, model in enumerate(found.values()) if i and model.status == "deployed"), 1)
    left, right, _ = st.columns([2, 2, 3])
    first = left.selectbox(
        "First version", ids, start, format_func=called, key=f"compare first {name}", **KEPT
    )
    second = right.selectbox(
        "Second version, held against it", ids, 0, format_func=called, key=f"compare second {name}", **KEPT
    )
    if first == second:
        st.info("Choose two different versions.", icon=":material/arrow_upward:")
        return
    held = read(match, first, second)
    if held.whole is None:
        nothing(found[first], found[second], held)
        return
    verdict(found[first], found[second], held, held.whole)
    flips(found[first], found[second], held, held.whole)
    categories(held)


def nothing(first: Model, second: Model, held: Match) -> None:
    """Why two versions cannot be compared, and what to do."""
    if held.both:
        why = f"They have {held.both:,} held-out pairs in common, but one of the two has learnt from the prompt of each of these."
    else:
        why = f"{first.version} was tested on {held.held_out[0]:,} pairs and {second.version} on {held.held_out[1]:,}, none of them the same."
    st.warning(
        f"There is no pair with votes that neither version has seen. {why} Annotate pairs of new prompts and probe both versions on "
        "them, or train both with the same seed and share held out.",
        icon=":material/difference:",
    )


def verdict(first: Model, second: Model, held: Match, whole: Comparison) -> None:
    """The paired differences, and what they amount to."""
    n, prompts = len(held.first), len(set(held.first.group))
    tiles = st.columns(4)
    for column, label, estimate, better in (
        (tiles[0], "Accuracy, change", whole.accuracy, 1), (tiles[1], "Log loss, change", whole.log_loss, -1),
    ):  # fmt: skip
        value, _, span = change(estimate).partition(" ")
        sure = (
            estimate.low is not None and estimate.high is not None and (estimate.low > 0 or estimate.high < 0)
        )
        gain = (estimate.value or 0) * better
        colour = "gray" if not sure else "green" if gain > 0 else "red"
        column.metric(label, value, span.strip("()") or "no interval", border=True, delta_color=colour, delta_arrow="off",
                      help=estimate.reason or "The second version less the first, with its 95% interval over prompts.")  # fmt: skip
    gained, lost = len(whole.gained), len(whole.lost)
    tiles[2].metric("Flips", f"{gained + lost:,}", f"{gained:,} gained, {lost:,} lost", border=True, delta_color="gray", delta_arrow="off",
                    help="Pairs that one version gets right and the other wrong.")  # fmt: skip
    p = "p < 0.001" if whole.p_value < 0.001 else f"p = {whole.p_value:.3f}"
    tiles[3].metric("McNemar, exact", p, f"n {n:,} pairs, {prompts:,} prompts", border=True, delta_color="gray", delta_arrow="off",
                    help="How often two equally good versions would flip this unevenly. It takes pairs for independent; where "
                         "prompts have several pairs, go by the interval of the accuracy.")  # fmt: skip
    low, high = whole.accuracy.low, whole.accuracy.high
    if low is None or high is None or low <= 0 <= high:
        st.markdown(
            f"On these pairs **neither version is surely better**: the interval of the accuracy {'is not known' if low is None else 'holds 0'}."
        )
    else:
        better, worse = (second, first) if low > 0 else (first, second)
        st.markdown(
            f"**{better.version} is better than {worse.version}** on these pairs, beyond the 95% interval of the accuracy."
        )
    st.caption(
        f"{n:,} of the {held.both:,} held-out pairs they have in common: those of prompts that neither version, nor one it was "
        f"fine-tuned from, was trained or calibrated on. Votes count as they stand now, by the policy of {second.version}."
    )


def flips(first: Model, second: Model, held: Match, whole: Comparison) -> None:
    """The pairs that only one of the two gets right, and the numbers to download."""
    st.subheader("Flips", anchor=False)
    ways = {
        "gained": f"Gained by {second.version} ({len(whole.gained):,})",
        "lost": f"Lost by {second.version} ({len(whole.lost):,})",
    }
    with st.container(horizontal=True, vertical_alignment="center"):
        way = st.segmented_control("Flips", list(ways), default="gained", required=True, format_func=ways.__getitem__,
                                   key="compare flips", label_visibility="collapsed", **KEPT)  # fmt: skip
        st.space("stretch")
        st.download_button("Flips (CSV)", lambda: flipped(held, whole, "").to_csv(index=False).encode(),
                           f"flips-{first.version}-{second.version}.csv", "text/csv", on_click="ignore", icon=":material/download:")  # fmt: skip
        st.download_button("Comparison (JSON)", lambda: told(first, second, whole), f"comparison-{first.version}-{second.version}.json",
                           "application/json", on_click="ignore", icon=":material/download:")  # fmt: skip
    table = flipped(held, whole, way)
    if table.empty:
        st.caption("None.")
        return
    number = {"format": "%.2f", "width": "small"}
    pairs_table(
        table.drop(columns="flip"), f"compare {first.id} {second.id} {way}",
        category=st.column_config.TextColumn("Category", width="small"),
        votes=st.column_config.NumberColumn("Votes for A", help="The share of votes for A; a tie counts half.", **number),
        first=st.column_config.NumberColumn(f"{first.version} for A", help="The probability it gave A.", **number),
        second=st.column_config.NumberColumn(f"{second.version} for A", help="The probability it gave A.", **number),
    )  # fmt: skip


def flipped(held: Match, whole: Comparison, way: str) -> pd.DataFrame:
    """The pairs that flip one way (both where none is named), those the two differ on most first."""
    kinds = {"gained": whole.gained, "lost": whole.lost}
    parts = [(kind, rows) for kind, rows in kinds.items() if way in ("", kind)]
    rows = np.concatenate([rows for _, rows in parts])
    first, second = held.first.take(rows), held.second.take(rows)
    table = pd.DataFrame(
        {
            "pair_id": first.pair_id, "flip": [kind for kind, of in parts for _ in of], "category": first.category,
            "votes": first.y, "first": first.p, "second": second.p,
        }
    )  # fmt: skip
    return table.iloc[np.argsort(-np.abs(first.p - second.p), kind="stable")]


def told(first: Model, second: Model, whole: Comparison) -> bytes:
    """The comparison as JSON."""
    found = {
        "first": first.version, "second": second.version, "accuracy": asdict(whole.accuracy), "log_loss": asdict(whole.log_loss),
        "gained": len(whole.gained), "lost": len(whole.lost), "mcnemar_p": whole.p_value,
    }  # fmt: skip
    return json.dumps(found, indent=1).encode()


def categories(held: Match) -> None:
    """The difference in accuracy in each category."""
    if len(held.categories) < 2:
        return
    st.subheader("By category", anchor=False)
    if any(found.accuracy.low is None for found in held.categories.values()):
        st.caption("A category whose pairs are all of one prompt has no interval.")
    rows = {name: found.accuracy for name, found in held.categories.items()}
    st.plotly_chart(
        difference_figure(rows).update_xaxes(title="Accuracy, change"), key="compare categories", **PLAIN
    )
    table = [
        {"Category": name, "Pairs": len_of(held, name), "Accuracy, change": change(found.accuracy), "Log loss, change": change(found.log_loss),
         "Gained": len(found.gained), "Lost": len(found.lost), "McNemar p": found.p_value}
        for name, found in held.categories.items()
    ]  # fmt: skip
    st.dataframe(
        pd.DataFrame(table),
        hide_index=True,
        column_config={"McNemar p": st.column_config.NumberColumn(format="%.3f")},
    )


def len_of(held: Match, name: str) -> int:
    return int((held.second.category == name).sum())
