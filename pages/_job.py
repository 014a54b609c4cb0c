"""Jobs on a page: how far each is, how to stop it or go on, what it said, what it could not do, and who is told of its end."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st

from core.roles import Identity
from core.training_figures import HELD_OUT, training_figure
from jobs import ingest
from jobs.launcher import Status
from jobs.protocol import JobError, Run, metrics, read_json
from pages._fine_tune import outcome
from pages._report import plain
from pages._session import read
from storage import jobs as job_rows
from storage.tables import JobRow
from storage.workbench import workbench

Listed = Sequence[tuple[JobRow, Status]]
SHOWN = 8
POLL_SECONDS = 1.0
LOG_BYTES = 20_000
_POLLING = "a fragment polls"
BADGES = {
    "queued": (":material/schedule:", "gray"),
    "running": (":material/progress_activity:", "blue"),
    "done": (":material/check:", "green"),
    "failed": (":material/error:", "red"),
    "cancelled": (":material/stop_circle:", "orange"),
}
KINDS = {
    "generate-pairs": "Generation",
    "train-reward": "Training",
    "fine-tune": "Fine-tuning",
    "calibrate": "Calibration",
    "evaluate": "Probe",
    "score": "Scoring",
    "drift": "Drift",
}
UNITS = {"embedding": "texts embedded", "training": "steps"}
ENDED = {
    "done": ("is done", ":material/check_circle:"),
    "failed": ("has failed", ":material/error:"),
    "cancelled": ("was cancelled", ":material/stop_circle:"),
}


def live(draw: Callable[[], None], find: Callable[[], Listed]) -> None:
    """Draw a page, again every second for as long as a job that ``find`` finds is under way.

    The page is one fragment, so that the poll and what somebody does on it are runs of the same: where two runs end
    together, Streamlit leaves standing what the first of them no longer draws.
    """
    was = _under_way(find())
    st.session_state[_POLLING] = bool(was)

    def again() -> None:
        draw()
        if _under_way(find()) != was:
            st.rerun()

    st.fragment(again, run_every=POLL_SECONDS if was else None)()


def _under_way(found: Listed) -> set[str]:
    return {job.id for job, status in found if is_under_way(job, status)}


def is_under_way(job: JobRow, status: Status) -> bool:
    return status.state in ("queued", "running") or not job.ingested


def of_campaign(campaign_id: str) -> Listed:
    """The campaign's latest generations."""
    return ingest.listed(workbench(), SHOWN, ["generate-pairs"], campaign_id)


def tell_of_ends(who: Identity) -> bool:
    """A toast for each of somebody's jobs that has ended since this was last asked; whether there was one."""
    since = st.session_state.setdefault("jobs seen", datetime.now(UTC))
    ended = read(job_rows.ended_since, since, who.id)
    for job in ended:
        how, icon = ENDED[job.state or "failed"]
        st.toast(f"{KINDS.get(job.kind, job.kind)} {how}: {plain(job.label)}", icon=icon, duration="long")
        st.session_state["jobs seen"] = job.ended_at
    return bool(ended)


def watch(who: Identity, page: str) -> None:
    """On a page without a fragment that polls, where a second one would be in its way: look every few seconds whether a job of somebody's has ended, while one is under way."""
    polls = st.session_state.pop(_POLLING, page == "annotate")
    if not polls and any(job.actor == who.id for job in read(job_rows.waiting)):
        st.fragment(_look, run_every=3 * POLL_SECONDS)(who.id)


def _look(actor: str) -> None:
    if job_rows.ended_since(workbench().store, st.session_state["jobs seen"], actor):
        st.rerun()


def card(job: JobRow, status: Status, who: Identity, *, charts: bool = True, place: str = "") -> None:
    """One job: where it stands and what may be done about it. ``place`` is its place in the queue, in words."""
    run, lead = ingest.run_of(workbench(), job), who.may("lead")
    title, buttons = st.columns([3, 2], vertical_alignment="center")
    title.markdown(f"**{plain(job.label)}** {badge(status)}")
    title.caption(_about(job, status, run, place))
    with buttons.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        shown = st.pills(
            "Show", _views(job, status, run, charts), key=f"show {job.id}", label_visibility="collapsed"
        )
        if lead and place and place != "next":
            st.button("Start next", key=f"ahead {job.id}", on_click=_ahead, args=(job, who.id),
                      help="It starts before all others that wait.")  # fmt: skip
        if lead:
            _actions(job, status, run, who)
    if (status.total and status.state != "done") or status.failed:
        st.progress(min(1.0, (status.done + status.failed) / status.total), text=progress(job, status, run))
    elif job.kind == "generate-pairs" and status.total:
        st.progress(1.0, text=progress(job, status, run))
    if status.reason:
        if status.state == "failed":
            st.markdown(f":small[:red[{plain(status.reason)}]]")
        else:
            st.caption(plain(status.reason))
    if job.kind == "fine-tune":
        outcome(run)
    if shown == "Log":
        log(run)
    elif shown == "Curves":
        curves(run, job.id)
    elif shown:
        _failures(job)


def badge(status: Status) -> str:
    """The state as a Markdown badge."""
    icon, colour = BADGES[status.state]
    return f":{colour}-badge[{icon} {status.state}]"


def _about(job: JobRow, status: Status, run: Run, place: str) -> str:
    name = read(job_rows.names).get(job.actor, job.actor)
    parts = [KINDS.get(job.kind, job.kind), plain(name), f"{job.created_at:%Y-%m-%d %H:%M} UTC"]
    if took := _took(status, run):
        parts.append(f"{'running for' if status.state == 'running' else 'took'} {span(took)}")
    if job.time_limit:
        parts.append(f"stops after {span(timedelta(seconds=job.time_limit))}")
    if place:
        parts.append(place if place == "next" else f"{place} in the queue")
    return " · ".join(parts)


def _took(status: Status, run: Run) -> timedelta | None:
    """How long the job ran, the last time it was started."""
    if not (process := read_json(run.process_file)):
        return None
    ended = (status.result or {}).get("finished_at")
    until = datetime.fromisoformat(ended) if ended else datetime.now(UTC)
    if ended is None and status.state != "running":
        return None
    return max(timedelta(), until - datetime.fromtimestamp(process["started"], UTC))


def span(time: timedelta) -> str:
    """A length of time in the words of a clock's dial."""
    seconds = time.total_seconds()
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _views(job: JobRow, status: Status, run: Run, charts: bool) -> list[str]:
    views = ["Log"] if run.log_file.exists() else []
    if charts and by_steps(run):
        views.insert(0, "Curves")
    return [f"{status.failed:,} failed: why", *views] if status.failed else views


def _actions(job: JobRow, status: Status, run: Run, who: Identity) -> None:
    if status.state in ("queued", "running"):
        asked = bool(run.asked_to_stop())
        st.button("Stopping…" if asked else "Cancel", key=f"cancel {job.id}", disabled=asked, on_click=ingest.cancel,
                  args=(workbench(), job, who.id), help="What it has done so far is kept.")  # fmt: skip
    elif ingest.can_go_on(run, status):
        label = "Try the failed ones again" if status.state == "done" else "Go on"
        st.button(label, key=f"resume {job.id}", on_click=_go_on, args=(job, who.id),
                  help="What is done is not done again.")  # fmt: skip


def _go_on(job: JobRow, actor: str) -> None:
    if ingest.status(workbench(), job).state not in ("queued", "running"):
        try:
            ingest.resume(workbench(), job, actor)
        except JobError as error:
            st.toast(plain(str(error)), icon=":material/error:")


def _ahead(job: JobRow, actor: str) -> None:
    job_rows.ahead(workbench().store, job.id, actor)


def progress(job: JobRow, status: Status, run: Run) -> str:
    """How far the job is, in its own words."""
    if job.kind == "generate-pairs":
        text = f"{status.done:,} of {status.total:,} prompts have a pair"
        if status.failed:
            text += f" · {status.failed:,} failed"
        if status.state not in ("queued", "running"):
            return text + (
                " · in the campaign, ready to annotate"
                if job.ingested
                else " · being taken into the campaign"
            )
    else:
        phase, _, fit = status.phase.partition(": ")
        if status.total == 1 and phase:
            return phase.capitalize()
        text = f"{status.done:,} of {status.total:,} {UNITS.get(phase, 'done')}"
        if fit:
            text += f" · {fit}"
    if status.state != "running":
        return text
    if status.done + status.failed >= status.total:
        return f"{text} · going on"
    if status.seconds_left is None:
        return f"{text} · time left not known yet"
    left = span(timedelta(seconds=max(1, round(status.seconds_left))))
    return f"{text} · about {left} left{' of this part' if by_steps(run) else ''}"


def by_steps(run: Run) -> bool:
    """Whether the job is a training that goes by steps, here or at a provider, and so has curves."""
    match read_json(run.job_file):
        case {"kind": "fine-tune"}:
            return True
        case {"kind": "train-reward", "arguments": told}:
            return bool(told.get("method", "sbert") != "sbert")
    return False


def curves(run: Run, key: str) -> None:
    """The metrics so far of the fit that a training's figures are of."""
    steps = {"loss", HELD_OUT}
    events = [event for event in metrics(run) if event.keys() & steps and "fit" not in event]
    if len(events) < 2:
        st.caption("The curves begin with the second step.")
        return
    st.plotly_chart(training_figure(events), config={"displayModeBar": False}, key=f"curves {key}")


def log(run: Run) -> None:
    """The end of what the job printed."""
    text = run.log(LOG_BYTES).strip()
    st.code(
        text or "Nothing was printed.",
        language=None,
        wrap_lines=True,
        height=min(340, 60 + 22 * text.count("\n")),
    )


def _failures(job: JobRow) -> None:
    rows = [(failure.prompt_id, failure.reason) for failure in ingest.failures(workbench(), job)]
    st.dataframe(
        pd.DataFrame(rows, columns=["Prompt", "Reason"]),
        hide_index=True,
        height=min(36 * len(rows) + 38, 240),
    )


def jobs(found: Listed, who: Identity) -> None:
    """A card for each job."""
    for job, status in found:
        with st.container(border=True):
            card(job, status, who)
