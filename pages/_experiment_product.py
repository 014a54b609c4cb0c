"""An experiment in a team's own product: how it asks for an arm and sends what came of it, and what it sent as a file."""

import streamlit as st

from core.experiments import METRICS
from core.roles import Identity
from pages._session import read_live
from storage import experiments
from storage.experiments import Experiment

PYTHON = """import httpx

attune = httpx.Client(base_url="http://localhost:8501/api", headers={{"Authorization": "Bearer TOKEN"}})

arm = attune.get("/experiments/{id}/assign", params={{"unit": user}}).json()
attune.post("/score", json={{"model": arm["model"]["id"], "items": items}})      # or /rerank, /predict

outcomes = [{{"unit": user, "metric": "{metric}", "value": {value}, "id": "one of your own"}}]
attune.post("/experiments/{id}/outcomes", json={{"outcomes": outcomes}})
"""


def in_product(one: Experiment, who: Identity) -> None:
    """The few lines that a product needs."""
    measure = METRICS[one.metric]
    value = {"rating": "4", "win": "1", "latency": "0.8", "cost": "0.02", "tickets_deflected": "1"}[
        one.metric
    ]
    st.markdown("A unit is whatever your product gives a version: a user, a team, a conversation. It asks for a unit’s arm each time, and the answer "
                "stays the same; what came of it may be sent at once or later, one by one or 10,000 together.")  # fmt: skip
    st.code(PYTHON.format(id=one.id, metric=one.metric, value=value), language="python")
    rows = [f"| `{name}` | {m.label} | {m.low:g} to {m.high:,.0f}{m.unit} | {'more' if m.better > 0 else 'less'} is better |"
            for name, m in METRICS.items()]  # fmt: skip
    st.markdown("\n".join(["| metric | | value | |", "|---|---|---|---|", *rows]))
    st.caption(f"{measure.label} decides. An outcome with an `id` that is there already adds nothing, so a batch may be sent again. `at` says when it came "
               "(with its time zone); without it, now.")  # fmt: skip
    st.download_button("Download the outcomes (CSV)", lambda: read_live(experiments.outcomes, one.id).to_pandas().to_csv(index=False).encode(),
                       "outcomes.csv", "text/csv", icon=":material/download:", on_click="ignore", key=f"outcomes {one.id}")  # fmt: skip
