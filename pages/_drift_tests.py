"""What the windows look like as a whole: global tests, labels, calibration, and the stream of errors."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.drift_figures import stream_figure
from core.estimate import Estimate
from core.report import PERCENT, SIGNED_PERCENT, number, p_value, told
from core.report_drift_votes import LABELS
from pages._drift import mapped
from pages._report import plain
from pages._session import read
from storage.tables import DriftRow

TESTS = {
    "mmd": ("Texts, by their distances", "Maximum mean discrepancy: how far the two clouds of texts are apart (Gretton et al. 2012)."),
    "classifier": ("Texts, by a classifier", "How well a classifier tells the windows apart on texts that it has not seen: the area "
                   "under its ROC curve, 0.5 if it cannot (Lopez-Paz & Oquab 2017)."),
    "labels": ("Labels", "The part of the judgements that would have to change for both windows to have the same shares (total variation); "
               "its p is that of chi-squared."),
}  # fmt: skip
PLAIN: dict[str, Any] = {"config": {"displayModeBar": False}}


def tests_view(run: DriftRow) -> None:
    figures = run.figures
    rows = [test(name, figures["tests"][name], figures["alpha"]) for name in TESTS]
    rows.append(calibration_row(figures["calibration"], figures["alpha"]))
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config={
        "What": st.column_config.TextColumn(width=210),
        "If nothing changed": st.column_config.TextColumn(help="It stays below this in 95 of 100 cases.", width=130),
        "p": st.column_config.TextColumn(width=70),
        "Found": st.column_config.TextColumn(width="large"),
    })  # fmt: skip
    st.caption(
        "Texts and labels: by permutation, one text of each group of alike ones. "
        + " ".join(about for _, about in TESTS.values())
    )
    left, right = st.columns(2, gap="large")
    with left:
        labels(figures)
    with right:
        calibration(figures)
    stream(run)


def test(name: str, found: dict[str, Any], alpha: float) -> dict[str, str]:
    figure = Estimate(**found["figure"])
    if figure.value is None:
        return {
            "What": TESTS[name][0],
            "Value": "–",
            "If nothing changed": "–",
            "p": "–",
            "Found": figure.reason or "",
        }
    return {
        "What": TESTS[name][0],
        "Value": told(figure),
        "If nothing changed": "–" if found["limit"] is None else f"below {found['limit']:.3f}",
        "p": p_value(found["p_value"]),
        "Found": verdict(found["p_value"], alpha),
    }


def calibration_row(found: dict[str, Any], alpha: float) -> dict[str, str]:
    before, after = (Estimate(**found[f"gap_{part}"]) for part in ("before", "after"))
    if before.value is None or after.value is None:
        return {
            "What": "Calibration",
            "Value": "–",
            "If nothing changed": "–",
            "p": "–",
            "Found": found["reason"] or "",
        }
    return {
        "What": "Calibration",
        "Value": number(after.value - before.value, SIGNED_PERCENT),
        "If nothing changed": "–",
        "p": p_value(found["p_value"]),
        "Found": found["reason"] or verdict(found["p_value"], alpha),
    }


def verdict(p: float | None, alpha: float) -> str:
    if p is None:
        return "–"
    return "The windows differ." if p <= alpha else "No evidence that the windows differ."


def labels(figures: dict[str, Any]) -> None:
    st.subheader("Labels", anchor=False)
    found = figures["labels"]
    if not found:
        st.caption("No judgement belongs to these texts: choose the population of pairs.")
        return
    st.dataframe(
        pd.DataFrame(
            {
                "Label": [LABELS.get(one["label"], plain(one["label"])) for one in found],
                "Before": [told(Estimate(**one["before"]), PERCENT) for one in found],
                "After": [told(Estimate(**one["after"]), PERCENT) for one in found],
                "p": [p_value(one["change"]["adjusted"] if one["change"] else None) for one in found],
            }
        ),
        hide_index=True,
    )
    st.caption(
        "What most annotators of a pair said in the window, with 95% intervals; p adjusted over the labels."
    )


def calibration(figures: dict[str, Any]) -> None:
    st.subheader("Calibration", anchor=False)
    found = figures["calibration"]
    if found["gap_before"]["value"] is None or found["gap_after"]["value"] is None:
        st.caption(f"{found['reason']} Choose the population of pairs and a model that had not seen them.")
        return
    rows = [
        {"Figure": name, **{part.capitalize(): told(Estimate(**found[f"{kind}_{part}"]), form) for part in ("before", "after")}}
        for name, kind, form in (("Gap", "gap", SIGNED_PERCENT), ("ECE", "ece", PERCENT))
    ]  # fmt: skip
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    st.caption(
        "On pairs that the model had not seen. The gap is its confidence less the share of people on its side; the test takes in "
        "the gap and its slope along the confidence (Hotelling)."
    )


def stream(run: DriftRow) -> None:
    """The error rate in order of time, watched as it would have been."""
    st.subheader("Errors as they came", anchor=False)
    found, watched = read(mapped, run.id), run.figures["stream"]
    known = np.flatnonzero(~np.isnan(found.error) & ~np.isnat(found.seen_at))
    if not watched["outcomes"]:
        st.caption(
            "No prediction of a judged pair is in these windows: choose a model that had not seen them."
        )
        return
    order = known[np.argsort(found.seen_at[known], kind="stable")]
    st.plotly_chart(stream_figure(found.seen_at[order], found.error[order], watched["changes"]), key=f"drift stream {run.id}",
                    alt="Error rate of the latest outcomes along time", **PLAIN)  # fmt: skip
    for one in watched["changes"]:
        before, after = (told(Estimate(**one[part]), PERCENT) for part in ("before", "after"))
        st.markdown(
            f":red-badge[alarm] {one['found_at'][:16].replace('T', ' ')} UTC: errors went from {before} to {after}."
        )
    st.caption(
        f"The line is of all outcomes; {watched['outcomes']:,} were watched, one of each group. However often one looks, the chance that such a watch ever alarms while nothing changes is "
        f"{run.figures['alpha']:.0%} at most; after an alarm it begins anew."
    )
