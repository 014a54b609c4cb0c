"""An uploaded file: choosing and reading it, a look at its first rows, and what became of every row."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd
import streamlit as st

from core.reading import FileError, Row, read_rows
from core.records import Parsed
from storage.prompts import Report
from storage.workbench import workbench

TYPES = ("json", "jsonl", "ndjson", "csv", "tsv", "parquet", "pq", "gz")
PREVIEW = 5
LISTED = 1000
"""Refused rows shown; the download has them all."""


@dataclass(frozen=True)
class File:
    """A file that was read: its rows, and every column that one of them has."""

    name: str
    parsed: Parsed[Row]
    columns: list[str]


def choose(key: str, help: str) -> File | None:
    """Ask for a file and read it; None while there is none or it cannot be read, and then the page says why."""
    limit = workbench().settings.upload_mb
    chosen = st.file_uploader(
        "File: JSON array, JSONL, CSV, TSV or Parquet, or one of these as .gz", TYPES, key=f"{key} {turn(key)}",
        help=help, max_upload_size=limit,
    )  # fmt: skip
    if chosen is None:
        if (last := st.session_state.get(f"{key} report")) is not None:
            show(*last)
        return None
    try:
        return _read(chosen.file_id, chosen.name, chosen)
    except FileError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None


@st.cache_resource(max_entries=3, ttl="1h", show_spinner="Reading the file…")
def _read(file_id: str, name: str, _content: Any) -> File:
    parsed = read_rows(_content.getvalue(), name)
    return File(name, parsed, list(dict.fromkeys(chain.from_iterable(row for _, row in parsed.rows))))


def turn(key: str) -> int:
    """How many files this session has added here; an upload belongs to one turn, so a double click adds once."""
    return int(st.session_state.get(f"{key} turn", 0))


def finish(key: str, at: int, file: File, add: Callable[[], Report]) -> None:
    """For the button's callback: add the file's rows, keep the report, and clear the uploader for the next file."""
    if at != turn(key):
        return
    with st.spinner("Adding…"):
        try:
            report = add()
        except FileError as error:
            st.error(plain(f"{file.name}: {error}"), icon=":material/error:")
            return
    report.refused.extend(file.parsed.refused)
    report.refused.sort(key=lambda refusal: refusal.row)
    st.session_state[f"{key} report"] = (file.name, report)
    st.session_state[f"{key} turn"] = at + 1


def preview(file: File) -> None:
    """The file's first rows as they are."""
    rows, refused = len(file.parsed.rows), len(file.parsed.refused)
    unread = f", {refused:,} that cannot be read (the report will say why)" if refused else ""
    st.caption(f"{rows:,} rows{unread}. The first {min(PREVIEW, rows)} as they are in the file:")
    table([row for _, row in file.parsed.rows[:PREVIEW]], columns=file.columns)


def plain(text: str) -> str:
    """The text for where Streamlit reads Markdown, so that it shows as it is: no markup, no link, no image."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&@])", r"\\\1", text)


def table(rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
    """Rows of any values, each shown as text."""
    texts = [{name: _text(value) for name, value in row.items()} for row in rows]
    st.dataframe(pd.DataFrame(texts, columns=columns), hide_index=True, placeholder="")


def _text(value: object) -> str | None:
    return (
        value
        if value is None or isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=str)
    )


def show(name: str, report: Report) -> None:
    """The counts of an import, and every row that did not enter, with its reason, to read and to download."""
    counts = {"Rows": report.rows, "Added": report.added, "Already there": len(report.duplicates)}
    if report.annotations:
        counts = {"Pairs added": report.added, "Annotations added": report.annotations,
                  "Annotators new": report.annotators, "Rows already there": len(report.duplicates)}  # fmt: skip
    counts["Rows refused"] = len(report.refused)
    st.markdown(f"**{plain(name)}** was taken in.")
    for column, (label, n) in zip(st.columns(len(counts)), counts.items(), strict=True):
        column.metric(label, f"{n:,}", border=True)
    rows = [(row, "already there", "", "") for row in report.duplicates]
    rows += [(r.row, "refused", r.field or "", r.reason) for r in report.refused]
    if not rows:
        return
    left_out = pd.DataFrame(sorted(rows), columns=["row", "outcome", "field", "reason"])
    shown = left_out[left_out["outcome"] == "refused"]
    if len(shown):
        st.caption(
            f"The first {LISTED:,} of {len(shown):,} refused rows" if len(shown) > LISTED else "Refused rows"
        )
        st.dataframe(
            shown.drop(columns="outcome").head(LISTED), hide_index=True, height=min(36 * (len(shown) + 1) + 2, 342),
            column_config={"row": st.column_config.NumberColumn("Row", width="small", format="%d"),
                           "field": st.column_config.TextColumn("Field", width="small"),
                           "reason": st.column_config.TextColumn("Reason", width="large")},
        )  # fmt: skip
    st.download_button(
        "Download what did not enter (CSV)", lambda: left_out.to_csv(index=False).encode(), f"{name}.report.csv",
        "text/csv", icon=":material/download:", on_click="ignore",
    )  # fmt: skip
