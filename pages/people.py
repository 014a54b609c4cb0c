"""People: accounts and their roles, API tokens, and whoever annotations are attributed to."""

from urllib.parse import urlsplit

import pandas as pd
import streamlit as st

from core.roles import ROLES, Identity
from pages._secret import keep, reveal, tokens
from pages._session import read, require
from storage import people
from storage.people import PeopleError
from storage.tables import AccountRow
from storage.workbench import workbench

ROLE_HELP = (
    "annotator: annotates · researcher: also reads prompts, pairs, agreement and exports · "
    "lead: also sets up work and reads the audit · admin: also manages people"
)


def accounts(who: Identity) -> None:
    """Who may sign in, and what can be done about one of them."""
    store = workbench().store
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Accounts", anchor=False)
        with st.popover(
            "Add a person", icon=":material/person_add:", type="primary", key="adding", on_change="rerun"
        ):
            add(who)
    reveal()
    everybody = people.accounts(store)
    table = pd.DataFrame(
        [(a.name, a.login, a.role, state(a), a.created_at) for a in everybody],
        columns=["Name", "Login", "Role", "State", "Since"],
    )
    since = st.column_config.DateColumn("Since", format="YYYY-MM-DD")
    picked = st.dataframe(
        table, hide_index=True, on_select="rerun", selection_mode="single-row-required", height="content",
        selection_default={"selection": {"rows": [0]}}, column_config={"Since": since}, key="accounts",
    )["selection"]["rows"]  # fmt: skip
    if picked and picked[0] < len(everybody):
        one(everybody[picked[0]], who)
    if problem := st.session_state.pop("people_problem", None):
        st.error(problem, icon=":material/error:")


def state(account: AccountRow) -> str:
    if account.disabled:
        return "disabled"
    invited = account.password_hash is None and workbench().settings.auth == "password"
    return "invited, no password yet" if invited else "active"


def add(who: Identity) -> None:
    """The form for a new account."""
    with st.form("add", border=False):
        st.text_input("Login", max_chars=people.MAX_NAME, placeholder="ada", key="new_login")
        st.text_input("Name", max_chars=people.MAX_NAME, placeholder="Ada Lovelace", key="new_name")
        st.selectbox("Role", ROLES, help=ROLE_HELP, key="new_role")
        st.form_submit_button("Add", type="primary", on_click=create, args=(who,))
    if problem := st.session_state.pop("add_problem", None):
        st.error(problem, icon=":material/error:")


def create(who: Identity) -> None:
    login, name, role = (st.session_state[key] for key in ("new_login", "new_name", "new_role"))
    try:
        account, link = people.create(workbench().store, login, name, role, who.id)
    except PeopleError as error:
        st.session_state["add_problem"] = str(error)
    else:
        invite(account, link)
        st.session_state.update(new_login="", new_name="", adding=False)


def one(account: AccountRow, who: Identity) -> None:
    """What can be done about one account."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.text(account.name, width="stretch")
        st.selectbox(
            "Role", ROLES, ROLES.index(account.role), key=f"role {account.id} {account.role}", width=180,
            label_visibility="collapsed", on_change=change_role, args=(account, who),
        )  # fmt: skip
        if workbench().settings.auth == "password" and not account.disabled:
            st.button("New link", icon=":material/link:", on_click=invite_again, args=(account, who),
                      help="For a forgotten password. Their sessions and earlier links end.")  # fmt: skip
        label, icon = ("Enable", "lock_open") if account.disabled else ("Disable", "block")
        st.button(
            label,
            icon=f":material/{icon}:",
            on_click=change,
            args=(account, who),
            kwargs={"disabled": not account.disabled},
        )


def change_role(account: AccountRow, who: Identity) -> None:
    change(account, who, role=st.session_state[f"role {account.id} {account.role}"])


def change(account: AccountRow, who: Identity, **to: object) -> None:
    try:
        people.change(workbench().store, account.id, who.id, **to)
    except PeopleError as error:
        st.session_state["people_problem"] = str(error)
        st.session_state.pop(f"role {account.id} {account.role}", None)


def invite_again(account: AccountRow, who: Identity) -> None:
    invite(account, people.invite_again(workbench().store, account.id, who.id))


def invite(account: AccountRow, link: str) -> None:
    """Keep a one-time link until it has been copied."""
    if workbench().settings.auth == "password":
        at = urlsplit(st.context.url or "http://localhost:8501")
        about = f"One-time link for {account.login}, good for {people.INVITATION.days} days. Send it to them; it is shown only here."
        keep(about, f"{at.scheme}://{at.netloc}/auth/invitation/{link}")


def annotators() -> None:
    """Whoever annotations are attributed to, by kind."""
    st.subheader("Annotators", anchor=False)
    listed = read(people.annotators)
    if not listed:
        st.caption("Nobody yet.")
        return
    table = pd.DataFrame(listed, columns=["id", "Name", "Kind", "Login", "Annotations"])
    kinds = table.groupby("Kind").agg(n=("id", "size"), annotations=("Annotations", "sum"))
    shown = [f"{row.n:,} {kind} ({row.annotations:,} annotations)" for kind, row in kinds.iterrows()]
    st.caption(" · ".join(shown))
    table = table.sort_values("Annotations", ascending=False)
    st.dataframe(
        table[["Name", "Kind", "Annotations"]], hide_index=True, height=min(420, 38 + 35 * len(table))
    )


who = require("admin")
st.title("People", anchor=False)
if workbench().settings.auth == "off":
    st.info(
        "**Sign-in is off.** Attune answers on this machine only, everybody here has every role, and people say who they "
        "are by name. To serve a team, set `ATTUNE_AUTH=password` (or `oidc`) and start again: the first start prints a "
        "one-time link to make the first admin, who then adds people, roles and API tokens on this page.",
        icon=":material/lock_open:",
    )
    annotators()
else:
    view = st.segmented_control("View", ("Accounts", "API tokens", "Annotators"), default="Accounts", required=True,
                                label_visibility="collapsed")  # fmt: skip
    if view == "Accounts":
        accounts(who)
    elif view == "API tokens":
        reveal()
        tokens(who)
    else:
        annotators()
