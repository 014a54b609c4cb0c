"""Export: the preference data set a trainer takes, with an account of every pair that went in."""

from typing import Any

import pandas as pd
import streamlit as st

from core.exporting import FORMATS, REASONS, SHAPES, SPLITS, WRITERS, Export, InvalidRow, Policy, bundle
from pages._export import exported, snippet
from pages._fine_tune import fine_tune
from pages._report import plain, table
from pages._session import campaign, read, require
from storage import annotations, exports, prompts
from storage.workbench import workbench

SHAPE_NAMES = {
    "preference": "Preference", "conversational": "Preference, chat", "kto": "KTO", "kto_conversational": "KTO, chat",
}  # fmt: skip
SHAPE_HELP = (
    "Preference: prompt, chosen, rejected. KTO: prompt, completion, label. As chat, prompt and answers are lists of "
    "messages, which suits chat models better."
)
METHODS = {"majority": "Majority", "dawid_skene": "Dawid-Skene"}
METHOD_HELP = (
    "Majority: what most annotators chose. Dawid-Skene: weighs each annotator by the errors they seem to make. Where a pair was "
    "adjudicated the resolution is its label, with confidence 1."
)
FORMAT_NAMES = {"jsonl": "JSONL", "csv": "CSV", "parquet": "Parquet"}
PREVIEW = 5


def main() -> None:
    who = require("researcher")
    st.title("Export", anchor=False)
    here = campaign()
    there = read(annotations.kinds, here.id)
    if not there:
        st.info(
            "Nothing has been judged in this campaign yet, so there is no label to export.",
            icon=":material/ios_share:",
        )
        st.page_link("annotate.py", label="Annotate", icon=":material/arrow_forward:")
        return
    left, right = st.columns([3, 5], gap="medium")
    with left:
        category, method, policy, fmt = options()
        simulated = "simulated" in there and st.toggle(
            "Count simulated annotators", len(there) == 1, key="export simulated", persist_state="session",
            help="They follow a formula, not people: for a trial, never for a model that people depend on.",
        )  # fmt: skip
    with right:
        try:
            result = exported(here.id, category, method, policy, simulated)
        except InvalidRow as error:
            st.error(
                plain(f"This cannot be exported: {error}. Archive or correct that pair."),
                icon=":material/error:",
            )
            return
        account(result)
        downloads(result, fmt, here.id)
        if who.may("lead") and st.toggle(
            "Fine-tune a model with these rows", key="export tune", persist_state="session"
        ):
            fine_tune(here.id, category, method, policy, simulated)
    look(result, fmt)


def options() -> tuple[str | None, Any, Policy, Any]:
    kept: dict[str, Any] = {"persist_state": "session"}
    always: dict[str, Any] = {"required": True, **kept}
    shape = st.segmented_control("Shape", SHAPES, format_func=SHAPE_NAMES.__getitem__, default="preference", help=SHAPE_HELP,
                                 key="export shape", wrap=True, **always)  # fmt: skip
    with st.container(horizontal=True):
        fmt = st.segmented_control(
            "Format",
            FORMATS,
            format_func=FORMAT_NAMES.__getitem__,
            default="jsonl",
            key="export format",
            **always,
        )
        ties = st.segmented_control("Ties", ["drop", "keep"], format_func=str.capitalize, default="drop", key="export ties",
                                    help="Kept, a tie is written in both orders (Preference) or as two good answers (KTO).", **always)  # fmt: skip
    method = st.segmented_control("Label by", METHODS, format_func=METHODS.__getitem__, default="majority", help=METHOD_HELP,
                                  key="export method", **always)  # fmt: skip
    one, two = st.columns(2)
    votes = one.number_input(
        "Votes at least", 1, 100, 1, key="export votes", help="Skips are no votes.", **kept
    )
    confidence = two.number_input("Confidence at least", 0.0, 1.0, 0.0, 0.05, key="export confidence", **kept,
                                  help="The share of votes for the label, or its probability with Dawid-Skene.")  # fmt: skip
    names = [name for name, _ in read(prompts.categories)]
    category = one.selectbox("Category", names, index=None, placeholder="All", key="export category", **kept)
    seed = two.number_input(
        "Seed", 0, 2**31 - 1, 0, key="export seed", help="Draws the splits and the order.", **kept
    )
    validation = one.number_input("Validation, % of prompts", 0, 50, 5, key="export validation", **kept)
    test = two.number_input(
        "Test, % of prompts", 0, 50, 5, key="export test", help="The rest is train.", **kept
    )
    details = st.toggle(
        "Details",
        key="export details",
        help="Adds columns that TRL ignores: pair, category, confidence, votes, models.",
        **kept,
    )
    shares = ((100 - validation - test) / 100, validation / 100, test / 100)
    return category, method, Policy(shape, ties, shares, int(seed), int(votes), confidence, details), fmt


def account(result: Export) -> None:
    """Where every pair went: it adds up to what went in."""
    report = result.report
    kept = sum(report["exported"].values())
    st.markdown(
        f"**{kept:,}** of **{report['pairs']:,}** pairs go out, as **{sum(report['rows'].values()):,}** rows."
    )
    if result.simulated:
        st.markdown(
            f":violet-badge[:material/smart_toy: Simulated annotators] **{result.simulated:,}** of them rest on simulated votes, if only in part."
        )
    rows: list[tuple[str, int, int | None]] = []
    rows += [(split.capitalize(), n, report["rows"][split]) for split, n in report["exported"].items()]
    rows += [(f"Left out: {REASONS[reason]}", n, None) for reason, n in report["dropped"].items()]
    losses = pd.DataFrame(rows, columns=["Where they went", "Pairs", "Rows"]).astype({"Rows": "Int64"})
    losses.insert(2, "Share", 100 * losses["Pairs"] / max(1, report["pairs"]))
    number = st.column_config.NumberColumn
    st.dataframe(losses, hide_index=True, height=37 + 35 * len(losses), placeholder="", column_config={
        "Where they went": st.column_config.TextColumn(width=300),
        "Pairs": number(width=60, format="localized"),
        "Share": st.column_config.ProgressColumn(width=105, format="%.1f%%", min_value=0, max_value=100),
        "Rows": number(width=60, format="localized", help="Rows in the file: a kept tie gives two, so does a pair as KTO."),
    })  # fmt: skip


def downloads(result: Export, fmt: Any, campaign_id: str) -> None:
    """The bundle, each of its files, and the annotations that stand."""
    icon = ":material/download:"
    splits = [split for split in SPLITS if result.rows[split]]
    with st.container(horizontal=True):
        st.download_button("Download all (zip)", lambda: bundle(result, fmt), "attune-export.zip", "application/zip", type="primary",
                           icon=":material/folder_zip:", on_click="ignore", disabled=not splits,
                           help="A file a split, and report.json: the options, this account, and each file’s SHA-256.")  # fmt: skip
        for split in splits:
            st.download_button(f"{split}.{fmt}", lambda split=split: WRITERS[fmt](result.rows[split]), f"{split}.{fmt}",
                               icon=icon, on_click="ignore")  # fmt: skip
    st.download_button("All annotations (CSV)", lambda: b"".join(exports.annotations_csv(workbench().store, campaign_id=campaign_id)),
                       "annotations.csv", "text/csv", icon=icon, on_click="ignore", type="tertiary",
                       help="A row for each judgement that stands, whatever the options above. The Pairs page reads this file back in.")  # fmt: skip
    if not splits:
        st.warning(
            "No pair passes these options. Ask for fewer votes or less confidence, or keep ties.",
            icon=":material/filter_alt_off:",
        )


def look(result: Export, fmt: Any) -> None:
    splits = [split for split in SPLITS if result.rows[split]]
    if not splits:
        return
    st.subheader("First rows", anchor=False)
    table(result.rows[splits[0]][:PREVIEW])
    st.subheader("Load it with TRL", anchor=False)
    st.code(snippet(splits, fmt, result.policy.shape), language="python")


main()
