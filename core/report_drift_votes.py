"""What the report of a drift run says of votes and of a model: in each cluster, as a whole, and along time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from core.change_points import rolling
from core.estimate import Estimate
from core.report import (
    DECIMAL,
    PERCENT,
    SIGNED,
    TOGETHER,
    Figure,
    Section,
    Table,
    cells,
    p_value,
    sentence,
    told,
)
from core.report_figures import line_of

Row = Mapping[str, Any]
MOST = 40
"""Clusters in a table at most."""
LABELS = {"a": "A preferred", "b": "B preferred", "tie": "Tie", "both_bad": "Both bad", "split": "Split vote"}
KINDS = {
    "error": ("Error rate", "how often the model was on the other side than people, on pairs that it had not seen; ties are left out",
              "from that of all other texts", PERCENT),
    "gap": ("Calibration gap", "the model’s confidence less the share of people on its side: above 0 it is too sure, below 0 too shy",
            "from 0", SIGNED),
    "flips": ("Flips", "how often the two models are on different sides", "from that of all other texts", PERCENT),
}  # fmt: skip


def in_clusters(figures: Row, names: Mapping[int, str]) -> list[Section]:
    """How a model does in each cluster, in tables of those figures that there are."""
    tables = []
    for kind, (name, meaning, apart, form) in KINDS.items():
        known = [one for one in figures["clusters"] if one[kind]["whole"]["value"] is not None]
        if not known:
            continue
        known.sort(key=lambda one: _p(one[kind]["apart"]))
        rows = [
            [names[one["cluster"]], f"{TOGETHER}·{TOGETHER}".join(f"{one[kind][part]['n']:,}" for part in ("before", "after")),
             *(told(Estimate(**one[kind][part]), form) for part in ("before", "after")), adjusted(one[kind]["change"]),
             told(Estimate(**one[kind]["whole"]), form), adjusted(one[kind]["apart"])]
            for one in known[:MOST]
        ]  # fmt: skip
        caption = (
            f"{name}: {meaning}. The best evidence that it differs {apart} first{most(known, MOST)}. p: that it is the same in both "
            f"windows, and that it does not differ {apart}; each adjusted over the clusters."
        )
        header = ["Cluster", "n in each", "Before", "After", "p, change", "Both", "p, apart"]
        tables.append(Table(caption, header, rows))
    return [Section("How the model does in each cluster", tables)] if tables else []


def of_labels(figures: Row) -> list[Section]:
    """The share of each label in both windows, where there are labels."""
    rows = [
        [LABELS.get(one["label"], one["label"]), f"{one['before']['n']:,}", told(Estimate(**one["before"]), PERCENT),
         f"{one['after']['n']:,}", told(Estimate(**one["after"]), PERCENT), adjusted(one["change"])]
        for one in figures["labels"]
    ]  # fmt: skip
    caption = (
        "What most annotators of a pair said in the window, with 95% intervals. p: adjusted over the labels."
    )
    header = ["Label", "n", "Before", "n", "After", "p"]
    return [Section("Labels", [Table(caption, header, rows)])] if rows else []


def of_calibration(figures: Row) -> list[Section]:
    """How far a model is off in both windows, where it predicted pairs of both."""
    found = figures["calibration"]
    if found["gap_before"]["value"] is None or found["gap_after"]["value"] is None:
        return []
    rows = [
        [f"{name}, {part}", *cells(Estimate(**found[f"{kind}_{part}"]), form)]
        for name, kind, form in (
            ("Confidence less votes on its side", "gap", SIGNED),
            ("Expected calibration error", "ece", DECIMAL),
        )
        for part in ("before", "after")
    ]
    tested = (
        found["reason"]
        or f"That the model is off in the same way in both windows: {sentence(found['p_value'])}."
    )
    caption = f"Calibration on pairs that the model had not seen. {tested}"
    return [Section("Calibration", [Table(caption, ["Figure", "Value", "95% interval", "n"], rows)])]


def of_errors(figures: Row, points: pa.Table) -> list[Section]:
    """The error rate in order of time, where errors are known."""
    stream = figures["stream"]
    error = points["error"].to_numpy().astype(np.float64)
    at = points["seen_at"].to_numpy().astype("datetime64[us]")
    known = np.flatnonzero(~np.isnan(error) & ~np.isnat(at))
    if not stream["outcomes"] or not len(known):
        return []
    order = known[np.argsort(at[known], kind="stable")]
    span, rate = rolling(error[order])
    times = at[order][span - 1 :]
    alarms = [
        (int(np.searchsorted(times, np.datetime64(one["found_at"]))), int(np.searchsorted(times, np.datetime64(one["since_at"]))))
        for one in stream["changes"]
    ]  # fmt: skip
    drawn = line_of(
        rate, alarms, (day(str(times[0])), day(str(times[-1]))), f"Error rate of the latest {span} outcomes"
    )
    said = [
        f"Alarm at {day(one['found_at'])}: errors went from {told(Estimate(**one['before']), PERCENT)} to "
        f"{told(Estimate(**one['after']), PERCENT)}."
        for one in stream["changes"]
    ]
    caption = f"The error rate of the latest {span} outcomes, in the order in which they came."
    if alarms:
        caption += " Red lines: alarms, each with the stretch in which the change was found."
    watched = (
        f"The line is of all outcomes; {stream['outcomes']:,} were watched, one of each group. However often one looks, the chance that such a watch ever alarms "
        f"while nothing changes is {figures['alpha']:.0%} at most."
    )
    return [Section("Errors as they came", [Figure(caption, drawn), *(said or ["No alarm."]), watched])]


def adjusted(test: Row | None) -> str:
    """A test's adjusted p-value."""
    return p_value(test["adjusted"] if test else None)


def _p(test: Row | None) -> float:
    return float(test["adjusted"]) if test else 2.0


def most(found: Sequence[Row], limit: int) -> str:
    """That not all of them are shown, where that is so."""
    return f"; the first {limit} of {len(found)}" if len(found) > limit else ""


def day(time: str | None) -> str:
    """A time to the minute."""
    return "–" if time is None else time[:16].replace("T", " ")
