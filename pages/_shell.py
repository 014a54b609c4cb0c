"""The frame around every page: who you are, which pages are yours, and the campaign they are narrowed to."""

from pathlib import Path

import streamlit as st

from core.roles import Identity
from pages._job import tell_of_ends, watch
from pages._session import PAGES, allowed, identity, open_campaigns
from storage import people
from storage.workbench import workbench

HERE = Path(__file__).parent
ASSETS = HERE.parent / "assets"


def main() -> None:
    st.set_page_config(page_title="Attune", page_icon=ASSETS / "icon.svg", layout="wide")
    st.html(ASSETS / "style.css")
    st.logo(ASSETS / "logo.svg", icon_image=ASSETS / "icon.svg", size="large")
    who = identity()
    groups = navigation(who)
    landing = next(iter(groups.values()))[0]
    home = st.Page(
        lambda: st.switch_page(landing), title="Attune", url_path="home", default=True, visibility="hidden"
    )
    listed = {**groups, "": [home, *groups.get("", [])]}
    page = st.navigation(listed, position="sidebar" if who else "hidden", expanded=True)
    if who is None:
        enter(landing if page is home else page)
        return
    with st.sidebar:
        choose(who)
        with st.container(key="account", horizontal=True, vertical_alignment="center", wrap=False):
            account(who)
    tell_of_ends(who)
    page.run()
    watch(who, page.url_path)


def navigation(who: Identity | None) -> dict[str, list[st.Page]]:
    """The pages somebody's role may see, by group; the first of them is where they land.

    All pages before it is known who asks, so that the address they came with is still there afterwards.
    """
    groups: dict[str, list[st.Page]] = {}
    for group, pages in PAGES.items():
        for name, title, icon, _ in pages:
            if who is None or allowed(who, name):
                page = st.Page(HERE / f"{name}.py", title=title, icon=f":material/{icon}:")
                groups.setdefault(group, []).append(page)
    return groups


def choose(who: Identity) -> None:
    """The campaign that the pages are narrowed to: at first that of ?campaign=name in the address, which follows the choice.

    A widget bound to the address would do the same, but under it Streamlit refuses to switch pages.
    """
    names = {c.id: c.name for c in open_campaigns(who)}
    if not names:
        return
    asked = (key for key, name in names.items() if name == st.query_params.get("campaign"))
    if st.session_state.get("campaign") not in names:
        st.session_state["campaign"] = next(asked, next(iter(names)))
    chosen = st.selectbox("Campaign", names, format_func=names.__getitem__, key="campaign")
    if chosen != next(iter(names)):
        st.query_params["campaign"] = names[chosen]
    elif "campaign" in st.query_params:
        del st.query_params["campaign"]


def account(who: Identity) -> None:
    """Who is signed in, and the way out."""
    off = workbench().settings.auth == "off"
    with st.container(gap=None):
        st.text(who.name)
        st.caption("Sign-in is off" if off else who.role.capitalize())
    if off:
        st.button(
            "Change name",
            type="tertiary",
            icon=":material/edit:",
            on_click=st.session_state.pop,
            args=("name",),
        )
    else:
        st.html(
            '<form method="post" action="/auth/sign-out"><button>Sign out</button></form>', width="content"
        )


def enter(page: st.Page) -> None:
    """Ask who is there: a name where sign-in is off, which leads to the page; else the way to the sign-in page."""
    _, middle, _ = st.columns([1, 1.2, 1])
    with middle, st.container(key="enter"):
        if workbench().settings.auth != "off":
            st.header("You are signed out")
            st.markdown('Your session has ended. <a href="/auth/sign-in" target="_self">Sign in</a>')
            return
        with st.form("who", enter_to_submit=True):
            st.header("Who is annotating?", anchor=False)
            st.write("Your annotations carry this name. Use the same one next time to find your work again.")
            name = st.text_input("Your name", max_chars=people.MAX_NAME, placeholder="Ada Lovelace")
            if st.form_submit_button("Start", type="primary", width="stretch"):
                try:
                    st.session_state["name"] = people.annotator(workbench().store, name).name
                except people.PeopleError as error:
                    st.error(str(error))
                else:
                    st.switch_page(page, query_params=st.query_params.to_dict())


main()
