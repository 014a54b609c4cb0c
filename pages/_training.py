"""A training as it runs and as it ended: live curves, figures with intervals, and how much of the reward is form."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.estimate import Estimate
from core.roles import Identity
from core.training_figures import form_figure
from jobs import ingest
from jobs.launcher import Status
from pages._job import by_steps, card, curves
from pages._report import plain
from pages._session import read
from storage import learning, models
from storage.tables import JobRow
from storage.workbench import workbench

FIGURES = {
    "accuracy": (
        "Accuracy",
        "How often the model is on the side of the people, on pairs of prompts it never saw.",
    ),
    "log_loss": (
        "Log loss",
        "What its probabilities cost where they are wrong; a coin has 0.693. Lower is better.",
    ),
    "ece": (
        "Calibration error (ECE)",
        "How far its probabilities are from what happens. Of few pairs it is never 0.",
    ),
    "brier": (
        "Brier score",
        "The mean squared error of its probabilities; a coin has 0.25. Lower is better.",
    ),
}


def training(job: JobRow, status: Status, who: Identity) -> None:
    """One training, whatever state it is in."""
    with st.container(border=True):
        card(job, status, who, charts=False)
    run = ingest.run_of(workbench(), job)
    if status.state == "running" and not status.total:
        st.caption("It is getting ready: it loads its libraries and reads the pairs.")
    elif status.state == "done" and status.result and "accuracy" in status.result:
        report(job, status.result)
    elif status.state in ("failed", "cancelled"):
        st.caption(
            "Go on where it stopped, or change the settings and train anew. A training that did not end leaves no model."
        )
    if by_steps(run) and (status.done or status.state in ("queued", "running")):
        curves(run, f"live {job.id}")


def report(job: JobRow, result: Mapping[str, Any]) -> None:
    """The figures of a training that is done."""
    model = next((m for m in read(models.listed, archived=True) if m.job_id == job.id), None)
    if model:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"It is **{plain(model.name)} {model.version}** now, in {model.status}.", width="content"
            )
            if learning.policy_of(read(models.lineage, model.id).learnt).simulated:
                st.badge("Simulated annotators", icon=":material/smart_toy:", color="violet")
            st.page_link("models.py", label="Compare and deploy", icon=":material/arrow_forward:")
    parts = result["parts"]
    if not parts["test"]["rows"]:
        st.info(
            "No pair was held out, so there are no figures: every prompt is one that the version it was trained on from had "
            "learnt from, or nothing was to be held out. Annotate new prompts, then probe it on them.",
            icon=":material/fact_check:",
        )
        notes(result)
        return
    columns = st.columns(len(FIGURES))
    for column, (name, (label, help)) in zip(columns, FIGURES.items(), strict=True):
        figure(column, label, estimate(result[name]), help, result.get("uncalibrated", {}).get(name))
    tested = f"{parts['test']['rows']:,} pairs of {parts['test']['groups']:,} prompts"
    st.caption(
        f"On {tested} that were neither trained on ({parts['train']['rows']:,} pairs) nor calibrated on "
        f"({parts['calibration']['rows']:,}). Intervals are 95%, over prompts."
    )
    left, right = st.columns(2, gap="large")
    with left:
        form(result["form"])
    with right:
        notes(result)


def figure(column: Any, label: str, found: Estimate, help: str, before: Mapping[str, Any] | None) -> None:
    """One figure as a tile, with its interval and n, and what it was before calibration where that differs."""
    with column.container(border=True, height="stretch", gap="xxsmall"):
        st.metric(label, "–" if found.value is None else f"{found.value:.3f}", help=help)
        if found.low is None:
            st.caption(f"{found.reason} n = {found.n:,}")
        else:
            st.caption(f"{found.low:.3f} to {found.high:.3f} · n = {found.n:,}")
        if (
            before
            and before["value"] is not None
            and found.value is not None
            and abs(before["value"] - found.value) >= 5e-4
        ):
            st.caption(f"{before['value']:.3f} before calibration")


def form(accuracies: Mapping[str, Any]) -> None:
    st.markdown("**How much of it is form**", help="The accuracy on the same pairs of the reward as it is, of rewards that may only use "
                "a part, and of always preferring the longer answer.")  # fmt: skip
    named = {name.capitalize(): estimate(row) for name, row in accuracies.items()}
    st.plotly_chart(form_figure(named), config={"displayModeBar": False}, key="form figure")


def notes(result: Mapping[str, Any]) -> None:
    """What else one should know of it."""
    st.markdown("**Good to know**")
    calibrator = result["calibrator"]
    kept = (
        "" if calibrator["name"] == "identity" else f"{calibrator['name'].capitalize()} calibration is kept. "
    )
    lines = [kept + calibrator["reason"]]
    if result.get("refitted"):
        lines.append(
            f"The model that is kept was then fitted to all {result['total']:,} pairs; the figures are of the fit before."
        )
    cut = result.get("details", {}).get("cut")
    if cut is not None:
        lines.append(
            f"{cut:,} texts were longer than the model reads, and were cut." if cut else "No text was cut."
        )
    if ties := result["ties"]["pairs"]:
        how = "counted as half a win for each answer" if result["ties"]["policy"] == "half" else "left out"
        lines.append(f"{ties:,} pairs were ties, {how}.")
    if out := result["left_out"]["count"]:
        lines.append(f"{out:,} rows were left out: {'; '.join(result['left_out']['reasons'])}.")
    if (seen := result.get("train_accuracy", {}).get("value")) is not None:
        lines.append(f"On the pairs it was trained on its accuracy is {seen:.3f}: the further above the one on unseen pairs, the "
                     "more it learnt by heart.")  # fmt: skip
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))


def estimate(row: Mapping[str, Any]) -> Estimate:
    return Estimate(**row)
