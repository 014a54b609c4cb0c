"""Models: the versions of each, how they got on, two of them compared, in production, what they come from, and which is in use."""

from typing import Any

import streamlit as st

from pages._model_actions import ask
from pages._model_compare import compare
from pages._model_evolution import evolution
from pages._model_lineage import history, lineage
from pages._model_production import in_production
from pages._model_versions import no_model, versions
from pages._session import campaign_switch, only_campaign, read, require
from storage import models

VIEWS: dict[str, Any] = {
    "Versions": versions,
    "Evolution": evolution,
    "Compare": compare,
    "In production": in_production,
    "Lineage": lineage,
    "History": history,
}


def main() -> None:
    who = require("researcher")
    head = st.container(horizontal=True, vertical_alignment="center")
    head.title("Models", anchor=False)
    if not read(models.listed, archived=True):
        no_model(who, "Every training makes a version here, with its figures on pairs it has not seen, and you choose which version "
                 "is in use.")  # fmt: skip
        return
    found = read(models.listed, archived=True, campaign_id=only_campaign())
    names = list(dict.fromkeys(model.name for model in found))
    with head:
        campaign_switch("Versions that learnt from pairs")
        if not names:
            st.info("No version has learnt from this campaign alone.", icon=":material/filter_alt:")
            return
        name = st.selectbox(
            "Model",
            names,
            key="models name",
            label_visibility="collapsed",
            persist_state="session",
            width=280,
        )
    view = st.segmented_control("View", list(VIEWS), default="Versions", required=True, key="models view",
                                label_visibility="collapsed", persist_state="session")  # fmt: skip
    with st.spinner("Computing…"):
        VIEWS[view](name, who)
    ask(who)


main()
