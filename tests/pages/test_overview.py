"""The Overview: the first visit, an empty start, the sample project, and what each role is offered."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.records import Parsed, Prompt
from core.roles import Role
from storage import campaigns, people, prompts
from storage.overview import counts
from storage.workbench import Workbench

Visit = Callable[..., AppTest]


def tiles(app: AppTest) -> dict[str, tuple[str, str]]:
    return {tile.label: (tile.value, tile.delta) for tile in app.metric}


def titles(app: AppTest) -> list[str]:
    return [
        text.value.strip("*").partition(". ")[2]
        for text in app.markdown
        if text.value[2:3].isdigit() and ". " in text.value
    ]


def test_the_first_visit_offers_the_sample_and_loads_it(visit: Visit, bench: Workbench) -> None:
    app = visit()
    assert app.title[0].value == "Welcome to Attune"
    assert "simulated" in " ".join(text.value for text in app.markdown)
    next(button for button in app.button if button.label == "Load the sample project").click().run()
    assert not app.exception
    assert tiles(app)["Prompts"] == ("72", "all with answers")
    assert tiles(app)["Pairs"] == ("72", "of 72 in the store")
    assert tiles(app)["Annotations"] == ("216", "100% simulated")
    assert tiles(app)["Annotators"] == ("6", "6 simulated")
    value, note = tiles(app)["Agreement (α)"]
    assert 0 < float(value) < 1 and note.endswith("target 0.80")
    assert titles(app) == ["Annotate", "Train a model", "Export what there is"]
    assert bench.store.rows("SELECT DISTINCT actor FROM audit WHERE action = 'simulate'") == [
        (people.annotator(bench.store, "Ada").id,)
    ]


def test_starting_empty_shows_the_first_steps(visit: Visit) -> None:
    app = visit()
    next(button for button in app.button if button.label == "Start empty").click().run()
    assert titles(app) == ["Upload prompts", "Import pairs"]
    assert tiles(app)["Annotations"] == ("0", "none yet")
    assert tiles(app)["Agreement (α)"] == ("–", "cannot be computed yet")
    assert any("No pairs in this campaign yet" in caption.value for caption in app.caption)


def test_a_researcher_is_told_that_a_lead_sets_things_up(
    visit: Visit, sign_in: Callable[[Role], str]
) -> None:
    sign_in("researcher")
    app = visit("overview", name="")
    assert "A lead sets the project up" in app.info[0].value
    assert not [button for button in app.main.button]


def test_a_step_that_needs_a_lead_says_so(
    visit: Visit, bench: Workbench, sign_in: Callable[[Role], str]
) -> None:
    prompts.add(bench.store, Parsed([(1, Prompt.from_text("What is 2 + 2?"))], []), "test")
    sign_in("researcher")
    app = visit("overview", name="")
    assert titles(app) == ["Generate answers", "Import pairs"]
    assert [caption.value for caption in app.caption].count("A lead can do this.") == 1


def test_counts_leave_out_skips_and_other_campaigns(sample: Workbench) -> None:
    first = campaigns.first(sample.store)
    found = counts(sample.store, first.id)
    assert (found.prompts, found.unpaired, found.pairs, found.human, found.simulated) == (72, 0, 72, 0, 216)
    assert (found.people, found.panel) == (0, 6)
    assert counts(sample.store, "c_none").annotations == {}
