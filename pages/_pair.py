"""A pair as people judge it: the conversation above, two answers side by side, what differs between them."""

import html
import re
from pathlib import Path

import streamlit as st

from core.differences import Span, highlight
from core.exposure import masked
from storage.cards import Card
from storage.tables import ResponseRow

STYLE = Path(__file__).parent.parent / "assets" / "annotate.css"
RENDERED = 20_000
"""Characters of a text that are drawn as Markdown at once; the rest comes when asked for."""
HIDDEN = "[model name hidden]"
_PANE = 300

_CODE = re.compile(
    r"^[ \t>]*+(?P<fence>`{3,}+|~{3,}+)[^\n]*+\n.*?(?:^[ \t>]*+(?P=fence)[`~]*+[ \t]*+$|\Z)"
    r"|(?<!`)(?P<tick>`++).{1,2000}?(?<!`)(?P=tick)(?!`)",
    re.MULTILINE | re.DOTALL,
)
_DOLLAR = re.compile(r"(\\\$|\$\$[^$]{1,5000}\$\$|\$(?=[^\s$])[^$\n]{0,500}(?<=[^\s\\])\$(?![\d$]))|\$")
_INLINE = re.compile(r"\\\(((?:(?!\\\().){1,500}?)\\\)")
_DISPLAY = re.compile(r"\\\[((?:(?!\\\[).){1,5000}?)\\\]", re.DOTALL)
_DIRECTIVE = re.compile(r"(?<![\w\\]):(?=[\w+-]+[\[:/])")


def prompt(card: Card) -> None:
    """The conversation that both answers continue: the last turn, beside it what came before."""
    earlier = (card.prompt.messages or [])[:-1]
    columns = st.columns(2 if earlier else 1, gap="xsmall")
    if earlier:
        with columns[0].container(height=_PANE, key="earlier"):
            for message in earlier:
                st.caption(
                    {"user": "User", "assistant": "Assistant"}.get(
                        message["role"], message["role"].capitalize()
                    )
                )
                st.markdown(readable(message["content"][:RENDERED]))
    with columns[-1].container(height=_PANE, key="prompt"):
        _text(card.prompt.text, f"prompt {card.prompt.id}")


def answers(card: Card, a_left: bool, differences: bool, unmasked: bool, hidden: bool = False) -> None:
    """Both answers in panes of fixed height; ``unmasked`` says who may see which model an answer names.

    ``hidden`` keeps the panes and shows nothing in them.
    """
    shown = (card.a, card.b) if a_left else (card.b, card.a)
    texts = [_masked(response) for response in shown]
    spans = highlight(*texts) if differences else None
    for column, side in zip(st.columns(2, gap="xsmall"), (0, 1), strict=True):
        with column.container(height=_PANE, key=("left", "right")[side]):
            if hidden:
                continue
            if shown[side].exposes:
                st.caption(
                    ":material/visibility_off: This answer says which model wrote it; that is hidden. Judge the rest.",
                    help=f"It says: {readable(shown[side].exposes or '')}" if unmasked else None,
                )
            if spans:
                st.html(_marked(spans[side]))
            else:
                _text(texts[side], shown[side].id)


def readable(text: str) -> str:
    """Markdown for st.markdown that loads nothing from elsewhere and means what its writer meant.

    Images become links, tags and line breaks stay as they were typed, a dollar is money unless it encloses a formula, ``\\(x\\)`` and ``\\[x\\]`` are
    formulas, and Streamlit's own directives (``:red[...]``, ``:smile:``) are plain text. Code is left alone.
    """
    parts, at = [], 0
    for code in _CODE.finditer(text):
        parts += [_prose(text[at : code.start()]), code.group()]
        at = code.end()
    return "".join((*parts, _prose(text[at:])))


def _prose(text: str) -> str:
    text = re.sub(r"<(?=[a-zA-Z/!?])", r"\<", text).replace("![", "\\![")
    text = _INLINE.sub(lambda found: f"${found[1].strip()}$", text)
    text = _DISPLAY.sub(lambda found: f"$$\n{found[1].strip()}\n$$", text)
    text = _DOLLAR.sub(lambda found: found[1] or r"\$", text)
    text = _DIRECTIVE.sub(r"\\:", text)
    return re.sub(r"(?<=[^\s|$])\n(?=[^\s|$])", "  \n", text)


def _text(text: str, name: str) -> None:
    """Markdown, cut after ``RENDERED`` characters until the rest is asked for."""
    whole = len(text) <= RENDERED or st.session_state.get("whole") == name
    st.markdown(readable(text if whole else text[:RENDERED]))
    if not whole:
        label = f"Show all {len(text):,} characters"
        st.button(label, key=f"whole {name}", on_click=st.session_state.__setitem__, args=("whole", name))


def _masked(response: ResponseRow) -> str:
    return masked(response.text, HIDDEN) if response.exposes else response.text


def _marked(spans: list[Span]) -> str:
    marked = (f"<mark>{html.escape(s.text)}</mark>" if s.changed else html.escape(s.text) for s in spans)
    return f'<div class="differences">{"".join(marked)}</div>'
