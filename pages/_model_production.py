"""A model in production: what each version answered, how fast and how well, and how good it was on votes cast since."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from core.estimate import Estimate
from core.held_out import UNITS
from core.production import ACCURACY, FEW, NO_VOTES, Period, Production, Service
from core.production_figures import quality_figure, requests_figure, service_figure
from core.report import PERCENT, told
from core.roles import Identity
from pages._model_evolution import PLAIN
from pages._model_versions import FIGURES, here, numbered, shown
from pages._reliability import counted
from pages._report import plain
from pages._session import allowed, read
from storage import production
from storage.models import Model

SERVICE = ("Latency", "Error rate", "Requests")
ROUTES = {"score": "/api/score", "rerank": "/api/rerank", "predict": "/api/predict", "page": "Predict page"}
KEPT: dict[str, Any] = {"persist_state": "session"}
TIME = "%Y-%m-%d %H:%M"
COLUMNS = {
    "Requests": st.column_config.NumberColumn(format="localized", width=80),
    "Texts": st.column_config.NumberColumn(
        format="localized", width=80, help="Answers that it was asked about."
    ),
    "p50": "p50, ms",
    "p95": "p95, ms",
    "Error rate": st.column_config.TextColumn(help="The share of requests that were not answered."),
}
MEANING = (
    f"p50 and p95 are the latency of the requests that were answered, within {ACCURACY:.0%}: from when a request came to its answer, with "
    "all waiting and the first loading of the model, without the network. Requests count by whichever name, alias or id they asked; intervals "
    "take them for independent."
)


def in_production(name: str, who: Identity) -> None:
    """Every version that was deployed or asked, and one of them over time."""
    periods, asked = read(production.deployments, name), read(production.asked)
    found = {m.id: m for m in shown(name, archived=True) if m.id in periods or m.id in asked}
    if not found:
        st.info(f"No version of {plain(name)}{here()} was deployed or asked yet. Deploy one under Versions: what it answers, how fast, and how "
                "good it is on votes cast since will show here.", icon=":material/rocket_launch:")  # fmt: skip
        return
    table(found, {model_id: read(production.of, model_id) for model_id in found})
    ids = list(found)
    start = next((i for i, model in enumerate(found.values()) if model.status == "deployed"), 0)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        chosen = st.selectbox("Version", ids, start, key=f"production version {name}", width=280, **KEPT,
                              format_func=lambda key: numbered(found[key]))  # fmt: skip
        wide = st.segmented_control("Window", ["automatic", *UNITS], default="automatic", required=True, format_func=str.capitalize,
                                    key="production window", **KEPT)  # fmt: skip
    over_time(found[chosen], read(production.of, chosen, None if wide == "automatic" else wide), who)


def table(found: dict[str, Model], made: dict[str, Production]) -> None:
    """A row a version, the latest first."""
    rows = [
        {
            "Version": found[key].version,
            "Deployed": standing(one.deployments),
            **served(one.service),
            "Accuracy since": told(one.quality.accuracy),
        }
        for key, one in made.items()
    ]
    st.dataframe(pd.DataFrame(rows).drop(columns="Texts"), hide_index=True, height="content", column_config={
        **COLUMNS,
        "Deployed": st.column_config.TextColumn(help="The last time, UTC; every deployment is below."),
        "Accuracy since": st.column_config.TextColumn(help="On pairs it had not seen, by the votes cast since it was first deployed."),
    })  # fmt: skip
    st.caption(
        f"{MEANING} Satisfaction and cost cannot be computed, because no feedback on answers and no price of a request is recorded yet."
    )


def over_time(model: Model, made: Production, who: Identity) -> None:
    """The quality of a version beside what it was deployed with, and its service."""
    if made.deployments:
        st.caption(f"Deployed {', '.join(map(lasted, made.deployments))} (UTC).")
    starts = [window.start for window in made.windows]
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Quality", anchor=False)
        quality(model, made, starts, allowed(who, "predict"))
    with right:
        st.subheader("Service", anchor=False)
        service(model, made, starts)
    if made.routes:
        rows = [{"Asked by": ROUTES[route], **served(one)} for route, one in made.routes.items()]
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=COLUMNS)


def quality(model: Model, made: Production, starts: list[datetime], may_probe: bool) -> None:
    if not made.deployments:
        st.info("It was never deployed: how good it is in production shows here once it was.", icon=":material/rocket_launch:")  # fmt: skip
        return
    if not made.pairs:
        st.info(f"{NO_VOTES} Annotate, then probe it on pairs it has not learnt from.", icon=":material/query_stats:")  # fmt: skip
        if may_probe:
            st.page_link("predict.py", label="Probe it", icon=":material/arrow_forward:")
        return
    key = st.segmented_control("Figure", list(FIGURES), default="accuracy", required=True, format_func=FIGURES.__getitem__,
                               key="production figure", label_visibility="collapsed", **KEPT)  # fmt: skip
    whole, before = getattr(made.quality, key), getattr(made.held_out, key)
    over = [getattr(window.quality, key) for window in made.windows]
    if any(one.value is not None for one in over):
        st.plotly_chart(quality_figure(starts, over, FIGURES[key], before), key=f"production quality {model.id}",
                        alt=f"{FIGURES[key]} in each window beside the figure it was deployed with", **PLAIN)  # fmt: skip
    st.markdown(
        f"**{told(whole)}** since it was deployed, on {counted(whole.n)}; deployed with {told(before)}."
    )
    st.caption(f"Pairs it had not seen, by the votes cast since it was first deployed, in the window of their latest one; with 95% intervals "
               f"over prompts. Windows of fewer than {FEW} pairs are left out.")  # fmt: skip


def service(model: Model, made: Production, starts: list[datetime]) -> None:
    if not made.service.requests:
        st.info("It was not asked yet: `POST /api/score`, `/api/rerank` or `/api/predict`, or rank answers on the Predict page.",
                icon=":material/data_usage:")  # fmt: skip
        return
    kind = st.segmented_control("Service", SERVICE, default="Latency", required=True, key="production service",
                                label_visibility="collapsed", **KEPT)  # fmt: skip
    over = [window.service for window in made.windows]
    if kind == "Requests":
        figure = requests_figure(starts, [one.requests for one in over])
    elif kind == "Latency":
        lines = {"p50": [one.p50 for one in over], "p95": [one.p95 for one in over]}
        figure = service_figure(starts, lines, "Milliseconds", share=False)
    else:
        figure = service_figure(starts, {kind: [one.error_rate for one in over]}, kind, share=True)
    st.plotly_chart(figure, key=f"production {kind} {model.id}", alt=f"{kind} in each window", **PLAIN)


def served(service: Service) -> dict[str, object]:
    """The columns of what was answered."""
    return {
        "Requests": service.requests,
        "Texts": service.texts,
        "p50": milliseconds(service.p50),
        "p95": milliseconds(service.p95),
        "Error rate": told(service.error_rate, PERCENT),
    }


def milliseconds(estimate: Estimate) -> str:
    """To two digits, as more are not known."""
    known = (estimate.value, estimate.low, estimate.high)
    value, low, high = (None if one is None else float(f"{one:.2g}") for one in known)
    return told(replace(estimate, value=value, low=low, high=high), "{:,g}")


def standing(deployments: list[Period]) -> str:
    """When a version was last deployed."""
    if not deployments:
        return "never"
    last = deployments[-1]
    return f"since {last.since:{TIME}}" if last.until is None else f"until {last.until:{TIME}}"


def lasted(period: Period) -> str:
    return f"{period.since:{TIME}} to {'now' if period.until is None else format(period.until, TIME)}"
