"""Jobs: everything that runs, waits or has ended, newest first."""

import streamlit as st

from jobs import ingest
from pages._job import KINDS, Listed, card, live
from pages._session import allowed, campaign_switch, only_campaign, read, require
from storage import jobs as job_rows
from storage.workbench import workbench

STATES = ["Under way", "Done", "Failed", "Cancelled"]
PAGE = 10


def main() -> None:
    require("researcher")
    live(page, listed)


def listed() -> Listed:
    """The jobs on the page, and all that wait or run."""
    kinds = st.session_state.get("jobs kinds") or []
    return ingest.listed(workbench(), st.session_state.get("jobs shown", PAGE), kinds, only_campaign())


def page() -> None:
    who = require("researcher")
    st.title("Jobs", anchor=False)
    total = read(job_rows.count)
    if not total:
        st.info(
            "Nothing has run yet. Training, probes and generation run as jobs, and show here.",
            icon=":material/manufacturing:",
        )
        for name, label in (("train", "Train a model"), ("generate", "Generate pairs")):
            if allowed(who, name):
                st.page_link(f"{name}.py", label=label, icon=":material/arrow_forward:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.pills("Kinds", KINDS, selection_mode="multi", key="jobs kinds", format_func=KINDS.__getitem__,
                 label_visibility="collapsed")  # fmt: skip
        campaign_switch("Jobs")
        st.caption(slots(), text_alignment="right")
    found = listed()
    if not found:
        st.info("No such job has run yet.", icon=":material/filter_alt:")
    places = queue()
    for job, status in found:
        with st.container(border=True, key=f"job-{job.id}"):
            card(job, status, who, place=places.get(job.id, ""))
    if len(found) == st.session_state.get("jobs shown", PAGE) and len(found) < total:
        st.button("Show more", on_click=more, icon=":material/expand_more:")


def queue() -> dict[str, str]:
    """The place in the queue of each job that waits: those that compute wait for one another, as do those that ask a provider."""
    bench, places, waiting = workbench(), {}, {True: 0, False: 0}
    for job in job_rows.waiting(bench.store):
        if ingest.status(bench, job).state == "queued":
            light = ingest.is_light(ingest.run_of(bench, job))
            waiting[light] += 1
            place = waiting[light]
            places[job.id] = "next" if place == 1 else f"number {place}"
    return places


def slots() -> str:
    n = workbench().settings.job_slots
    return (
        "One job computes at a time; the others wait."
        if n == 1
        else f"{n} jobs compute at a time; the others wait."
    )


def more() -> None:
    st.session_state["jobs shown"] = st.session_state.get("jobs shown", PAGE) + PAGE


main()
