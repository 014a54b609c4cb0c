"""Buttons that hand out a report as one HTML file, which is made when it is asked for."""

from collections.abc import Callable

import streamlit as st

from jobs import reports
from pages._held_out import Ground
from storage.models import Model
from storage.tables import DriftRow
from storage.workbench import workbench


def drift_report(run: DriftRow) -> None:
    windows = "-".join(window["name"].replace(" ", "-") for window in run.figures["windows"])
    _offer(lambda: reports.of_drift(workbench(), run), f"drift-{windows}", run.id)


def model_report(model: Model, ground: Ground) -> None:
    name = f"{model.name}-{model.version}" + ("" if ground.campaign_id is None else "-campaign")
    _offer(lambda: reports.of_model(workbench(), *ground), name, " ".join(filter(None, ground)))


def _offer(make: Callable[[], str], name: str, key: str) -> None:
    st.download_button("Report (HTML)", make, f"{name}.html", "text/html", on_click="ignore", icon=":material/article:", key=f"report {key}",
                       help="One file to read, print and pass on, with tables, figures and methods.")  # fmt: skip
