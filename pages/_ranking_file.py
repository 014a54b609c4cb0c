"""A file of answers in, the same rows in order of predicted quality out."""

import json
from collections.abc import Sequence

import streamlit as st

from core.reading import FileError
from jobs import score
from pages._predicted import called
from pages._ranked import Ranking, fallback, ranked, said_by
from pages._report import File, choose, plain, table

MOST = 2_000
LISTED = 50


def whole_file(asked: str | None) -> None:
    """A row an answer in, the same rows with rank, reward and probability out."""
    file = choose(
        "rank",
        "A row an answer, with the columns prompt and response; rows of the same prompt are ranked together.",
    )
    if file is None:
        return
    try:
        parsed = score.read(file.parsed)
    except FileError as error:
        st.error(plain(f"{file.name}: {error}"), icon=":material/error:")
        return
    if any("response_a" in row for _, row in parsed.rows):
        st.error(
            "This file has two answers a row. Give one row an answer, with the columns prompt and response.",
            icon=":material/error:",
        )
        return
    groups: dict[str, list[tuple[int, str]]] = {}
    for number, row in parsed.rows:
        groups.setdefault(row["prompt"], []).append((number, row["response"]))
    n = len(parsed.refused)
    refused = f" {n:,} {'row' if n == 1 else 'rows'} cannot be ranked." if n else ""
    st.caption(f"{len(parsed.rows):,} answers to {len(groups):,} prompts.{refused}")
    if len(parsed.rows) > MOST:
        st.info(
            f"More than {MOST:,} answers are scored by a job: `python -m jobs score --model DIR --data FILE --output DIR`."
        )
        return
    if st.button("Rank", type="primary", icon=":material/sort:", disabled=not groups):
        found = ranked([(prompt, [text for _, text in rows]) for prompt, rows in groups.items()], asked)
        st.session_state["ranked file"] = (file, found, _rows(file, groups, found))
    of, found, rows = st.session_state.get("ranked file", (None, [], []))
    if of is file:
        if found[0].model is None:
            fallback(found[0])
        else:
            said_by(found[0].model)
        table(rows[:LISTED])
        st.download_button("Download (JSONL)", lambda: "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows).encode(),
                           "ranked.jsonl", "application/x-ndjson", icon=":material/download:", on_click="ignore")  # fmt: skip


def _rows(
    file: File, groups: dict[str, list[tuple[int, str]]], found: Sequence[Ranking]
) -> list[dict[str, object]]:
    """The rows of the file as they came, the best of each prompt first, with what was found."""
    given = dict(file.parsed.rows)
    rows = []
    for ranking, answers in zip(found, groups.values(), strict=True):
        for rank, place in enumerate(ranking.place):
            reward = round(ranking.reward[rank], 4) if ranking.reward else None
            over_next = round(ranking.over_next[rank], 4) if rank < len(ranking.over_next) else None
            by = called(ranking.model) if ranking.model else None
            said = {"rank": rank + 1, "reward": reward, "preferred_to_next": over_next, "ranked_by": by}
            rows.append({**said, **given[answers[place][0]], **said})
    return rows
