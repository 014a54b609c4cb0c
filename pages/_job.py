"""The jobs of a campaign: how far each is, how to stop it or go on, and what it could not do."""

import time
from datetime import timedelta

import pandas as pd
import streamlit as st

from core.roles import Identity
from jobs import ingest
from jobs.launcher import Status
from pages._report import plain
from storage.tables import JobRow
from storage.workbench import workbench

SHOWN = 8
POLL_SECONDS = 1.0
BADGES = {
    "queued": (":material/schedule:", "gray"),
    "running": (":material/progress_activity:", "blue"),
    "done": (":material/check:", "green"),
    "failed": (":material/error:", "red"),
    "cancelled": (":material/stop_circle:", "orange"),
}


def jobs(campaign_id: str, who: Identity) -> None:
    """The campaign's latest jobs; looked at again every second for as long as one of them is under way."""
    found = _listed(campaign_id)
    if not found:
        st.caption("No job has run in this campaign yet.")
        return
    under_way = any(_is_under_way(job, status) for job, status in found)
    st.fragment(_draw, run_every=POLL_SECONDS if under_way else None)(campaign_id, who, under_way)


def _draw(campaign_id: str, who: Identity, was_under_way: bool) -> None:
    found = _listed(campaign_id)
    for job, status in found:
        with st.container(border=True):
            _one(job, status, who)
    if was_under_way != any(_is_under_way(job, status) for job, status in found):
        st.rerun()


def _go_on(job: JobRow, actor: str) -> None:
    if ingest.status(workbench(), job).state not in ("queued", "running"):
        ingest.resume(workbench(), job, actor)


def _listed(campaign_id: str) -> list[tuple[JobRow, Status]]:
    return [found for found in ingest.listed(workbench(), 50) if found[0].campaign_id == campaign_id][:SHOWN]


def _is_under_way(job: JobRow, status: Status) -> bool:
    return status.state in ("queued", "running") or not job.ingested


def _one(job: JobRow, status: Status, who: Identity) -> None:
    icon, colour = BADGES[status.state]
    title, buttons = st.columns([3, 2], vertical_alignment="center")
    title.markdown(f"**{plain(job.label)}** :{colour}-badge[{icon} {status.state}]")
    title.caption(f"Started {job.created_at:%Y-%m-%d %H:%M} UTC")
    with buttons.container(horizontal=True, horizontal_alignment="right"):
        if status.state in ("queued", "running"):
            st.button("Cancel", key=f"cancel {job.id}", on_click=ingest.cancel, args=(workbench(), job, who.id),
                      help="What it has done so far is kept.")  # fmt: skip
        elif status.state != "done" or status.failed:
            label = "Try the failed ones again" if status.state == "done" else "Go on"
            st.button(label, key=f"resume {job.id}", on_click=_go_on, args=(job, who.id),
                      help="Prompts that have their pair are not asked again.")  # fmt: skip
        failing = status.failed and st.toggle(f"{status.failed:,} failed: why", key=f"failures {job.id}")
    if status.total:
        st.progress(min(1.0, (status.done + status.failed) / status.total), text=_progress(job, status))
    if status.reason:
        st.caption(plain(status.reason))
    if failing:
        rows = [(failure.prompt_id, failure.reason) for failure in ingest.failures(workbench(), job)]
        st.dataframe(
            pd.DataFrame(rows, columns=["Prompt", "Reason"]),
            hide_index=True,
            height=min(36 * len(rows) + 38, 240),
        )


def _progress(job: JobRow, status: Status) -> str:
    text = f"{status.done:,} of {status.total:,} prompts have a pair"
    if status.failed:
        text += f" · {status.failed:,} failed"
    if status.state == "running":
        return f"{text} · {_left(job, status)}"
    if status.state != "queued":
        text += (
            " · in the campaign, ready to annotate" if job.ingested else " · being taken into the campaign"
        )
    return text


def _left(job: JobRow, status: Status) -> str:
    """The time left at the pace since this session first looked."""
    finished = status.done + status.failed
    since, before = st.session_state.setdefault(f"pace {job.id}", (time.monotonic(), finished))
    if finished <= before:
        return "time left not known yet"
    seconds = (time.monotonic() - since) / (finished - before) * (status.total - finished)
    return f"about {timedelta(seconds=round(seconds))} left"
