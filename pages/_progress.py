"""How far a campaign is, and what is honestly known about what is left."""

from datetime import timedelta

import streamlit as st

from storage.campaigns import Progress


def progress_bar(progress: Progress) -> None:
    """The share done as a bar, with the counts it stands for, and the estimate under it."""
    if not progress.pairs:
        st.caption("No pairs in this campaign yet.")
        return
    counts = (
        f"**{progress.done / progress.wanted:.0%}** · {progress.done:,} of {progress.wanted:,} judgements · "
        f"{progress.complete:,} of {progress.pairs:,} pairs complete"
    )
    st.progress(progress.done / progress.wanted, text=counts)
    st.caption(estimate(progress))


def estimate(progress: Progress) -> str:
    """The work and the time left, each with what it rests on, or why it cannot be said."""
    if progress.left <= 0:
        return "Every pair has all its judgements."
    if progress.work_left is None:
        work = "The work left cannot be estimated until a person's judgement has been timed."
    else:
        work = f"About {_span(progress.work_left)} of work left, at a median of {progress.median_seconds:.0f} s a judgement."
    if progress.time_left is None:
        return f"{work} When it will be done cannot be said: no person has annotated in the last 24 hours."
    return f"{work} At the recent {progress.per_hour:,.0f} an hour, done after {_span(progress.time_left)} of annotating."


def _span(time: timedelta) -> str:
    minutes = time.total_seconds() / 60
    if minutes < 90:
        return f"{max(1, round(minutes))} min"
    return f"{minutes / 60:,.1f} h" if minutes < 600 else f"{minutes / 60:,.0f} h"
