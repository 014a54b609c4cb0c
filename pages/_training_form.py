"""What to train: the name and the labels of a model, what there is to learn from, and how."""

from dataclasses import dataclass, field
from math import floor, log10
from typing import Any

import streamlit as st

from core.labels import LOST, Policy
from core.preferences import PARTS as SPLITS
from pages._report import plain
from pages._session import campaign, read
from providers.encoder import DEFAULT
from storage import annotations, learning, models
from storage.models import Model
from storage.workbench import workbench

KEPT: dict[str, Any] = {"persist_state": "session"}
FIRST_NAME = "helpful"
CONSENSUS = {
    "votes": ("Share of votes", "Three of four for A teach 0.75: the model learns how sure people are."),
    "majority": ("Majority", "Each pair counts as what most chose; how many disagreed is forgotten."),
    "dawid_skene": ("Dawid-Skene", "Like the share of votes, but annotators found reliable count for more."),
}
TIES = {"half": "Half a vote each", "drop": "Left out"}
METHODS = {
    "sbert": (
        "Sentence embedding and logistic regression",
        "Seconds. Every text is read once by a small encoder and remembered; a linear model learns from that. Start here.",
    ),
    "transformer": (
        "Fine-tuned transformer",
        "Minutes to an hour on a processor, less on a GPU. A network learns from the encoder’s inner layers, and its upper "
        "layers too where you let them; the best there is from about a thousand pairs on.",
    ),
    "trl": (
        "TRL RewardTrainer",
        "Slower than the one above at equal accuracy. To compare with, or repeat, what others trained with TRL.",
    ),
}
PRIORITIES = {-1: "Low", 0: "Normal", 1: "High"}
PARTS = ["Model", "Versions before", "Run"]


@dataclass(frozen=True)
class Knob:
    """A setting of some methods: what it is by default, and how it is asked for."""

    name: str
    label: str
    usual: Any
    help: str
    methods: tuple[str, ...] = ("sbert", "transformer", "trl")
    least: float = 0
    most: float | None = None
    format: str | None = None

    def draw(self, key: str) -> None:
        kept: dict[str, Any] = {"key": key, "help": self.help, **KEPT}
        if isinstance(self.usual, bool):
            st.toggle(self.label, self.usual, **kept)
        elif isinstance(self.usual, str):
            st.text_input(self.label, self.usual, width=260, **kept)
        else:
            kind = type(self.usual)
            most = None if self.most is None else kind(self.most)
            step = 1 if kind is int else 10.0 ** floor(log10(self.usual or 0.1))
            st.number_input(
                self.label, kind(self.least), most, self.usual, step, format=self.format, width=170, **kept
            )


OURS, TRL = ("transformer",), ("trl",)
RATE = "The size of a step. Too large forgets what the base model knows."
BATCH = "More at once is steadier, and takes more memory."
SETTINGS = [
    Knob("model", "Base model", DEFAULT, "A sentence encoder, by its name or the path of its folder on the server. "
         f"{DEFAULT} comes with Attune."),
    Knob("epochs", "Epochs", 3, "How often it goes through the pairs.", OURS + TRL, 1, 100),
    Knob("trained", "Layers that learn", 0, "So many of the encoder’s upper layers learn too, which is far slower. With 0 only the "
         "head on top of them learns.", OURS, 0, 48),
    Knob("head_rate", "Learning rate of the head", 3e-4, "The size of a step of the head.", OURS, 1e-7, 1e-1, "%.1e"),
    Knob("learning_rate", "Learning rate of the layers", 3e-5, f"{RATE} Without layers that learn it does nothing.", OURS,
         1e-7, 1e-2, "%.1e"),
    Knob("learning_rate", "Learning rate", 5e-5, RATE, TRL, 1e-7, 1e-2, "%.1e"),
    Knob("batch", "Answers a batch", 32, BATCH, OURS, 2, 1024),
    Knob("batch", "Pairs a batch", 16, BATCH, TRL, 1, 512),
    Knob("margin", "Margin", 0.0, "What the rewards of two answers should differ by where all prefer one of them; less where votes are "
         "split. It draws the rewards apart.", OURS, 0, 100, "%.1f"),
    Knob("tokens", "Longest answer, tokens", 256, "Longer answers are cut; time and memory grow with it.", OURS + TRL, 8, 8192),
    Knob("patience", "Patience, epochs", 2, "Stop when the loss on held-out prompts has not fallen for so long.", OURS, 1, 100),
    Knob("surface", "Surface features", True, "Length, punctuation, lists, code and the like, beside the text. The report shows "
         "the accuracy with and without them.", ("sbert", "transformer")),
    Knob("seed", "Seed", 0, "The same seed and the same pairs give the same model."),
    Knob("refit", "Fit once more to all pairs at the end", True, "The model that is kept then learns from every pair, those held "
         "out too. Its figures are of the fit before, which had not seen them. A network takes up to twice the time."),
    Knob("learning_curve", "Learning curve", True, "What more labels would give: it also fits to a sixteenth, an eighth, a quarter "
         "and half of the pairs. That costs a few seconds.", ("sbert",)),
    Knob("learning_curve", "Learning curve", False, "What more labels would give: it also fits to a sixteenth, an eighth, a quarter "
         "and half of the pairs. That takes about as long again as the training itself.", OURS + TRL),
]  # fmt: skip


@dataclass(frozen=True)
class Scope:
    """The model's name and the labels it learns from."""

    name: str
    campaign_id: str | None
    category: str | None
    policy: Policy


@dataclass(frozen=True)
class Plan:
    """How to train: what ``start_training`` takes beside the scope."""

    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    parent_id: str | None = None
    emphasise: str | None = None
    priority: int = 0
    time_limit: float | None = None


def scope() -> Scope:
    """Ask for the model and its labels."""
    known = list(dict.fromkeys(model.name for model in read(models.listed, archived=True)))
    name_box, category_box, all_box = st.columns([3, 2, 1.4], vertical_alignment="bottom")
    name = name_box.selectbox("Model", known or [FIRST_NAME], accept_new_options=True, key="train name", **KEPT,
                              help="One model for each criterion, such as helpful or harmless: one that learns two at once is worse "
                              "at both. A name that is there already gets a new version; type to add one.")  # fmt: skip
    here = None if all_box.toggle("All campaigns", key="train everywhere", **KEPT) else campaign().id
    category = category_box.selectbox("Category", read(annotations.categories, here), index=None, placeholder="All",
                                      key="train category", **KEPT)  # fmt: skip
    there = read(annotations.kinds, here)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        consensus = st.segmented_control("Votes become", CONSENSUS, default="votes", required=True, key="train consensus",
                                         format_func=lambda one: CONSENSUS[one][0], help="What a pair teaches where people "
                                         "disagree; an adjudicated pair teaches its resolution.", **KEPT)  # fmt: skip
        ties = st.segmented_control("Ties", TIES, default="half", required=True, key="train ties", format_func=TIES.__getitem__,
                                    help="“Both bad” prefers neither and is always left out.", **KEPT)  # fmt: skip
        simulated = "simulated" in there and st.toggle(
            "Count simulated annotators", key="train simulated", **KEPT,
            help="They follow a formula, not people: for a trial, never for a model that people depend on.",
        )  # fmt: skip
    st.caption(CONSENSUS[consensus][1])
    return Scope((name or "").strip(), here, category, Policy(consensus, ties, simulated))


def ready(wanted: Scope) -> bool:
    """Show what there is to learn from; whether it is enough."""
    found = read(learning.readiness, wanted.name, wanted.campaign_id, wanted.policy, category=wanted.category)
    report, least = found.report, workbench().settings.reward_minimum
    newest = next(iter(read(models.listed, wanted.name, archived=True)), None)
    pairs, left_out, fresh = st.columns([1, 2.2, 1])
    pairs.metric("Usable pairs", f"{report.usable:,}", border=True, height="stretch",
                 help=f"With a label, of {report.pairs:,}; from {report.prompts:,} prompts.")  # fmt: skip
    fresh.metric(f"New since {newest.version}" if newest else "Annotations", f"{found.new:,}", border=True, height="stretch",
                 help=f"Annotations; {found.annotations:,} stand behind the usable pairs.")  # fmt: skip
    with left_out.container(border=True, height="stretch", gap="xxsmall"):
        st.caption(f"Left out: {report.pairs - report.usable:,} of {report.pairs:,} pairs")
        for reason, count in report.lost.items():
            st.markdown(f":small[**{count:,}**: {LOST[reason]}]")
        if not report.lost:
            st.markdown(":small[None: every pair has a label.]")
    missing = least - report.usable
    if wanted.policy.simulated:
        st.markdown(":violet-badge[:material/smart_toy: Simulated annotators] What this model learns is partly made up; its "
                    "lineage says so.")  # fmt: skip
    if missing > 0:
        st.warning(f"A reward model needs {least:,} pairs with a preferred answer: {missing:,} more.{_hint(report.lost)}",
                   icon=":material/hourglass_empty:")  # fmt: skip
    elif report.prompts < len(SPLITS):
        st.warning(f"The usable pairs are about {report.prompts} prompt{'s' * (report.prompts != 1)}; at least {len(SPLITS)} are "
                   "needed, as training, calibration and test must not share any.", icon=":material/hourglass_empty:")  # fmt: skip
    elif newest and not found.new:
        st.info(
            f"{plain(newest.name)} {newest.version} has learnt from all of this already.",
            icon=":material/done_all:",
        )
    return missing <= 0 and report.prompts >= len(SPLITS)


def _hint(lost: dict[str, int]) -> str:
    if "simulated_only" in lost:
        return " Only simulated annotators have judged here so far; switch them on to try this out."
    return " Have people annotate more." if "no_annotations" in lost else ""


def plan(name: str) -> Plan:
    """Ask how to train. A setting stands in the session, so that one of a part that is not shown counts too."""
    method = st.radio("Method", METHODS, format_func=lambda one: METHODS[one][0], key="train method", **KEPT,
                      captions=[cost for _, cost in METHODS.values()])  # fmt: skip
    assert method is not None
    offered = [knob for knob in SETTINGS if method in knob.methods]
    if st.toggle("More settings", key="train more", **KEPT):
        with st.container(border=True):
            part = st.segmented_control("Settings", PARTS, default=PARTS[0], required=True, key="train part",
                                        label_visibility="collapsed", **KEPT)  # fmt: skip
            if part == "Model":
                _model(method, offered)
            elif part == "Versions before":
                _versions(name, method, read(models.listed, name))
            else:
                _run()
    minutes = _said("train minutes", None)
    return Plan(
        method,
        {knob.name: _said(f"train {method} {knob.name}", knob.usual) for knob in offered},
        _said(f"train parent {name} {method}", None),
        _said(f"train emphasise {name}", None),
        _said("train priority", 0),
        minutes and 60.0 * minutes,
    )


def _said(key: str, default: Any) -> Any:
    return st.session_state.get(key, default)


def _model(method: str, offered: list[Knob]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for knob in sorted(offered, key=lambda knob: isinstance(knob.usual, bool)):
            knob.draw(f"train {method} {knob.name}")


def _versions(name: str, method: str, versions: list[Model]) -> None:
    """What earlier versions of the model give this one."""
    label = {model.id: f"{model.version} · {model.method}" for model in versions}
    if not versions:
        st.caption("There is no earlier version of this name yet.")
        return
    with st.container(horizontal=True):
        if method == "transformer":
            st.selectbox("Start from", [m.id for m in versions if m.method == method], index=None, width=300,
                         placeholder="The pretrained model", format_func=label.__getitem__, key=f"train parent {name} {method}",
                         help="Fine-tune that version further, in place of the pretrained model. Pairs of prompts it has learnt from "
                         "are then for training alone: only others can give figures.", **KEPT)  # fmt: skip
        st.selectbox("Weight up the errors of", label, index=None, placeholder="None", width=300, format_func=label.__getitem__,
                     key=f"train emphasise {name}", help="Pairs count for more that this version got wrong while sure, was unsure of, "
                     "or that are of a category it often gets wrong.", **KEPT)  # fmt: skip


def _run() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.segmented_control("Priority", PRIORITIES, default=0, required=True, format_func=PRIORITIES.__getitem__,
                             key="train priority", help="Which of the jobs that wait starts first.", **KEPT)  # fmt: skip
        st.number_input("Time limit, minutes", 1, None, None, placeholder="None", key="train minutes", width=180,
                        help="A training that takes longer is stopped; it can go on later.", **KEPT)  # fmt: skip
