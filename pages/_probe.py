"""The probe: a version against judgements of pairs whose prompts it has not learnt from."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from core.calibration import Reliability, reliability
from core.calibration_figures import reliability_figure
from core.held_out import BINS, HeldOut
from core.labels import LOST, Policy
from core.rewards.base import RewardError
from core.roles import Identity
from jobs import evaluate, ingest
from jobs.learning import start_on_model
from jobs.protocol import JobError
from pages._job import Listed, is_under_way, jobs
from pages._predicted import called, choose, estimate, pairs_list, policy, wrong
from pages._report import plain
from pages._session import campaign, read
from storage import annotations, learning, models
from storage import jobs as job_rows
from storage.learning import Report
from storage.models import Model
from storage.store import Store
from storage.tables import ProbeRow
from storage.workbench import workbench


def under_way() -> Listed:
    """The probes that have not ended."""
    return [one for one in ingest.listed(workbench(), 20, (evaluate.KIND,)) if is_under_way(*one)]


def probe(who: Identity) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        model = choose("probe model", who)
        if model is None:
            return
        offer(model, who)
        jobs(_jobs(model), who)
    log = read(models.probes, model.id)
    if not log:
        return
    chosen = logged(log)
    with right:
        reliable(model, chosen)
    disagreements(read(_said, model.id, chosen.id), chosen.id)


def offer(model: Model, who: Identity) -> None:
    """How many pairs there are to probe on, and why not more; the button that starts it."""
    simulated = "simulated" in read(annotations.kinds, campaign().id) and st.toggle("Count simulated annotators", key="probe simulated", persist_state="session",
                          help="A probe asks whether the model agrees with people; simulated annotators are left out unless you say so.")  # fmt: skip
    wanted = replace(read(policy, model.id), simulated=simulated)
    unseen = read(_unseen, campaign().id, wanted, model.id)
    pairs = "pair has" if unseen.usable == 1 else "pairs have"
    st.markdown(
        f"**{unseen.usable:,}** of the campaign’s {unseen.pairs:,} {pairs} a label that {plain(called(model))} has not learnt from."
    )
    if unseen.lost:
        st.caption("Left out: " + "; ".join(f"{n:,}, {LOST[why]}" for why, n in unseen.lost.items()) + ".")
    st.button(
        "Probe", type="primary", icon=":material/fact_check:", disabled=not unseen.usable or not who.may("lead"),
        help=None if who.may("lead") else "A lead can start a probe.", on_click=_start, args=(model, wanted, who.id),
    )  # fmt: skip


def _unseen(store: Store, campaign_id: str, wanted: Policy, model_id: str) -> Report:
    return learning.freeze(store, campaign_id, wanted, unseen_by=model_id).report


def _start(model: Model, wanted: Policy, actor: str) -> None:
    if any(is_under_way(*one) for one in _jobs(model)):
        return
    try:
        start_on_model(workbench(), evaluate.KIND, model.id, actor, campaign_id=campaign().id, policy=wanted)
    except (JobError, RewardError, ValueError) as error:
        st.error(plain(str(error)), icon=":material/error:")


def _jobs(model: Model) -> Listed:
    """The last probe of this version that was asked for, unless it is done and in the log."""
    label = f"{called(model)} · "
    found = [
        one for one in ingest.listed(workbench(), 20, (evaluate.KIND,)) if one[0].label.startswith(label)
    ]
    return [one for one in found[:1] if one[1].state != "done" or is_under_way(*one)]


def logged(log: list[ProbeRow]) -> ProbeRow:
    """The log, newest first; the probe that is chosen in it, else the newest."""
    st.subheader("Probes", anchor=False)
    names = read(job_rows.names)
    table = pd.DataFrame(
        [
            (row.created_at, names.get(row.actor, row.actor), row.figures.get("total"),
             *(estimate(row.figures, name) for name in ("accuracy", "log_loss", "ece")))
            for row in log
        ],
        columns=["When (UTC)", "By", "Pairs", "Accuracy", "Log loss", "ECE"],
    )  # fmt: skip
    picked = st.dataframe(
        table, hide_index=True, height=min(37 + 35 * len(log), 220), key="probe log", placeholder="",
        on_select="rerun", selection_mode=["single-row", "single-cell"],
        column_config={
            "When (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC", width=125),
            "Pairs": st.column_config.NumberColumn(format="localized", width=55),
            "Accuracy": st.column_config.TextColumn(help="How often the model prefers what most people prefer; pairs without a majority are left out. With its 95% interval."),
            "Log loss": st.column_config.TextColumn(help="The cross entropy with the votes; 0.693 is what a coin has."),
            "ECE": st.column_config.TextColumn(help="How far its probabilities are from what people did, on average."),
        },
    ).selection  # fmt: skip
    rows = [*picked.rows, *(row for row, _ in picked.cells)]
    return log[rows[0]] if rows else log[0]


def disagreements(found: HeldOut, probe_id: str) -> None:
    """The pairs on which the model and people disagree."""
    against = wrong(found)
    st.subheader(f"{len(against):,} disagreements in {len(found):,} pairs", anchor=False)
    if len(against):
        pairs_list(against, f"probe pairs {probe_id}")
    else:
        st.info("The model prefers what people prefer in every pair.", icon=":material/done_all:")


def reliable(model: Model, chosen: ProbeRow) -> None:
    """Whether the model's probabilities mean what they say."""
    st.subheader(
        "Reliability", anchor=False, help="How often people agree with the model, by how sure it was."
    )
    found = read(_reliability, model.id, chosen.id)
    figure = reliability_figure({"Probe": found}, 0.5).update_layout(height=330)
    figure.layout.annotations = ()
    st.plotly_chart(figure, config={"displayModeBar": False}, key="probe reliability")
    p = found.null.p_value
    verdict = (
        "chance alone rarely takes a calibrated model this far"
        if p <= 0.05
        else "nothing here speaks against calibration"
    )
    st.caption(
        f"{'p < 0.01' if p < 0.01 else f'p = {p:.2f}'}: {verdict}. Grey is where a calibrated model would be."
    )


def _reliability(store: Store, model_id: str, probe_id: str) -> Reliability:
    found = _said(store, model_id, probe_id)
    return reliability(found.towards(found.p), bins=BINS)


def _said(store: Store, model_id: str, probe_id: str) -> HeldOut:
    """What the model said in a probe, and what people said then."""
    table = models.predictions(store, model_id, ("probe",), probe_id=probe_id)
    return HeldOut.of(table.set_column(table.column_names.index("now"), "now", table["target"]))
