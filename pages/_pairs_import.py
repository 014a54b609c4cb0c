"""Pairs that exist, from a file: with their labels as annotations or gold, or a row a judgement."""

from dataclasses import fields
from pathlib import PurePath
from typing import Any

import streamlit as st

from core.importing import PairColumns, guess_pair_columns, read_judgements, read_pairs
from core.reading import FileError
from core.records import Judgement, Parsed
from core.roles import Identity
from pages._report import PREVIEW, File, choose, finish, plain, preview, table, turn
from pages._session import campaign, open_campaigns
from storage import pairs
from storage.prompts import Report
from storage.workbench import workbench

FORMATS = {
    "annotated": ("Annotated pairs", "A row a judgement: prompt, response_a, response_b, annotator, choice (a, b, tie or both_bad)."),
    "trl": ("TRL preferences", "A row a pair: chosen and rejected, as text or chat messages, with a prompt or with one both begin with."),
    "hh": ("hh-rlhf transcripts", "A row a pair: chosen and rejected, as whole “Human: … Assistant: …” transcripts."),
    "csv": ("Table of pairs", "A row a pair: a prompt and two answers, in columns you name. Any file format will do."),
}  # fmt: skip
LABELS = {
    "annotations": "Annotations of one annotator, named as the source",
    "gold": "Gold: the right choice",
    "none": "Left out",
}
NEEDED = ("prompt", "response_a", "response_b")
JUDGED = ("annotator", "choice")


def bring_in(who: Identity) -> None:
    kind = st.segmented_control(
        "What is in the file", FORMATS, format_func=lambda k: FORMATS[k][0], default="annotated", required=True, key="import kind"
    )  # fmt: skip
    st.caption(FORMATS[kind][1])
    file = choose("pairs", FORMATS[kind][1])
    if file is None:
        return
    preview(file)
    columns = mapping(file, kind)
    if columns is None and kind in ("csv", "annotated"):
        return
    choices = {c.id: c.name for c in open_campaigns(who)}
    left, middle, right = st.columns(3)
    into = left.selectbox(
        "Into campaign", choices, format_func=choices.__getitem__, index=list(choices).index(campaign().id)
    )
    source = middle.text_input("Source", PurePath(file.name).name.partition(".")[0], max_chars=100,
                               help="Where the pairs come from; it stays with them.").strip()  # fmt: skip
    labels = "none"
    if kind in ("trl", "hh") or (kind == "csv" and columns and columns.choice):
        labels = right.selectbox("The labels become", LABELS, format_func=LABELS.__getitem__)
    look(file, kind, columns)
    if not source:
        st.warning("Name the source.", icon=":material/arrow_upward:")
        return
    st.button(
        f"Import {len(file.parsed.rows):,} rows", type="primary", icon=":material/upload:", on_click=finish,
        key=f"import {turn('pairs')}", args=("pairs", turn("pairs"), file, lambda: add(file, kind, columns, into, source, labels, who.id)),
    )  # fmt: skip


def parse(rows: Any, kind: str, columns: PairColumns | None) -> Parsed[Any]:
    return read_judgements(rows, columns) if kind == "annotated" else read_pairs(rows, kind, columns)


def add(
    file: File, kind: str, columns: PairColumns | None, into: str, source: str, labels: Any, actor: str
) -> Report:
    bench = workbench()
    parsed = parse(file.parsed.rows, kind, columns)
    if kind == "annotated":
        return pairs.add_judged(bench.store, bench.desks, parsed, into, actor, source=source)
    return pairs.add(bench.store, bench.desks, parsed, into, actor, source=source, labels=labels)


def look(file: File, kind: str, columns: PairColumns | None) -> None:
    """The first rows as they will enter, or why they will not."""
    try:
        parsed = parse(file.parsed.rows[:PREVIEW], kind, columns)
    except FileError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    st.caption("The first rows as they will enter:")
    shown: list[dict[str, object]] = []
    for number, record in parsed.rows:
        pair = record.pair if isinstance(record, Judgement) else record
        row = {
            "row": number,
            "prompt": pair.prompt.text,
            "answer A": pair.response_a.text,
            "answer B": pair.response_b.text,
        }
        shown.append(
            row
            | (
                {"choice": record.choice, "annotator": record.annotator}
                if isinstance(record, Judgement)
                else {"label": record.label}
            )
        )
    table(
        [
            *shown,
            *({"row": r.row, "prompt": f"refused: {r.field or 'row'} {r.reason}"} for r in parsed.refused),
        ]
    )


def mapping(file: File, kind: str) -> PairColumns | None:
    """Which column is what, guessed from their names; None while a needed one is missing, or the format has none."""
    if kind in ("trl", "hh"):
        return None
    try:
        guess = guess_pair_columns(file.parsed.rows)
    except FileError:
        guess = PairColumns(*(name if name in file.columns else "" for name in NEEDED))
    needed = NEEDED + (JUDGED if kind == "annotated" else ())
    found: dict[str, str | None] = {}
    with st.expander("Columns", expanded=any(not getattr(guess, name) for name in needed)):
        grid = st.grid(4)
        for field in fields(PairColumns):
            named = getattr(guess, field.name)
            if kind == "csv" and field.name in (
                "annotator",
                "confidence",
                "reason",
                "seconds",
                "submitted_at",
            ):
                continue
            label = field.name.replace("_", " ").capitalize() + (" *" if field.name in needed else "")
            found[field.name] = grid.selectbox(label, file.columns, index=file.columns.index(named) if named in file.columns else None,
                                               placeholder="None", key=f"{field.name} {turn('pairs')} {file.name}")  # fmt: skip
    missing = [name.replace("_", " ") for name in needed if found[name] is None]
    if missing:
        st.warning(f"Choose the column of: {', '.join(missing)}.", icon=":material/arrow_upward:")
        return None
    return PairColumns(**found)  # type: ignore[arg-type]
