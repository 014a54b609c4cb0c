"""People: what sign-in off means, accounts, one-time links, roles, tokens."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.roles import Role
from storage import people
from storage.workbench import Workbench

Visit = Callable[..., AppTest]


def press(app: AppTest, label: str) -> AppTest:
    app = next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def add(app: AppTest, login: str, name: str, role: Role) -> AppTest:
    app.text_input(key="new_login").set_value(login)
    app.text_input(key="new_name").set_value(name)
    app.selectbox(key="new_role").set_value(role)
    return press(app, "Add")


def test_with_sign_in_off_it_says_how_to_turn_it_on_and_lists_annotators(
    visit: Visit, sample: Workbench
) -> None:
    app = visit("people")
    assert "ATTUNE_AUTH=password" in app.info[0].value
    assert "6 simulated (216 annotations)" in " ".join(caption.value for caption in app.caption)
    assert set(app.dataframe[0].value["Kind"]) == {"simulated", "person"}


def test_a_person_is_added_with_a_link_that_works_once(
    visit: Visit, bench: Workbench, sign_in: Callable[[Role], str]
) -> None:
    sign_in("admin")
    app = add(visit("people", name=""), "grace", "Grace Hopper", "lead")
    link = app.code[0].value
    assert "/auth/invitation/" in link
    account = people.accept(bench.store, link.rpartition("/")[2], "a long enough password")
    assert (account.login, account.role) == ("grace", "lead")
    press(app, "Done, I have copied it")
    assert not app.code


def test_a_taken_login_is_refused_and_stays_in_the_field(
    visit: Visit, sign_in: Callable[[Role], str]
) -> None:
    sign_in("admin")
    app = add(visit("people", name=""), "admin", "Another", "annotator")
    assert app.error[0].value == "login: 'admin' is taken"
    assert app.text_input(key="new_name").value == "Another"


def test_the_last_admin_stays_admin(visit: Visit, bench: Workbench, sign_in: Callable[[Role], str]) -> None:
    admin = sign_in("admin")
    app = visit("people", name="")
    app.selectbox(key=f"role {admin} admin").set_value("annotator").run()
    assert "this is the last admin" in app.error[0].value
    assert app.selectbox(key=f"role {admin} admin").value == "admin"
    press(app, "Disable")
    assert "this is the last admin" in app.error[0].value
    assert [(a.role, a.disabled) for a in people.accounts(bench.store)] == [("admin", False)]


def test_a_role_changes_and_a_forgotten_password_gets_a_new_link(
    visit: Visit, bench: Workbench, sign_in: Callable[[Role], str]
) -> None:
    sign_in("admin")
    first, _ = people.create(bench.store, "aaa", "First in the list", "annotator", "test")
    app = visit("people", name="")
    app.selectbox(key=f"role {first.id} annotator").set_value("researcher").run()
    assert {a.login: a.role for a in people.accounts(bench.store)}["aaa"] == "researcher"
    press(app, "New link")
    assert people.invited(bench.store, app.code[0].value.rpartition("/")[2])[0]
    press(app, "Disable")
    assert "disabled" in list(app.dataframe[0].value["State"])


def test_a_token_is_shown_once_works_and_is_revoked(
    visit: Visit, bench: Workbench, sign_in: Callable[[Role], str]
) -> None:
    admin = sign_in("admin")
    app = visit("people", name="")
    app.segmented_control[0].set_value("API tokens").run()
    press(app, "Create token")
    assert app.error[0].value == "label: needs 1 to 100 printable characters"
    app.text_input[0].set_value("nightly import")
    press(app, "Create token")
    token = app.code[0].value
    who = people.who(bench.store, token, "token")
    assert who is not None and who.id == admin
    press(app, "Done, I have copied it")
    assert token not in str(app.main)
    press(app, "Revoke")
    assert people.who(bench.store, token, "token") is None
