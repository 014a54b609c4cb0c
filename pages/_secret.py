"""Secrets that are shown once: one-time links and API tokens."""

import streamlit as st

from core.roles import Identity
from storage import people
from storage.people import PeopleError
from storage.workbench import workbench


def keep(about: str, value: str) -> None:
    """Keep a new secret for this session alone, until whoever made it has copied it."""
    st.session_state["secret"] = (about, value)


def reveal() -> None:
    """The secret that was just made, if there is one."""
    if "secret" in st.session_state:
        about, value = st.session_state["secret"]
        with st.container(border=True):
            st.text(about)
            st.code(value, language=None, wrap_lines=True)
            st.button("Done, I have copied it", on_click=st.session_state.pop, args=("secret",))


def tokens(who: Identity) -> None:
    """The API tokens: made here, shown once, revoked here."""
    store = workbench().store
    st.subheader("API tokens", anchor=False)
    with (
        st.form("token", clear_on_submit=True, border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        label = st.text_input("For", max_chars=people.MAX_NAME, placeholder="nightly import", width=280)
        names = {a.id: a.login for a in people.accounts(store) if not a.disabled}
        owner = st.selectbox("Acts as", names, format_func=names.__getitem__, width=220)
        if st.form_submit_button("Create token", icon=":material/key:"):
            try:
                value = people.create_token(store, owner, label, who.id)
            except PeopleError as error:
                st.error(str(error))
            else:
                keep(f"API token “{label}”. Only its digest is kept, so copy it now.", value)
                st.rerun()
    for token, account in people.tokens(store):
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            st.text(
                f"{token.label} · acts as {account.login} · since {token.created_at:%Y-%m-%d}",
                width="stretch",
            )
            st.button("Revoke", key=f"revoke {token.id}", icon=":material/delete:", on_click=people.revoke,
                      args=(store, token.id, who.id))  # fmt: skip
