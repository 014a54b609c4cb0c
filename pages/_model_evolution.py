"""How the versions of a model got on: a figure along them, what each batch of labels gave, learning curves."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from core.estimate import Estimate
from core.evolution_figures import evolution_figure, learning_figure
from core.roles import Identity
from pages._held_out import match
from pages._model_versions import FIGURES, figure, here, shown
from pages._session import read
from storage import models
from storage.models import Model

ALONG = ("Version", "Time", "Labels")
STEPS = 8
"""Versions at most whose batches of labels are held against the version before."""
PLAIN: dict[str, Any] = {"config": {"displayModeBar": False}}


def evolution(name: str, who: Identity) -> None:
    """A figure of all versions that are not archived, oldest first."""
    found = list(reversed(shown(name)))
    if not found:
        st.info(
            f"Every version{here()} is archived. Restore one under Versions.", icon=":material/inventory_2:"
        )
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        key = st.segmented_control("Figure", list(FIGURES), default="accuracy", required=True, format_func=FIGURES.__getitem__,
                                   key="models figure", label_visibility="collapsed", persist_state="session")  # fmt: skip
        along = st.segmented_control("Along", ALONG, default="Version", required=True, key="models along",
                                     label_visibility="collapsed", persist_state="session")  # fmt: skip
    labels = [len(read(models.lineage, model.id).annotation_ids) for model in found]
    places = {"Version": [m.version for m in found], "Time": [m.created_at for m in found], "Labels": labels}
    deployed = next((m.version for m in found if m.status == "deployed"), None)
    st.plotly_chart(
        evolution_figure(
            places[along], [figure(m, key) for m in found], [m.version for m in found], deployed, FIGURES[key],
            {"Version": "Version", "Time": "Trained (UTC)", "Labels": "Annotations learnt from"}[along],
        ),
        key="models evolution", alt=f"{FIGURES[key]} of every version with its interval", **PLAIN,
    )  # fmt: skip
    comparable(name, found)
    downloads(name, found, labels)
    batches(found, labels)
    curves(found, key)


def comparable(name: str, found: list[Model]) -> None:
    """Whether the versions were tested on the same pairs."""
    filled = "The deployed version is filled. " if any(m.status == "deployed" for m in found) else ""
    tests = {read(models.tested_on, name).get(m.id) for m in found}
    if len(tests) > 1:
        st.caption(
            f"{filled}Each on its own held-out test split, with 95% intervals over prompts. **These test sets differ, so the "
            "figures cannot be compared directly**: a change may come from the pairs. Compare holds two versions against each "
            "other on the same pairs."
        )
    else:
        st.caption(
            f"{filled}On the held-out test split, the same pairs for every version, with 95% intervals over prompts."
        )


def downloads(name: str, found: list[Model], labels: list[int]) -> None:
    """The figures of every version as CSV and as JSON."""
    rows = [
        {
            "version": model.version, "status": model.status, "created_at": model.created_at.isoformat(), "annotations": n,
            **{f"{key}{part}": getattr(figure(model, key), part[1:] or "value") for key in FIGURES for part in ("", "_low", "_high", "_n")},
        }
        for model, n in zip(found, labels, strict=True)
    ]  # fmt: skip
    whole = [{"version": model.version, "status": model.status, "figures": model.figures} for model in found]
    with st.container(horizontal=True):
        st.download_button("Figures (CSV)", lambda: pd.DataFrame(rows).to_csv(index=False).encode(), f"{name}-versions.csv",
                           "text/csv", on_click="ignore", icon=":material/download:")  # fmt: skip
        st.download_button("Figures (JSON)", lambda: json.dumps(whole, indent=1, ensure_ascii=False).encode(), f"{name}-versions.json",
                           "application/json", on_click="ignore", icon=":material/download:")  # fmt: skip


def batches(found: list[Model], labels: list[int]) -> None:
    """What the labels added between one version and the next gave, on the pairs neither has seen."""
    if len(found) < 2:
        return
    st.subheader("What each batch of labels gave", anchor=False)
    steps = list(zip(found, found[1:], labels, labels[1:], strict=False))[-STEPS:]
    rows = []
    for before, after, had, has in steps:
        held = read(match, before.id, after.id)
        row = {
            "Step": f"{before.version} → {after.version}",
            "Labels added": has - had,
            "Pairs neither has seen": len(held.first),
        }
        if held.whole:
            row |= {"Accuracy": change(held.whole.accuracy), "Log loss": change(held.whole.log_loss)}
        rows.append(row)
    st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder="–", column_config={
        "Labels added": st.column_config.NumberColumn(format="%+,d"),
        "Pairs neither has seen": st.column_config.NumberColumn(format="localized"),
        "Accuracy": st.column_config.TextColumn("Accuracy, change", help="Paired, with its 95% interval; + is better."),
        "Log loss": st.column_config.TextColumn("Log loss, change", help="Paired, with its 95% interval; − is better."),
    })  # fmt: skip


def curves(found: list[Model], key: str) -> None:
    """The learning curve of the latest training that made one."""
    made = [model for model in found if model.figures.get("learning_curve")]
    if not made or key == "ece":
        return
    st.subheader(f"Learning curve of {made[-1].version}", anchor=False)
    points = [(point["labels"], Estimate(**point[key])) for point in made[-1].figures["learning_curve"]]
    st.plotly_chart(learning_figure(points, FIGURES[key]), key="models learning curve", **PLAIN)
    st.caption(
        "The same method trained on parts of the labels, tested on the same held-out pairs. Where it still rises, more labels help."
    )


def change(estimate: Estimate) -> str:
    """A difference with its interval."""
    if estimate.value is None:
        return estimate.reason or "–"
    span = "" if estimate.low is None else f" ({estimate.low:+.3f} to {estimate.high:+.3f})"
    return f"{estimate.value:+.3f}{span}".replace("-", "−")
