"""New prompts: one by hand, or a file of many."""

import streamlit as st

from core.importing import PromptColumns, guess_columns, read_prompts
from core.reading import FileError
from core.records import CATEGORIES, Parsed, Prompt
from core.roles import Identity
from pages._report import File, choose, finish, plain, preview, turn
from pages._session import read
from storage import prompts
from storage.workbench import workbench

ONE = PromptColumns("prompt", "category", "tags")


def all_categories() -> list[str]:
    return list(dict.fromkeys([*(name for name, _ in read(prompts.categories)), *CATEGORIES]))


def one(prompt: object, category: str, tags: tuple[str, ...] | list[str]) -> Prompt | None:
    """A prompt as the importer would read it; None when it would refuse it, and then the page says why."""
    parsed = read_prompts([(1, {"prompt": prompt, "category": category, "tags": list(tags)})], ONE)
    for refusal in parsed.refused:
        st.error(plain(f"{refusal.field or 'prompt'} {refusal.reason}"), icon=":material/error:")
    return parsed.rows[0][1] if parsed.rows else None


def add_one(who: Identity) -> None:
    if (done := st.session_state.pop("prompts done", None)) is not None:
        st.success(done, icon=":material/check:")
    n = st.session_state.setdefault("prompt number", 0)
    chat = st.segmented_control(
        "Form",
        ["One turn", "Chat"],
        default="One turn",
        required=True,
        key="prompts form",
        label_visibility="collapsed",
    )
    if chat == "One turn":
        prompt: object = st.text_area(
            "Prompt", height=160, key=f"text {n}", placeholder="What the models are asked"
        )
    else:
        prompt = conversation(n)
    left, right = st.columns(2)
    category = left.selectbox(
        "Category", all_categories(), index=all_categories().index("general"), accept_new_options=True
    )
    tags = right.multiselect(
        "Tags", read(prompts.tags), accept_new_options=True, placeholder="Choose or type"
    )
    st.button("Add", type="primary", key=f"add {n}", on_click=save, args=(n, prompt, category, tags, who.id))


def conversation(n: int) -> list[dict[str, str]]:
    """The turns of a chat; it ends with the user's."""
    asked = st.session_state.setdefault(f"turns {n}", 1)
    roles = ["system", *["user", "assistant"] * (asked - 1), "user"]
    messages = []
    for i, role in enumerate(roles):
        label = "System (optional)" if role == "system" else role.capitalize()
        messages.append({"role": role, "content": st.text_area(label, height=90, key=f"turn {n} {i}")})
    st.button(
        "Add an exchange",
        icon=":material/add:",
        on_click=st.session_state.update,
        args=({f"turns {n}": asked + 1},),
    )
    return messages if messages[0]["content"].strip() else messages[1:]


def save(n: int, prompt: object, category: str, tags: list[str], actor: str) -> None:
    if n != st.session_state["prompt number"] or (found := one(prompt, category, tags)) is None:
        return
    report = prompts.add(workbench().store, Parsed([(1, found)], []), actor)
    st.session_state["prompts done"] = (
        "Added." if report.added else "This prompt is there already; nothing was added."
    )
    st.session_state["prompt number"] = n + 1


def upload(who: Identity) -> None:
    file = choose("prompts", "A row a prompt. The next step says which column is what.")
    if file is None:
        return
    preview(file)
    columns = mapping(file)
    default = st.selectbox(
        "Category where a row has none",
        all_categories(),
        index=all_categories().index("general"),
        accept_new_options=True,
    )
    if columns is None or default is None:
        return
    try:
        first = read_prompts(file.parsed.rows[:5], columns, default)
    except FileError:
        first = Parsed([], [])
    for _, prompt in first.rows[:1]:
        st.caption("The first prompt as it will enter:")
        st.code(
            prompt.text, language=None, wrap_lines=True, height=140 if len(prompt.text) > 400 else "content"
        )
    label = f"Add {len(file.parsed.rows):,} rows"
    st.button(label, type="primary", icon=":material/upload:", key=f"add {turn('prompts')}", on_click=finish, args=(
        "prompts", turn("prompts"), file,
        lambda: prompts.add(workbench().store, read_prompts(file.parsed.rows, columns, default), who.id, file.name),
    ))  # fmt: skip


def mapping(file: File) -> PromptColumns | None:
    """Which column is what, guessed from their names; None until there is one for the prompt."""
    try:
        guess = guess_columns(file.parsed.rows)
    except FileError:
        guess = PromptColumns("")
    columns = file.columns
    boxes = st.columns([1, 1, 1, 2])
    found = {
        part: box.selectbox(
            label, columns, index=columns.index(named) if named in columns else None, placeholder="None", key=f"{part} {turn('prompts')} {file.name}"
        )
        for box, (part, label, named) in zip(
            boxes, [("prompt", "Prompt (text or messages)", guess.prompt), ("category", "Category", guess.category), ("tags", "Tags", guess.tags)], strict=False
        )
    }  # fmt: skip
    attributes = boxes[3].multiselect("Attributes kept", columns, default=list(guess.attributes), placeholder="None",
                                      help="Short values kept with the prompt: a source, a language, a group.")  # fmt: skip
    if found["prompt"] is None:
        st.warning("Choose the column that holds the prompt.", icon=":material/arrow_upward:")
        return None
    return PromptColumns(
        found["prompt"],
        found["category"],
        found["tags"],
        tuple(a for a in attributes if a not in found.values()),
    )
