"""What can be seen of an answer without understanding it: its length, punctuation, layout and the like.

A reward that these features alone explain is a reward for form, so every model built on them is shown with and without.
"""

import math
import re

import numpy as np

from core.ratings import FloatArray

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)")
MARKS = {
    "list items": r"(?m)^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S",
    "headings": r"(?m)^#{1,6} \S",
    "bold": r"\*\*[^*\n]+\*\*",
    "code": r"```|`[^`\n]+`",
    "links": r"https?://|www\.",
}
"""The Markdown that is counted, each by a pattern that Python and RE2 (the store's) read alike."""
COUNTED = ("characters", *MARKS)
"""What the bias of annotators is told from: the length of an answer, and its Markdown."""
_LIST_ITEM, _HEADING, _CODE, _LINK = (
    re.compile(MARKS[name]) for name in ("list items", "headings", "code", "links")
)

NAMES = (
    "words (log)",
    "characters (log)",
    "sentences (log)",
    "paragraphs (log)",
    "words a sentence (log)",
    "letters a word",
    "long words",
    "distinct words",
    "commas a word",
    "other punctuation a word",
    "questions (log)",
    "exclamations (log)",
    "quotations (log)",
    "capital letters",
    "words in capitals",
    "begins with a capital",
    "ends with a full stop",
    "digits",
    "list items (log)",
    "headings and bold (log)",
    "code (log)",
    "links (log)",
)
"""One name a feature; (log) is log(1 + count), the rest are shares, means, or 0 and 1."""
LENGTH = NAMES.index("characters (log)")
STYLE = ("characters (log)", "list items (log)", "headings and bold (log)", "code (log)")
"""Length and Markdown: what a comparison of models is controlled for."""


def style(text: str) -> tuple[float, ...]:
    """The features of STYLE alone, which are quick to count."""
    text = text.strip()
    return (math.log1p(len(text)), *_markdown(text))


def features(text: str) -> FloatArray:
    """The surface features of one answer, shape (len(NAMES),); an empty text has zeros."""
    text = text.strip()
    if not text:
        return np.zeros(len(NAMES))
    words = _WORD.findall(text)
    count = max(len(words), 1)
    letters = [character for character in text if character.isalpha()]
    sentences = max(len(_SENTENCE_END.findall(text)), 1)
    paragraphs = sum(1 for line in text.split("\n") if line.strip())
    punctuation = sum(1 for character in text if not character.isalnum() and not character.isspace())
    commas = text.count(",")
    log = np.log1p
    return np.array(
        [
            log(len(words)),
            log(len(text)),
            log(sentences),
            log(paragraphs),
            log(count / sentences),
            sum(map(len, words)) / count,
            sum(len(word) > 6 for word in words) / count,
            len({word.lower() for word in words}) / count,
            commas / count,
            min((punctuation - commas) / count, 5.0),
            log(text.count("?")),
            log(text.count("!")),
            log(sum(text.count(mark) for mark in '"“”«»')),
            sum(map(str.isupper, letters)) / max(len(letters), 1),
            sum(len(word) > 1 and word.isupper() for word in words) / count,
            float(next((c.isupper() for c in text if c.isalpha()), False)),
            float(text[-1] in '.!?…"”)'),
            sum(map(str.isdigit, text)) / len(text),
            *_markdown(text),
            log(len(_LINK.findall(text))),
        ]
    )


def _markdown(text: str) -> tuple[float, float, float]:
    """List items, headings and bold, code: log(1 + count) of each."""
    return (
        math.log1p(len(_LIST_ITEM.findall(text))),
        math.log1p(len(_HEADING.findall(text)) + text.count("**") // 2),
        math.log1p(len(_CODE.findall(text))),
    )
