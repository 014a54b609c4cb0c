"""What the others said of a pair, for whoever has just resolved it."""

from collections import Counter

import pandas as pd
import streamlit as st

from core.judging import STRENGTHS
from pages._case import Case, go_on
from pages._scope import KINDS
from pages._verdict import CHOICES, side_of
from storage import annotations
from storage.workbench import workbench


def votes(case: Case) -> None:
    """What the others said of the pair that was just resolved."""
    store, lease = workbench().store, case.lease
    wanted = {"campaign_id": case.campaign_id, "pair_id": lease.pair_id}
    own, _ = annotations.page(store, **wanted, annotator_id=lease.annotator, resolutions=True, limit=1)
    if not own:  # undone in another tab
        go_on(case)
        st.rerun()
    (mine,) = own
    rows, _ = annotations.page(store, **wanted, limit=500)
    rows = [row for row in reversed(rows) if row["choice"] != "skip"]
    same = sum(row["choice"] == mine["choice"] for row in rows)
    with st.container(key="votes", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"You: **{said(mine['choice'], lease.a_left)}**, as {same} of {len(rows)} votes. "
                        + " · ".join(f"{said(choice, lease.a_left)} {n}" for choice, n in Counter(row["choice"] for row in rows).most_common()),
                        width="stretch")  # fmt: skip
            st.button(
                "Next pair",
                type="primary",
                shortcut="Enter",
                icon=":material/arrow_forward:",
                on_click=go_on,
                args=(case,),
            )
        table = pd.DataFrame(
            [
                (row["annotator"], KINDS["simulated"] if row["source"] == "simulated" else None, said(row["choice"], lease.a_left),
                 STRENGTHS.get(row["strength"]), row["confidence"], row["reason"])
                for row in rows
            ],
            columns=["Annotator", "Kind", "Said", "Strength", "Sure", "Why"],
        ).dropna(axis=1, how="all")  # fmt: skip
        st.dataframe(table, hide_index=True, height=min(37 + 35 * len(rows), 212), placeholder="", key=f"votes {lease.id}",
                     column_config={"Why": st.column_config.TextColumn(width="large")})  # fmt: skip


def said(choice: str, a_left: bool) -> str:
    """A choice in words of the screen."""
    return CHOICES[side_of(choice, a_left)][0]
