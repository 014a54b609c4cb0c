"""Fine-tuning from the Export page: the cost before anything is sent, why it may not be, and what the Jobs page says of it."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.roles import Role
from jobs import ingest
from storage.workbench import Workbench
from tests.jobs.benches import ended
from tests.providers.tuning_server import tuning_server

Visit = Callable[..., AppTest]


def said(app: AppTest) -> str:
    assert not app.exception
    shown = [*app.markdown, *app.caption, *app.warning, *app.error, *app.success]
    return "\n".join(element.value for element in shown).replace("\\", "")


def opened(visit: Visit) -> AppTest:
    app = visit("export")
    app.toggle("export tune").set_value(True).run()
    return app


def filled(app: AppTest, budget: float = 5.0) -> AppTest:
    app.text_input("tune model").set_value("gpt-4.1-mini")
    app.number_input("tune price").set_value(25.0)
    app.number_input("tune budget").set_value(budget)
    return app.run()


def send(app: AppTest) -> list[bool]:
    """Whether the button is there, and may be pressed."""
    return [not one.disabled for one in app.button if one.label == "Send and fine-tune"]


def test_the_cost_is_shown_before_anything_is_sent(
    visit: Visit, sample: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(visit)
    assert "what it would cost is shown before anything is sent" in said(app) and send(app) == []
    app = filled(app)
    assert "Set OPENAI_API_KEY" in said(app) and send(app) == [False]
    monkeypatch.setattr(sample.settings, "openai_base_url", "http://tuning.example/v1")
    app.run()
    assert "leave the house for **tuning.example**" in said(app) and send(app) == [True]
    assert "rest on votes of simulated annotators" in said(app)
    filled(app, 0.01)
    assert "and the budget is 0.01" in said(app) and send(app) == [False]
    app.toggle("export simulated").set_value(False)
    filled(app)
    assert "takes at least 10 examples, and there are 0" in said(app) and send(app) == [False]


def test_it_is_sent_from_the_button_and_the_jobs_page_names_the_model(
    visit: Visit, sample: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tuning_server() as server:
        server.stages = ["running", "succeeded"]
        monkeypatch.setattr(sample.settings, "openai_base_url", server.url)
        app = filled(opened(visit))
        next(one for one in app.button if one.label == "Send and fine-tune").click().run()
        assert "gpt-4.1-mini · preference · " in said(app) and "is on its way" in said(app)
        [(job, _)] = ingest.listed(sample)
        assert ended(sample, job)[1].state == "done"
    app = visit("job_queue")
    assert "It made **ft:gpt-4.1-mini:org::1**" in said(app)
    assert "ftjob-0 at the provider · 30,000 tokens trained, which cost 0.75" in said(app)
    app.button_group(f"show {job.id}").set_value("Curves").run()
    assert not app.exception and len(app.get("plotly_chart")) == 1


@pytest.mark.parametrize(("role", "there"), [("researcher", False), ("lead", True)])
def test_only_a_lead_may_send(
    sign_in: Callable[[Role], str], visit: Visit, sample: Workbench, role: Role, there: bool
) -> None:
    sign_in(role)
    app = visit("export")
    assert not app.exception and ("export tune" in {one.key for one in app.toggle}) == there
