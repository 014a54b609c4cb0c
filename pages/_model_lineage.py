"""What a version comes from, down to the annotations, and what happened to the versions of a model."""

from math import ceil

import pandas as pd
import streamlit as st

from core.labels import CONSENSUS, LOST, TIES
from core.roles import Identity
from pages._model_versions import METHODS, badges, numbered, shown
from pages._report import plain
from pages._session import allowed, read
from storage import campaigns, learning, models
from storage.models import Lineage, Model

PAGE = 50
CHOICES = {"a": "A", "b": "B", "tie": "Tie", "both_bad": "Both bad", "skip": "Skipped"}
CHANGES = {
    ("testing", None): "registered, in testing",
    ("testing", "restore"): "restored, in testing",
    ("deployed", "deploy"): "deployed",
    ("deployed", "roll back"): "deployed again by a roll back",
    ("deprecated", "deploy"): "deprecated: another was deployed",
    ("deprecated", "roll back"): "deprecated by a roll back",
    ("archived", "archive"): "archived",
}


def lineage(name: str, who: Identity) -> None:
    """Choose a version; its training data, its parents and its annotations."""
    listed = {model.id: model for model in shown(name, archived=True)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Version", list(listed), format_func=lambda key: numbered(listed[key]),
                          key=f"lineage version {name}", width=280, persist_state="session")  # fmt: skip
        found = read(models.lineage, chosen)
        st.markdown(badges(found.model))
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        learnt_from(found)
    with right.container(border=True, height="stretch"):
        made_by(found.model, found.parents, who)
    behind(found)


def learnt_from(found: Lineage) -> None:
    """The training data: which annotations, by which policy, and what was left out."""
    about = found.learnt
    policy = learning.policy_of(about)
    st.markdown("**Learnt from**")
    one, two = st.columns(2)
    one.metric("Pairs", f"{about.get('pairs', 0):,}")
    two.metric("Annotations", f"{len(found.annotation_ids):,}")
    names = {campaign.id: campaign.name for campaign in read(campaigns.listed)}
    where = plain(names.get(about.get("campaign_id") or "", "all campaigns"))
    category = f", category {plain(about['category'])}" if about.get("category") else ""
    people = "simulated annotators count" if policy.simulated else "simulated annotators are left out"
    lines = [
        f"From {where}{category}",
        f"A label is {CONSENSUS[policy.consensus]}; {TIES[policy.ties]}; {people}",
    ]
    lost = about.get("report", {}).get("lost", {})
    lines += [f"{n:,} pairs left out: {LOST.get(reason, reason)}" for reason, n in lost.items()]
    if about.get("emphasise"):
        lines.append("The errors of an earlier version weigh more")
    st.markdown("\n".join(f"- {line}" for line in lines))


def made_by(model: Model, parents: list[Model], who: Identity) -> None:
    """How the version was made, from what, and how its file can be told."""
    st.markdown("**Made by**")
    st.markdown(
        "\n".join(
            f"- {line}"
            for line in (
                f"{METHODS.get(model.method, plain(model.method))} on {plain(model.base or 'no pretrained model')}",
                f"{model.created_at:%Y-%m-%d %H:%M} UTC",
                "Fine-tuned from " + " ← ".join(f"{plain(p.name)} {p.version}" for p in parents)
                if parents
                else "Not fine-tuned from another version",
                f"Job `{model.job_id}`" if model.job_id else "Registered without a job",
                f"SHA-256 of model.json `{model.checksum[:16]}…`",
            )
        )
    )
    if model.job_id and allowed(who, "job_queue"):
        st.page_link(
            "job_queue.py", label="Jobs: log, metrics, configuration", icon=":material/manufacturing:"
        )


def behind(found: Lineage) -> None:
    """The annotations behind the version and what became of them since."""
    ids = found.annotation_ids
    st.subheader("Annotations", anchor=False)
    if not ids:
        st.caption("None is recorded: it was not trained from this store.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "What it learnt from, oldest first, and what became of each since: it stands, was changed or undone."
        )
        st.download_button("Annotation ids (CSV)", lambda: pd.DataFrame({"annotation_id": ids}).to_csv(index=False).encode(),
                           f"{found.model.name}-{found.model.version}-annotations.csv", "text/csv", on_click="ignore",
                           icon=":material/download:")  # fmt: skip
    at, pages = st.container(), ceil(len(ids) / PAGE)
    number = st.pagination(pages, key=f"lineage page {found.model.id}") if pages > 1 else 1
    rows, _ = read(models.annotations, found.model.id, offset=(number - 1) * PAGE, limit=PAGE)
    table = pd.DataFrame(rows)
    table["choice"] = table["choice"].map(CHOICES)
    at.dataframe(table, hide_index=True, height=min(37 + 35 * len(rows), 390),
                 column_order=["submitted_at", "annotator", "kind", "choice", "state", "pair_id", "id"],
                 column_config={
                     "submitted_at": st.column_config.DatetimeColumn("When (UTC)", format="YYYY-MM-DD HH:mm", timezone="UTC"),
                     "annotator": "Annotator", "kind": "Kind", "choice": "Choice", "state": "Since", "pair_id": "Pair", "id": "Annotation",
                 })  # fmt: skip


def history(name: str, who: Identity) -> None:
    """Every change of status and alias, newest first."""
    ids = {model.id for model in shown(name, archived=True)}
    rows = [row for row in read(models.history, name) if row["model_id"] in ids]
    table = pd.DataFrame(
        [
            {
                "When (UTC)": row["occurred_at"],
                "Version": row["version"],
                "Change": said(row["kind"], row["value"], row["detail"]),
                "Who": row["actor"],
            }
            for row in rows
        ]
    )
    st.dataframe(table, hide_index=True, height=min(37 + 35 * len(rows), 460), column_config={
        "When (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", timezone="UTC")})  # fmt: skip
    st.download_button("History (CSV)", lambda: table.to_csv(index=False).encode(), f"{name}-history.csv", "text/csv", on_click="ignore",
                       icon=":material/download:")  # fmt: skip


def said(kind: str, value: str, detail: dict[str, str]) -> str:
    """A change in words."""
    if kind == "alias":
        return f"alias {value} {'removed' if detail.get('dropped') else 'added'}"
    return CHANGES[value, detail.get("by")]
