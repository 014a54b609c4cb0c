"""What differs between two answers, word by word, for highlighting."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby, pairwise
from typing import NamedTuple

_TOKEN = re.compile(r"\s+|[^\W\u3040-\u30ff\u3400-\u9fff]+\s*|[\W\u3040-\u30ff\u3400-\u9fff]\s*")
"""A word, a Chinese or Japanese character or a sign, each with the white space that follows."""
_BUDGET = 1_000_000
"""Word comparisons that difflib may make in one call of highlight, counted as the product of the lengths."""


class Span(NamedTuple):
    text: str
    changed: bool


def highlight(a: str, b: str) -> tuple[list[Span], list[Span]]:
    """Both texts cut into spans that the other has in the same order, and spans that it has not.

    The spans of a text, joined, are that text. Amounts of white space between words do not count as a difference.
    Short texts are compared by difflib; long ones are first aligned on the words that occur once in both (patience
    diff, B. Cohen), which takes n log n, and difflib compares the gaps between those words, smallest first, as far as its
    budget goes; what is left counts as changed.
    """
    tokens_a, tokens_b = _TOKEN.findall(a), _TOKEN.findall(b)
    words_a, words_b = [t.strip() for t in tokens_a], [t.strip() for t in tokens_b]
    same_a, same_b = [False] * len(tokens_a), [False] * len(tokens_b)
    for i, j, size in _matches(words_a, words_b):
        same_a[i : i + size] = same_b[j : j + size] = [True] * size
    return _spans(tokens_a, same_a), _spans(tokens_b, same_b)


def _spans(tokens: Sequence[str], same: Sequence[bool]) -> list[Span]:
    runs = groupby(zip(tokens, same, strict=True), key=lambda pair: pair[1])
    return [Span("".join(token for token, _ in run), not alike) for alike, run in runs]


def _matches(a: list[str], b: list[str]) -> Iterator[tuple[int, int, int]]:
    """Runs of equal words: where in a, where in b, how many; the runs, sorted, grow in both."""
    shorter = min(len(a), len(b))
    start = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    end = next((i for i in range(shorter - start) if a[-1 - i] != b[-1 - i]), shorter - start)
    runs = [(0, 0, start), (len(a) - end, len(b) - end, end)]
    if (len(a) - start - end) * (len(b) - start - end) > _BUDGET:
        runs[1:1] = [(i, j, 1) for i, j in _anchors(a, b, start, end)]
    yield from runs
    gaps = [((i + size, x), (j + size, y)) for (i, j, size), (x, y, _) in pairwise(runs)]
    budget = _BUDGET
    for cost, (i, x), (j, y) in sorted(((x - i) * (y - j), (i, x), (j, y)) for (i, x), (j, y) in gaps):
        budget -= cost
        if cost == 0:
            continue
        if budget < 0:
            return
        for at_a, at_b, size in SequenceMatcher(None, a[i:x], b[j:y], autojunk=False).get_matching_blocks():
            yield i + at_a, j + at_b, size


def _anchors(a: list[str], b: list[str], start: int, end: int) -> list[tuple[int, int]]:
    """Words that occur once in both middles, as the longest chain that grows in both."""
    middle_a, middle_b = a[start : len(a) - end], b[start : len(b) - end]
    count_a, count_b = Counter(middle_a), Counter(middle_b)
    place = {word: j for j, word in enumerate(middle_b, start) if count_b[word] == 1}
    shared = [
        (i, place[word]) for i, word in enumerate(middle_a, start) if count_a[word] == 1 and word in place
    ]
    tails: list[int] = []
    ends: list[int] = []
    before: list[int | None] = []
    for index, (_, j) in enumerate(shared):
        length = bisect_left(tails, j)
        before.append(ends[length - 1] if length else None)
        tails[length : length + 1] = [j]
        ends[length : length + 1] = [index]
    longest: list[tuple[int, int]] = []
    at = ends[-1] if ends else None
    while at is not None:
        longest.append(shared[at])
        at = before[at]
    return longest[::-1]
