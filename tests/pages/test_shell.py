"""The frame: who sees which pages, the name where sign-in is off, the campaign, and what a failing page shows."""

import logging
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.roles import ROLES, Role
from pages._session import open_campaigns, read
from storage import campaigns, people
from storage.tables import CampaignRow
from storage.workbench import Workbench

Visit = Callable[..., AppTest]
ANNOTATING = ["annotate", "my_annotations"]
READING = [
    "overview", *ANNOTATING, "prompts", "pairs", "agreement", "annotators", "bias", "timeline", "ranking", "drift", "alignment", "job_queue", "models", "calibration", "predict", "export", "experiments",
]  # fmt: skip
LEADING = [*READING, "generate", "campaigns", "adjudicate", "train", "audit"]
MAY: dict[Role, set[str]] = {
    "annotator": set(ANNOTATING),
    "researcher": set(READING),
    "lead": set(LEADING),
    "admin": {*LEADING, "people"},
}


def navigation(app: AppTest) -> set[str]:
    """The files of the pages that are registered."""
    return {
        str(page["script_path"]).rpartition("/")[2].removesuffix(".py")
        for page in app._registered_pages.values()
    } - {""}


def test_without_a_name_only_the_name_is_asked(visit: Visit, bench: Workbench) -> None:
    app = visit(name="")
    assert [field.label for field in app.text_input] == ["Your name"]
    assert not app.sidebar.children
    app.text_input[0].set_value("   ")
    app.button[0].click().run()
    assert "name: needs 1 to 100 printable characters" in app.error[0].value
    app.text_input[0].set_value("Ada Lovelace")
    app.button[0].click().run()
    assert app.session_state["name"] == "Ada Lovelace"
    assert "Ada Lovelace" in [text.value for text in app.sidebar.text]
    assert bench.store.rows("SELECT name, kind FROM annotator") == [("Ada Lovelace", "person")]


def test_a_name_can_be_changed(visit: Visit) -> None:
    app = visit()
    app.sidebar.button[0].click().run()
    assert [field.label for field in app.text_input] == ["Your name"]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_its_pages_and_no_other(
    role: Role, visit: Visit, sample: Workbench, sign_in: Callable[[Role], str]
) -> None:
    sign_in(role)
    app = visit(name="")
    assert not app.exception
    assert navigation(app) == MAY[role]
    assert role.capitalize() in [caption.value for caption in app.sidebar.caption]


def test_a_session_that_ended_shows_the_way_back(
    visit: Visit, bench: Workbench, sign_in: Callable[[Role], str]
) -> None:
    account = sign_in("annotator")
    _, link = people.create(bench.store, "boss", "Boss", "admin", "test")
    people.accept(bench.store, link, "correct horse battery")
    people.change(bench.store, account, "boss", disabled=True)
    app = visit(name="")
    assert not app.sidebar.children
    assert app.header[0].value == "You are signed out"


def test_the_campaign_of_the_address_is_chosen_and_survives_a_page_change(
    visit: Visit, sample: Workbench
) -> None:
    campaigns.create(sample.store, CampaignRow(id="", name="Second"), "test")
    second = campaigns.listed(sample.store)[1].id
    app = visit(campaign="Second")
    assert not app.exception and not app.error and app.title[0].value == "Overview"
    assert list(app.sidebar.selectbox(key="campaign").options) == ["Sample project", "Second"]
    app.switch_page("campaigns.py").run()
    assert app.sidebar.selectbox(key="campaign").value == second
    assert app.query_params["campaign"] == "Second"
    app.sidebar.selectbox(key="campaign").select_index(0).run()
    assert "campaign" not in app.query_params


def test_the_campaign_of_the_address_is_still_chosen_once_the_name_is_given(
    visit: Visit, sample: Workbench
) -> None:
    second = campaigns.create(sample.store, CampaignRow(id="", name="Second"), "test")
    app = visit(name="", campaign="Second")
    app.text_input[0].set_value("Ada Lovelace")
    app.button[0].click().run()
    assert not app.exception and app.title[0].value == "Overview"
    assert app.session_state["campaign"] == app.sidebar.selectbox(key="campaign").value == second.id


def test_a_campaign_of_the_address_that_there_is_not_leaves_the_first(
    visit: Visit, sample: Workbench
) -> None:
    app = visit(campaign="Nowhere")
    assert app.sidebar.selectbox(key="campaign").value == campaigns.first(sample.store).id


def test_annotators_choose_among_the_campaigns_they_may_work_on(bench: Workbench) -> None:
    ada, bob = (people.annotator(bench.store, name) for name in ("Ada", "Bob"))
    shared = campaigns.first(bench.store)
    only_bob = campaigns.create(bench.store, CampaignRow(id="", name="Bob's", annotators=[bob.id]), "test")
    as_annotator = type(ada)(ada.id, ada.name, "annotator")
    assert [c.id for c in open_campaigns(as_annotator)] == [shared.id]
    assert [c.id for c in open_campaigns(ada)] == [shared.id, only_bob.id]


def test_a_page_opened_by_the_wrong_role_ends_with_the_reason(
    bench: Workbench, sign_in: Callable[[Role], str]
) -> None:
    sign_in("annotator")

    def script() -> None:
        import streamlit as st

        from pages._session import require

        require("lead")
        st.write("secret")

    app = AppTest.from_function(script).run()
    assert "you are annotator" in app.warning[0].value
    assert not app.markdown


def test_reads_are_remembered_until_the_store_changes(bench: Workbench) -> None:
    asked = []

    def count(store: object, word: str) -> int:
        asked.append(word)
        return len(asked)

    assert [read(count, "x"), read(count, "x"), read(count, "y")] == [1, 1, 2]
    with bench.store.writing():
        pass
    assert read(count, "x") == 3


def test_a_failing_page_shows_a_number_and_logs_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def script() -> None:
        from pages._session import apologise

        try:
            raise ValueError("the secret reason")
        except ValueError as error:
            assert apologise(error)

    with caplog.at_level(logging.ERROR):
        app = AppTest.from_function(script).run()
    shown = app.error[0].value
    number = shown.split("**")[1]
    assert "secret reason" not in shown
    assert number in caplog.text and "the secret reason" in caplog.text
