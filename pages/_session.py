"""Who is at the page, which campaign it is narrowed to, and reads that are remembered until the store changes."""

import logging
import secrets
import threading
from collections.abc import Callable, Hashable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import streamlit as st

from core.roles import Identity, Role
from storage import campaigns, people
from storage.store import Store, StoreError
from storage.tables import CampaignRow
from storage.workbench import workbench

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
COOKIE = "attune_session"
PAGES: dict[str, list[tuple[str, str, str, Role]]] = {
    "": [("overview", "Overview", "space_dashboard", "researcher")],
    "Annotate": [
        ("annotate", "Annotate", "compare", "annotator"),
        ("my_annotations", "My annotations", "history", "annotator"),
    ],
    "Collect": [
        ("prompts", "Prompts", "chat_bubble", "researcher"),
        ("generate", "Generate", "auto_awesome", "lead"),
        ("pairs", "Pairs", "splitscreen_right", "researcher"),
        ("campaigns", "Campaigns", "flag", "lead"),
    ],
    "Agree": [
        ("agreement", "Agreement", "handshake", "researcher"),
        ("annotators", "Annotators", "groups", "researcher"),
        ("bias", "Bias", "balance", "researcher"),
        ("adjudicate", "Adjudicate", "gavel", "lead"),
        ("timeline", "Timeline", "timeline", "researcher"),
        ("ranking", "Model ranking", "leaderboard", "researcher"),
    ],
    "Learn": [
        ("train", "Train", "model_training", "lead"),
        ("job_queue", "Jobs", "manufacturing", "researcher"),
        ("models", "Models", "deployed_code", "researcher"),
        ("calibration", "Calibration", "straighten", "researcher"),
        ("alignment", "Alignment", "join_inner", "researcher"),
        ("predict", "Predict", "psychology_alt", "researcher"),
    ],
    "See": [("drift", "Drift", "compare_arrows", "researcher")],
    "Ship": [
        ("export", "Export", "ios_share", "researcher"),
        ("experiments", "Experiments", "science", "researcher"),
    ],
    "Guard": [("people", "People", "group", "admin"), ("audit", "Audit", "fact_check", "lead")],
}
"""The navigation: by group, each page's file, title, icon and the role it is for."""
_NARROWED = "only this campaign"
_ROLES = {name: role for group in PAGES.values() for name, _, _, role in group}


def identity() -> Identity | None:
    """Who is asking: by their session's cookie, or by the name they gave where sign-in is off."""
    bench = workbench()
    if bench.settings.auth == "off":
        name = st.session_state.get("name")
        return read(people.annotator, name) if name else None
    return people.who(bench.store, st.context.cookies.get(COOKIE, ""), "session")


def require(role: Role = "annotator") -> Identity:
    """Who is asking, if their role may do this; else the page ends here with the reason."""
    who = identity()
    if who is None:
        st.info("Sign in first.", icon=":material/login:")
        st.stop()
    if not who.may(role):
        st.warning(f"This page is for the role {role} and above; you are {who.role}.", icon=":material/lock:")
        st.stop()
    return who


def allowed(who: Identity, page: str) -> bool:
    """Whether somebody may open a page, named by its file without ``.py``."""
    return who.may(_ROLES[page])


def open_campaigns(who: Identity) -> list[CampaignRow]:
    """The campaigns somebody may choose, oldest first: those in use, for annotators only the ones they may work on."""
    listed = read(campaigns.listed) or [campaigns.first(workbench().store)]
    return [c for c in listed if who.may("researcher") or not c.annotators or who.id in c.annotators]


def campaign() -> CampaignRow:
    """The campaign chosen in the sidebar; the page ends here with the reason when none is open to whoever asks."""
    found = open_campaigns(require())
    if not found:
        st.info("No campaign is open to you yet. Ask a lead to add you to one.", icon=":material/hourglass:")
        st.stop()
    return next((c for c in found if c.id == st.session_state.get("campaign")), found[0])


def choose_campaign(campaign_id: str) -> None:
    """Narrow the pages to a campaign; for callbacks, since the sidebar has drawn its choice by the time a page runs."""
    st.session_state["campaign"] = campaign_id


def campaign_switch(what: str) -> None:
    """A switch that narrows a page about the whole project to ``what`` of the campaign chosen in the sidebar, and every such page with it."""
    st.toggle("Only this campaign", key=_NARROWED, persist_state="session", width="content",
              help=f"{what} of the campaign that is chosen in the sidebar.")  # fmt: skip


def only_campaign() -> str | None:
    """The id of the sidebar's campaign while ``campaign_switch`` is on; None for all."""
    return campaign().id if st.session_state.get(_NARROWED) else None


_lock = threading.Lock()
_reads: dict[Hashable, tuple[int, Any]] = {}
_read_at: Hashable = None


def read(query: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``query(store, *args)``, remembered for everybody until the store changes: hashable arguments; do not mutate it."""
    return _remembered(0, query, *args, **kwargs)


def read_live(query: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As ``read``, for what rests on the traffic of a product too."""
    return _remembered(workbench().store.traffic, query, *args, **kwargs)


def _remembered(
    traffic: int, query: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    global _read_at
    store = workbench().store
    at, key = (store, store.revision), (query, args, tuple(sorted(kwargs.items())))
    with _lock:
        if at != _read_at:
            _reads.clear()
            _read_at = at
        when, value = _reads.get(key, (None, None))
        if when == traffic:
            return cast(T, value)
    value = query(store, *args, **kwargs)
    with _lock:
        if at == _read_at:
            _reads[key] = traffic, value
    return value


def apologise(error: Exception) -> bool:
    """Say that a page failed: what the store lacks, else an id that finds its traceback in the server's log; never the traceback."""
    if isinstance(error, StoreError):
        st.error(f"{error} Nothing was half-saved.", icon=":material/error:")
        return True
    name = secrets.token_hex(4)
    logger.error("page error %s", name, exc_info=error)
    st.error(
        f"Something went wrong here, and it was not your input. Nothing was half-saved. Reload the page to go on; "
        f"if it happens again, tell your admin the number **{name}**, which finds it in the server's log.",
        icon=":material/error:",
    )
    return True
