"""Prompts: find and edit them; the ways to add some are next door."""

from math import ceil

import pandas as pd
import streamlit as st

from core.roles import Identity
from pages._prompts_add import add_one, all_categories, one, upload
from pages._session import campaign_switch, only_campaign, read, require
from storage import prompts
from storage.tables import PromptRow
from storage.workbench import workbench

SIZE = 50
VIEWS = {"Browse": ":material/list:", "Add one": ":material/add:", "Upload": ":material/upload_file:"}


def main() -> None:
    who = require("researcher")
    head = st.container(horizontal=True, vertical_alignment="center")
    head.title("Prompts", anchor=False)
    view = "Browse"
    if who.may("lead"):
        view = st.segmented_control(
            "View", VIEWS, format_func=lambda v: f"{VIEWS[v]} {v}", default="Browse", required=True,
            key="prompts view", label_visibility="collapsed",
        )  # fmt: skip
    if view == "Browse":
        with head:
            campaign_switch("Prompts with a pair")
    {"Browse": browse, "Add one": add_one, "Upload": upload}[view](who)


def browse(who: Identity) -> None:
    if (done := st.session_state.pop("prompts done", None)) is not None:
        st.toast(done, icon=":material/check:")
    search_box, category_box, tag_box, archived_box = st.columns([4, 3, 2, 1.8], vertical_alignment="bottom")
    search = search_box.text_input("Search", placeholder="Words in the text, or an id", key="prompts search")
    counts = dict(read(prompts.categories))
    chosen = category_box.multiselect(
        "Category", counts, format_func=lambda name: f"{name} ({counts[name]:,})", placeholder="All"
    )
    tag = tag_box.selectbox("Tag", read(prompts.tags), index=None, placeholder="All")
    archived = archived_box.toggle("Archived", help="Show the prompts that were put away.")
    wanted = {"search": search.strip(), "categories": tuple(chosen), "tag": tag, "archived": archived,
              "campaign_id": only_campaign()}  # fmt: skip
    total = read(prompts.page, **wanted, limit=1)[1]
    if not total:
        empty(any(wanted.values()), who)
        return
    at = st.container()
    left, right = st.columns(2, vertical_alignment="center")
    pages = ceil(total / SIZE)
    number = right.pagination(pages, key=f"prompts page {wanted}") if pages > 1 else 1
    first = (number - 1) * SIZE
    rows, _ = read(prompts.page, **wanted, offset=first, limit=SIZE)
    left.caption(f"{first + 1:,} to {first + len(rows):,} of {total:,} prompts, the newest first")
    with at:
        picked = st.dataframe(
            pd.DataFrame(
                [(r.text, r.category, r.tags, ", ".join(f"{k}: {v}" for k, v in r.attributes.items()), r.created_at) for r in rows],
                columns=["text", "category", "tags", "attributes", "added"],
            ),
            hide_index=True, height=min(36 + 35 * len(rows), 420), on_select="rerun", selection_mode="multi-row",
            key=f"prompts rows {wanted} {number}",
            column_config={
                "text": st.column_config.TextColumn("Prompt", width=370),
                "category": st.column_config.TextColumn("Category", width=110),
                "tags": st.column_config.ListColumn("Tags", width=100),
                "attributes": st.column_config.TextColumn("Attributes", width=150),
                "added": st.column_config.DatetimeColumn("Added (UTC)", width=130, format="YYYY-MM-DD HH:mm", timezone="UTC"),
            },
        ).selection.rows  # fmt: skip
    selected = [rows[i] for i in picked if i < len(rows)]
    if selected and who.may("lead"):
        edit(selected, archived, who)
    elif not selected:
        st.caption(
            "Select a row to read it in full"
            + (", or several to edit them together." if who.may("lead") else ".")
        )
    if len(selected) == 1:
        full_text(selected[0])


def empty(narrowed: bool, who: Identity) -> None:
    if narrowed:
        st.info("No prompt matches. Widen the search or take a filter away.", icon=":material/search_off:")
        return
    st.info("There are no prompts yet. Add one by hand, upload a file of many, or load the sample project from the "
            "Overview.", icon=":material/chat_bubble:")  # fmt: skip
    if who.may("lead"):
        with st.container(horizontal=True):
            for view in ("Upload", "Add one"):
                st.button(f"{VIEWS[view]} {view}", on_click=st.session_state.update, args=({"prompts view": view},),
                          type="primary" if view == "Upload" else "secondary")  # fmt: skip


def edit(rows: list[PromptRow], archived: bool, who: Identity) -> None:
    ids = [row.id for row in rows]
    with st.container(border=True):
        st.markdown(f"**{len(rows)} selected**")
        a, b, c, d, e = st.columns([3, 1.2, 3.6, 1.2, 1.3], vertical_alignment="bottom")
        category = a.selectbox(
            "Category",
            all_categories(),
            index=None,
            accept_new_options=True,
            placeholder="Choose or type a new one",
            key="new category",
        )
        b.button("Set", key="set category", disabled=not category, width="stretch",
                 on_click=change, args=(ids, who.id), kwargs={"category": category})  # fmt: skip
        tags = c.multiselect("Tags", read(prompts.tags), default=rows[0].tags if len(rows) == 1 else [],
                             accept_new_options=True, placeholder="Choose or type", key=f"tags {ids}")  # fmt: skip
        d.button("Set", key="set tags", width="stretch", help="The prompts have these tags then, and no others.",
                 on_click=change, args=(ids, who.id), kwargs={"tags": tuple(tags)})  # fmt: skip
        e.button("Unarchive" if archived else "Archive", width="stretch", on_click=change, args=(ids, who.id),
                 kwargs={"archived": not archived}, help="An archived prompt is offered for nothing new; its pairs stay.")  # fmt: skip


def change(
    ids: list[str],
    actor: str,
    *,
    category: str | None = None,
    tags: tuple[str, ...] | None = None,
    archived: bool | None = None,
) -> None:
    checked = one("-", category or "general", tags or ())
    if checked is not None:
        n = prompts.edit(
            workbench().store, ids, actor, archived=archived,
            category=None if category is None else checked.category, tags=None if tags is None else checked.tags,
        )  # fmt: skip
        st.session_state["prompts done"] = f"{n} prompt{'s' if n > 1 else ''} changed"


def full_text(row: PromptRow) -> None:
    with st.container(border=True):
        st.caption(row.id)
        for message in prompts.record(row).messages:
            st.markdown(f":gray[{message.role}]")
            st.code(message.content, language=None, wrap_lines=True)


main()
