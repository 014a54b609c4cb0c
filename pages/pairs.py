"""Pairs: find one, read it with its judgements, mark it as gold; bring in pairs that exist."""

from math import ceil
from typing import Any

import pandas as pd
import streamlit as st

from core.roles import Identity
from pages._pair import STYLE, answers, prompt
from pages._pairs_import import bring_in
from pages._report import plain
from pages._session import campaign, read, require
from storage import annotations, pairs, prompts
from storage.desk import ADJUDICATION
from storage.workbench import workbench

SIZE = 50
VIEWS = {"Browse": ":material/list:", "Import": ":material/upload_file:"}
GOLD = {"": "Not gold", "a": "A", "b": "B", "tie": "Tie", "both_bad": "Both bad"}
CHOICES = {"a": "A", "b": "B", "tie": "Tie", "both_bad": "Both bad", "skip": "Skipped"}
ROLES = {ADJUDICATION: "adjudicator", "simulated": "simulated", "import": "imported"}


def main() -> None:
    who = require("researcher")
    st.title("Pairs", anchor=False)
    of_campaign, pair_id = st.session_state.get("open pair", (None, None))
    if of_campaign == campaign().id:
        detail(pair_id, who)
        return
    view = "Browse"
    if who.may("lead"):
        view = st.segmented_control(
            "View", VIEWS, format_func=lambda v: f"{VIEWS[v]} {v}", default="Browse", required=True,
            key="pairs view", label_visibility="collapsed",
        )  # fmt: skip
    {"Browse": browse, "Import": bring_in}[view](who)


def browse(who: Identity) -> None:
    here = campaign()
    kept: dict[str, Any] = {"persist_state": "session"}
    search_box, category_box, all_box = st.columns([4, 3, 1.9], vertical_alignment="bottom")
    search = search_box.text_input(
        "Search", placeholder="Words in the prompt, or the id of a pair", key="pairs search", **kept
    )
    category = category_box.selectbox("Category", [name for name, _ in read(prompts.categories)], index=None,
                                      placeholder="All", key="pairs category", **kept)  # fmt: skip
    everywhere = all_box.toggle("All campaigns", key="pairs everywhere", **kept)
    wanted = {"search": search.strip(), "category": category, "campaign_id": None if everywhere else here.id}
    total = read(pairs.page, **wanted, limit=1)[1]
    if not total:
        empty(bool(search or category), who)
        return
    at = st.container()
    left, right = st.columns(2, vertical_alignment="center")
    count = ceil(total / SIZE)
    number = right.pagination(count, key=f"pairs page {wanted}") if count > 1 else 1
    first = (number - 1) * SIZE
    rows, _ = read(pairs.page, **wanted, offset=first, limit=SIZE)
    left.caption(
        f"{first + 1:,} to {first + len(rows):,} of {total:,} pairs, the newest first. Click one to open it."
    )
    key = f"pairs rows {wanted} {number}"
    table = pd.DataFrame(rows)
    table["names"] = [" ".join(letter for letter in "ab" if row[f"exposes_{letter}"]).upper() for row in rows]
    table["gold"] = [GOLD[row["gold"]] if row["gold"] else None for row in rows]
    text, number_column = st.column_config.TextColumn, st.column_config.NumberColumn
    at.dataframe(
        table, hide_index=True, height=min(37 + 35 * len(rows), 460), on_select=lambda: select(key, rows),
        selection_mode=["single-row", "single-cell"], key=key, placeholder="",
        column_order=["prompt", "category", "annotations", "gold", "names", "model_a", "model_b", "source"],
        column_config={
            "prompt": text("Prompt", width=320), "category": text("Category", width=90),
            "annotations": number_column("Judged", width=70, help="Judgements that stand, skips left out, in all campaigns."),
            "gold": text("Gold", width=70, help="The right choice, where it is known."),
            "names": text("Exposed", width=75, help="The answers that say which model wrote them; annotators see a mask."),
            "model_a": text("Model A", width=105), "model_b": text("Model B", width=105),
            "source": text("Source", width=90),
        },
    )  # fmt: skip


def select(key: str, rows: list[dict[str, Any]]) -> None:
    chosen = st.session_state[key].selection
    for i in [*chosen.rows, *(row for row, _ in chosen.cells)]:
        st.session_state["open pair"] = (campaign().id, rows[i]["id"])


def empty(narrowed: bool, who: Identity) -> None:
    if narrowed:
        st.info("No pair matches. Widen the search, or look in all campaigns.", icon=":material/search_off:")
        return
    st.info("This campaign has no pairs yet. Generate answers to your prompts, or import pairs that exist.",
            icon=":material/splitscreen_right:")  # fmt: skip
    if who.may("lead"):
        with st.container(horizontal=True):
            st.button("Import pairs", type="primary", icon=VIEWS["Import"], on_click=st.session_state.update,
                      args=({"pairs view": "Import"},))  # fmt: skip
            st.page_link("generate.py", label="Generate", icon=":material/auto_awesome:")


def detail(pair_id: str, who: Identity) -> None:
    bench = workbench()
    st.button(
        "All pairs",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=st.session_state.pop,
        args=("open pair",),
    )
    card = bench.desks.cards.get(pair_id)
    if card is None:
        st.warning("There is no such pair any more.")
        return
    row = read(pairs.page, search=pair_id, limit=1)[0][0]
    st.html(STYLE)
    prompt(card)
    for column, letter, response in zip(st.columns(2), "AB", (card.a, card.b), strict=True):
        settings = " · ".join(
            f"{k} {v}"
            for k, v in response.params.items()
            if k in ("provider", "temperature") and v is not None
        )
        column.caption(
            f"**{letter}** · {plain(response.model or 'model not known')}{' · ' if settings else ''}{plain(settings)}"
        )
    differences = st.session_state.get("pair differences", False)
    answers(card, a_left=True, differences=differences, unmasked=True)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.toggle("Show differences", key="pair differences")
        st.segmented_control("Gold: the right choice", GOLD, format_func=GOLD.__getitem__, default=row["gold"] or "", required=True,
                             key=f"gold {pair_id} {row['gold']}", disabled=not who.may("lead"), on_change=gold,
                             args=(pair_id, row["gold"], who.id), help="Gold pairs test annotators and the consensus.")  # fmt: skip
    history(pair_id)
    st.caption(f"{plain(row['external_id'] or pair_id)} · {plain(row['category'])} · from {plain(row['source'])} · "
               f"added {row['created_at']:%Y-%m-%d %H:%M} UTC")  # fmt: skip


def gold(pair_id: str, before: str | None, actor: str) -> None:
    bench = workbench()
    pairs.set_gold(
        bench.store, bench.desks, pair_id, st.session_state[f"gold {pair_id} {before}"] or None, actor
    )


def history(pair_id: str) -> None:
    rows = read(annotations.history, pair_id)
    standing = [
        row["preferred"] or row["verdict"]
        for row in rows
        if row["state"] == "stands" and row["source"] != ADJUDICATION
    ]
    st.subheader("Judgements", anchor=False)
    if not rows:
        st.caption("Nobody has judged this pair yet.")
        return
    st.markdown(
        " · ".join(
            f"{label} **{standing.count(name)}**" for name, label in CHOICES.items() if name in standing
        )
    )
    table = pd.DataFrame(
        [(r["annotator"], ROLES.get(r["source"], ""), CHOICES[r["preferred"] or r["verdict"]], r["state"], r["reason"], r["submitted_at"])
         for r in rows],
        columns=["Annotator", "As", "Choice", "State", "Reason", "When (UTC)"],
    )  # fmt: skip
    st.dataframe(table, hide_index=True, placeholder="", column_config={
        "As": st.column_config.TextColumn(width="small", help="An adjudicator’s word is no vote: it settles them and decides the label."),
        "State": st.column_config.TextColumn(help="An undone or changed judgement stays in the history."),
        "Reason": st.column_config.TextColumn(width="large"),
        "When (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC"),
    })  # fmt: skip


main()
