"""A new experiment: which two versions, what decides, the split and the plan."""

import streamlit as st

from core.experiments import LEAST, METRICS, MOST, precision
from core.roles import Identity
from pages._report import plain
from pages._session import require
from storage import experiments
from storage.experiments import MAX_PLANNED, ExperimentError
from storage.models import MAX_NAME, Model, ModelError
from storage.tables import ExperimentRow
from storage.workbench import workbench

FIELDS = ("name", "control_id", "treatment_id", "metric", "share", "planned", "worth")


def new(found: list[Model], who: Identity) -> None:
    """The fields; it begins with the button. ``found``: two or more versions, the latest first."""
    ids = {model.id: f"{model.name} {model.version} · {model.status}" for model in found}
    keys = list(ids)
    start = next((i for i, model in enumerate(found) if model.status == "deployed"), len(found) - 1)
    left, right = st.columns(2, gap="large")
    with left:
        st.text_input("Name", max_chars=MAX_NAME, key=key("name"), placeholder="What it is to find out")
        st.selectbox("Control", ids, start, format_func=ids.__getitem__, key=key("control_id"), help="What is in use.")  # fmt: skip
        st.selectbox("Treatment", ids, next(i for i in range(len(keys)) if i != start), format_func=ids.__getitem__, key=key("treatment_id"),
                     help="What may take its place.")  # fmt: skip
        metric = st.selectbox("What decides", METRICS, format_func=lambda name: METRICS[name].label, key=key("metric"),
                              help="Outcomes of the others may be sent too; they are shown, and told where they got worse.")  # fmt: skip
    with right:
        share = st.slider("Units with the treatment (%)", 1, 99, 50, key=key("share"),
                          help="Fixed from here on: to change it would break the check of the split.")  # fmt: skip
        planned = st.number_input("Planned units", 2 * LEAST, MAX_PLANNED, 10_000, 1000, key=key("planned"),
                                  help="Users, conversations: whatever your product gives an arm.")  # fmt: skip
        unit = METRICS[metric].unit
        st.number_input(f"Smallest difference worth having{unit and ','}{unit}", 0.0, MOST, 0.0, 0.01, format="%g", key=key("worth"),
                        help="0 is any. With one, an experiment can also find that there is no difference worth having.")  # fmt: skip
        half = precision(planned, share / 100)
        st.caption(f"With {planned:,} units an effect will be known to within ±{half:.2g} standard deviations of what units vary by"
                   + (f", which is at most ±{half / 2:.2g} here." if metric == "win" else "."))  # fmt: skip
    st.button("Begin", type="primary", icon=":material/science:", on_click=begin, args=(who.id,))
    if problem := st.session_state.pop("experiment new problem", None):
        st.error(plain(problem), icon=":material/error:")


def key(field: str) -> str:
    return f"experiment new {field}"


def begin(actor: str) -> None:
    """A click may arrive together with the last field's change, so the fields are read here and not when drawn."""
    require("lead")
    given = {field: st.session_state[key(field)] for field in FIELDS}
    given["share"] /= 100
    try:
        made = experiments.create(workbench().store, ExperimentRow(**given), actor)
    except (ExperimentError, ModelError) as error:
        st.session_state["experiment new problem"] = str(error)
    else:
        st.session_state.update({"experiment": made.id, "experiments view": "In your product"})
