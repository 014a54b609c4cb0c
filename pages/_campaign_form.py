"""The rules of a campaign as fields, and what becomes of them when they are saved."""

import streamlit as st

from core.queueing import ORDERINGS
from pages._pair import readable
from pages._session import choose_campaign
from storage import campaigns, people
from storage.campaigns import CampaignError
from storage.tables import CampaignRow
from storage.workbench import workbench

ORDER_NAMES = {"random": "Random", "least_annotated": "Least annotated first"}
ASPECTS = ("helpful", "harmless", "honest")
MAX_ASPECTS = 10


def campaign_form(campaign: CampaignRow, actor: str) -> None:
    """Every rule of a campaign (one without an id is new); saving says what is wrong and keeps what was typed."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        _rules(campaign)
    with right:
        _guidelines(campaign)
        label = "Save" if campaign.id else "Create campaign"
        st.button(label, type="primary", icon=":material/check:", on_click=_save, args=(campaign, actor))
        if problem := st.session_state.pop("campaign_problem", None):
            st.error(problem, icon=":material/error:")


def _key(campaign: CampaignRow, field: str) -> str:
    return f"campaign:{campaign.id}:{field}"


def _rules(campaign: CampaignRow) -> None:
    """The fields beside the guidelines, each under the name of the campaign's column."""

    def key(field: str) -> str:
        return _key(campaign, field)

    st.text_input("Name", campaign.name, max_chars=100, key=key("name"))
    st.number_input(
        "Annotators a pair",
        1,
        100,
        campaign.k,
        key=key("k"),
        help="Each pair goes to so many people and never more.",
    )
    st.caption("What annotators may say")
    with st.container(horizontal=True):
        st.toggle("Tie", campaign.ties, key=key("ties"))
        st.toggle("Both bad", campaign.both_bad, key=key("both_bad"))
        st.toggle(
            "Strength",
            campaign.strength,
            key=key("strength"),
            help="How much better: slightly, clearly, far.",
        )
    st.multiselect(
        "Aspects", dict.fromkeys([*campaign.aspects, *ASPECTS]), campaign.aspects, key=key("aspects"),
        accept_new_options=True, max_selections=MAX_ASPECTS, placeholder="None",
        help="Asked one by one beside the overall choice. Type to add your own.",
    )  # fmt: skip
    everybody = {
        i: login or name
        for i, name, kind, login, _ in people.annotators(workbench().store)
        if kind == "person"
    }
    st.multiselect(
        "Who may work on it", everybody, [i for i in campaign.annotators if i in everybody], key=key("annotators"),
        format_func=everybody.__getitem__, placeholder="Everybody",
    )  # fmt: skip
    st.selectbox(
        "Order",
        ORDERINGS,
        ORDERINGS.index(campaign.ordering),
        format_func=ORDER_NAMES.__getitem__,
        key=key("ordering"),
    )
    gold, repeats, lease = st.columns(3)
    gold.number_input(
        "Gold (%)", 0, 50, round(campaign.gold_share * 100), 5, key=key("gold_share"),
        help="Pairs whose right answer is known, mixed in to see who is accurate. They do not count towards the work.",
    )  # fmt: skip
    repeats.number_input(
        "Repeats (%)", 0, 50, round(campaign.repeat_share * 100), 5, key=key("repeat_share"),
        help="Pairs shown to the same person again, sides swapped, to see whether they agree with themselves.",
    )  # fmt: skip
    lease.number_input(
        "Held for (min)", 1, 1440, campaign.lease_minutes, 5, key=key("lease_minutes"),
        help="So long a pair is kept for whoever has it open; then somebody else may have it.",
    )  # fmt: skip
    if campaign.id:
        st.toggle(
            "Archived",
            campaign.archived,
            key=key("archived"),
            help="Out of the choice in the sidebar; nothing is deleted.",
        )


def _guidelines(campaign: CampaignRow) -> None:
    """The guidelines, as they are written and as annotators see them."""
    text = st.text_area(
        "Guidelines (Markdown)", campaign.guidelines, height=260, max_chars=20_000, key=_key(campaign, "guidelines"),
        placeholder="What makes one answer better than the other?",
    )  # fmt: skip
    with st.container(border=True, key="preview"):
        st.caption("As annotators see it")
        st.markdown(readable(text) if text.strip() else "*Nothing yet.*")


def _save(campaign: CampaignRow, actor: str) -> None:
    """A click may arrive together with the last field's change, so the fields are read here and not when drawn."""
    bench = workbench()
    rules = campaign.model_dump()
    rules |= {f: st.session_state[_key(campaign, f)] for f in rules if _key(campaign, f) in st.session_state}
    rules["name"] = rules["name"].strip()
    for share in ("gold_share", "repeat_share"):
        rules[share] /= 100
    changed = CampaignRow(**rules)
    try:
        if campaign.id:
            with bench.desks[campaign.id].closed():
                campaigns.update(bench.store, changed, actor)
        else:
            choose_campaign(campaigns.create(bench.store, changed, actor).id)
    except CampaignError as error:
        st.session_state["campaign_problem"] = str(error)
    else:
        st.session_state.pop("editing", None)
        st.toast("Saved.", icon=":material/check:")
