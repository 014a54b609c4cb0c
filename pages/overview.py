"""What state the project is in, and what to do next."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import streamlit as st

from core.estimate import Estimate
from core.next_steps import Situation, next_steps
from core.roles import Identity
from pages._progress import progress_bar
from pages._session import campaign, choose_campaign, read, require
from pages._standing import in_use, settled, steps
from storage import overview
from storage.overview import Counts
from storage.simulated import load_sample
from storage.workbench import workbench

DAYS = 14
SOURCES = {"person": "People", "api": "API", "import": "Imported", "simulated": "Simulated"}
COLOURS = {"People": "#2F86C8", "API": "#7FB8E0", "Imported": "#E8833A", "Simulated": "#A3A3A3"}


def welcome(who: Identity) -> None:
    """The first visit: load the sample, or start empty."""
    st.title("Welcome to Attune", anchor=False)
    if not who.may("lead"):
        st.info(
            "There is nothing here yet. A lead sets the project up; you will see it here as soon as they have."
        )
        return
    st.write(
        "Bring prompts, let two models answer, have people say which answer is better, and see how far to trust them."
    )
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.subheader("Look around first", anchor=False)
        st.write(
            "72 prompts in math, coding, reasoning and general knowledge, two answers each, and 216 annotations by "
            "**simulated** annotators, labelled as such everywhere. You can be the fourth annotator of every pair."
        )
        st.button(
            "Load the sample project", type="primary", icon=":material/science:", on_click=load, args=(who,)
        )
    with right.container(border=True, height="stretch"):
        st.subheader("Bring your own", anchor=False)
        st.write(
            "Start with an empty project: upload prompts (JSON, JSONL, CSV, Parquet) and let models answer them, or "
            "import pairs that you have, with or without labels."
        )
        st.button(
            "Start empty", icon=":material/add:", on_click=st.session_state.update, args=({"started": True},)
        )


def load(who: Identity) -> None:
    bench = workbench()
    choose_campaign(load_sample(bench.store, bench.desks, who.id).id)


def numbers(counts: Counts, pairs: int, agreement: Estimate) -> None:
    """The project in five figures."""
    annotations = sum(counts.annotations.values())
    tiles = st.columns([3, 3, 3, 3, 4])
    unpaired = f"{counts.unpaired:,} without answers" if counts.unpaired else "all with answers"
    _tile(tiles[0], "Prompts", f"{counts.prompts:,}", unpaired if counts.prompts else "none yet")
    _tile(tiles[1], "Pairs", f"{pairs:,}", f"of {counts.pairs:,} in the store")
    share = counts.simulated / annotations if annotations else 0
    colour = "orange" if share else "gray"
    _tile(
        tiles[2],
        "Annotations",
        f"{annotations:,}",
        f"{share:.0%} simulated" if annotations else "none yet",
        colour,
    )
    simulated = (
        f"{counts.panel:,} simulated" if counts.panel else "none simulated" if annotations else "none yet"
    )
    _tile(tiles[3], "Annotators", f"{counts.people + counts.panel:,}", simulated)
    if agreement.value is None:
        _tile(tiles[4], "Agreement (α)", "–", "cannot be computed yet", help=agreement.reason)
        return
    interval = f"{agreement.low:.2f}–{agreement.high:.2f}" if agreement.low is not None else "no interval"
    reached = agreement.target is not None and agreement.value >= agreement.target
    about = f"Krippendorff's alpha over all choices, simulated annotators included, with its 95% interval; {agreement.n:,} pairs."
    _tile(
        tiles[4], "Agreement (α)", f"{agreement.value:.2f}", f"{interval} · target {agreement.target:.2f}",
        "green" if reached else "orange", help=about,
    )  # fmt: skip


def _tile(
    place: st.delta_generator.DeltaGenerator,
    label: str,
    value: str,
    note: str,
    colour: str = "gray",
    help: str | None = None,
) -> None:
    place.metric(
        label, value, note, delta_color=colour, delta_arrow="off", border=True, help=help, height="stretch"
    )


def chart(per_day: list[tuple[date, str, int]], today: date) -> None:
    """Annotations a day, by where they come from."""
    st.subheader(
        "Annotations a day",
        anchor=False,
        help="Days in UTC. Skips, and annotations changed or undone since, are left out.",
    )
    if not per_day:
        st.caption(f"None in the last {DAYS} days.")
        return
    days = [today - timedelta(days=n) for n in reversed(range(DAYS))]
    table = pd.DataFrame(0, index=[f"{day:%d %b}" for day in days], columns=list(SOURCES.values()))
    for day, source, n in per_day:
        table.loc[f"{day:%d %b}", SOURCES[source]] = n
    table = table.loc[:, table.any()]
    colours = [COLOURS[name] for name in table.columns]
    st.bar_chart(table, color=colours, height=240, y_label="", sort=False)


who = require("researcher")
selected = campaign()
counts = read(overview.counts, selected.id)
if not (counts.prompts or counts.pairs or st.session_state.get("started")):
    welcome(who)
    st.stop()
today = datetime.now(UTC).date()
progress = read(overview.progress, selected.id)
agreement = read(overview.agreement, selected.id)
learning = read(overview.learning, selected.id, workbench().settings.reward_minimum)
disputed = read(overview.disputed, selected.id, selected.k)
situation = Situation(
    counts.prompts, counts.unpaired, counts.pairs, progress.pairs, progress.done, progress.wanted, selected.k,
    counts.human, counts.simulated, bool(selected.guidelines.strip()), selected.repeat_share, agreement, learning, disputed,
    read(overview.compared, selected.id),
)  # fmt: skip
st.title("Overview", anchor=False)
numbers(counts, progress.pairs, agreement)
left, right = st.columns([3, 2], gap="large")
with left:
    steps(who, next_steps(situation))
with right:
    st.subheader("Progress", anchor=False)
    progress_bar(progress)
    settled(disputed)
    in_use(learning)
    chart(read(overview.per_day, selected.id, today - timedelta(days=DAYS - 1)), today)
