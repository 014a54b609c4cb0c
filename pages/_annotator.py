"""One annotator: their figures, how these went over time, and the pairs on which others differ from them."""

from typing import Any

import streamlit as st

from core.annotators import ENOUGH, FALSE_ALARMS, Profiles
from core.bias_figures import timeline_figure
from pages._annotators import EXPLAINED, NAMES, called, disagreements, profiles, timeline
from pages._bias import judged
from pages._bias_words import interval
from pages._predicted_pairs import pairs_table
from pages._report import plain
from pages._scope import KEPT, KINDS, Scope
from pages._session import read

SERIES = {
    "agreement": "Agreement with others",
    "pace": "Seconds for 1,000 characters",
    "left": "Prefers the left",
    "length": "Prefers the longer",
}
HELD = {"agreement": ", held against how far the others of a pair agree"}


def one(scope: Scope, hidden: bool) -> None:
    """The annotator chosen here, or clicked in the ranking."""
    judgements = judged(scope.campaign_id, scope.category, scope.kinds)
    names = dict(zip(judgements.annotators, called(judgements, hidden), strict=True))
    found = read(profiles, scope.campaign_id, scope.category, scope.kinds)
    ids = [judgements.annotators[row] for row in found.order("judged")]
    if st.session_state.get("annotator") not in names:
        st.session_state.pop("annotator", None)
    chosen = st.selectbox("Annotator", ids, format_func=names.__getitem__, width=360, key="annotator", **KEPT)
    row = judgements.annotators.index(chosen)
    st.markdown(
        f"**{plain(names[chosen])}** · {KINDS[judgements.kinds[row]].lower()} · {found.judged[row]:,} judgements, "
        f"{found.since[row].item():%Y-%m-%d} to {found.until[row].item():%Y-%m-%d}"
    )
    tiles(found, row)
    over_time((scope.campaign_id, scope.category, scope.kinds), found, row)
    st.subheader("Where others differ", anchor=False)
    table = read(disagreements, scope.campaign_id, scope.category, scope.kinds, row)
    if table.empty:
        st.info(
            "Nobody differs from them on a pair that both judged."
            if found.figures["agreement"].n[row]
            else "Nobody else has judged a pair of theirs, so there is nobody to differ.",
            icon=":material/done_all:",
        )
        return
    text, small = st.column_config.TextColumn, {"width": "small"}
    pairs_table(table, f"annotator pairs {chosen}", said=text("They", **small), others=text("Others", width="medium"),
                agreement=st.column_config.ProgressColumn("With them", min_value=0, max_value=1, format="percent", help="The share of others who chose the same."),
                at=st.column_config.DatetimeColumn("When (UTC)", format="YYYY-MM-DD HH:mm"))  # fmt: skip


def tiles(found: Profiles, row: int) -> None:
    """Every figure with its interval, or why it is missing."""
    columns = st.columns(4)
    for place, (name, label) in enumerate(NAMES.items()):
        estimate = found.figures[name][row]
        digits = 1 if name == "seconds" else 2
        value = "–" if estimate.value is None else f"{estimate.value:.{digits}f}"
        about = f"On {estimate.n:,} judgements, with a 95% interval." if estimate.value is not None else ""
        columns[place % 4].metric(
            label, value, "cannot be computed" if estimate.value is None else interval(estimate, digits), border=True,
            delta_color="off", delta_arrow="off", help=f"{EXPLAINED[name]} {estimate.reason or about}",
        )  # fmt: skip


def over_time(key: tuple[Any, ...], found: Profiles, row: int) -> None:
    """One figure in windows of equally many judgements, and whether it changed."""
    lines = read(timeline, *key, row)
    drawn = [name for name, line in lines.items() if any(e.value is not None for _, _, e in line.windows)]
    st.subheader("Over time", anchor=False)
    if not drawn:
        reason = next(iter(lines.values())).windows[0][2].reason
        st.info(f"There is nothing to draw. {reason}", icon=":material/timeline:")
        return
    shown = st.segmented_control("Figure", drawn, default=drawn[0], required=True, format_func=SERIES.__getitem__,
                                 key=f"annotator line {drawn}", label_visibility="collapsed", **KEPT)  # fmt: skip
    line = lines[shown]
    null = found.leanings[shown].null if shown in found.leanings else None
    st.plotly_chart(
        timeline_figure(line, SERIES[shown], null),
        key=f"annotator over time {shown}",
        config={"displayModeBar": False},
    )
    if line.p is None:
        said = f"Whether it changed cannot be told from fewer than {ENOUGH} judgements of this kind."
    elif line.p <= FALSE_ALARMS:
        said = (
            f"**It changed** (p = {line.p:.3f}), around {line.at:%Y-%m-%d}."
            if line.p >= 0.001
            else "**It changed** (p < 0.001)."
        )
    else:
        said = f"No change beyond chance{HELD.get(shown, '')} (p = {line.p:.2f})."
    st.markdown(said, help=f"A test on the running sum; of annotators who do not change at most {FALSE_ALARMS:.0%} are said to. How hard the pairs "
                "were (by the others’ agreement) and how long is taken out first.")  # fmt: skip
