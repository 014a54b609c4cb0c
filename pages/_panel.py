"""Simulated annotators for a campaign: who they are, what they are like, how many a pair, from which seed."""

from dataclasses import asdict

import pandas as pd
import streamlit as st

from core.roles import Identity
from core.simulation import SimulatedAnnotator, ability, default_panel
from pages._report import plain
from pages._session import read
from storage import simulated
from storage.tables import CampaignRow
from storage.workbench import workbench

NumberColumn = st.column_config.NumberColumn
COLUMNS = {
    "name": st.column_config.TextColumn("Name", required=True, default="Simulated"),
    "accuracy": NumberColumn("Accuracy", format="%.1f %%", min_value=1.0, max_value=99.9, required=True, default=90.0,
                             help="How often the better answer wins where the two differ as much as can be and no bias acts; 50% guesses."),
    "position_bias": NumberColumn("Position bias", format="%.2f", min_value=-5.0, max_value=5.0, required=True, default=0.0,
                                  help="Logits in favour of the left answer: 0 for none; 1 turns 50% into 73%."),
    "length_bias": NumberColumn("Length bias", format="%.2f", min_value=-5.0, max_value=5.0, required=True, default=0.0,
                                help="Logits in favour of the longer answer for each factor e (2.72) in length."),
    "tie_rate": NumberColumn("Ties", format="%.0f %%", min_value=0.0, max_value=95.0, required=True, default=10.0,
                             help="The share of ties between answers that are equally good; none where the campaign offers no tie."),
    "seconds": NumberColumn("Seconds a pair", format="%.0f", min_value=1.0, max_value=3600.0, required=True, default=30.0,
                            help="The median for a pair of 1,000 characters."),
}  # fmt: skip


def panel(row: CampaignRow, who: Identity) -> None:
    """Set up the panel and let it annotate."""
    bench = workbench()
    st.subheader("Simulated annotators", anchor=False)
    st.warning(
        "For demos, load tests and planning. Their answers are drawn from a model, not read from the texts. They are "
        "labelled simulated wherever they show, but they take places of this campaign.", icon=":material/smart_toy:",
    )  # fmt: skip
    items = read(simulated.unjudged, row.id)
    if not items:
        st.info(
            "Every pair of this campaign has a judgement already; the panel takes only pairs that nobody has judged."
        )
        return
    usual = [asdict(one) | {"accuracy": 100 * one.accuracy, "tie_rate": 100 * one.tie_rate} for one in default_panel()]  # fmt: skip
    table = pd.DataFrame(usual, columns=list(COLUMNS))
    told = st.data_editor(
        table, num_rows="dynamic", hide_index=True, height="content", column_config=COLUMNS, key="panel"
    )
    st.caption(
        "An annotator is known by name: give one that you change a new name, unless its judgements are to count with the earlier ones."
    )
    left, right, _ = st.columns([1, 1, 2])
    most = max(1, min(row.k, len(told)))
    per_pair = left.number_input(
        "Annotators a pair", 1, most, max(1, min(most, row.k - 1)), key=f"simulated:{row.id}:{most}"
    )
    seed = right.number_input(
        "Seed", 0, 2**31 - 1, 1, help="The same panel and seed give the same answers, and add nothing twice."
    )
    label = f"Let them annotate {len(items):,} pairs"
    if st.button(label, type="primary", icon=":material/smart_toy:", disabled=told.empty):
        try:
            with st.spinner("Annotating…"):
                simulated.annotate(
                    bench.store, bench.desks, row.id, items, crew(told, row.ties), per_pair, int(seed), who.id
                )
        except ValueError as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            st.rerun()


def crew(told: pd.DataFrame, ties: bool) -> list[SimulatedAnnotator]:
    """The annotators of the table. Raises ValueError where one cannot be."""
    return [
        SimulatedAnnotator(
            labelled(str(one["name"]).strip()), ability(one["accuracy"] / 100), one["position_bias"], one["length_bias"],
            one["tie_rate"] / 100 if ties else 0.0, one["seconds"],
        )
        for one in told.to_dict("records")
    ]  # fmt: skip


def labelled(name: str) -> str:
    """The name, which says that it is of a simulated annotator."""
    return name if not name or name.startswith("Simulated") else f"Simulated · {name}"
