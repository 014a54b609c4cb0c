"""Highlighted differences: nothing of a text is lost, what is marked the same is the same, and long texts are quick."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.differences import Span, highlight

texts = st.text(max_size=80) | st.lists(
    st.sampled_from(["a", "b", "c", " ", "\n", ".", "語", "é"]), max_size=80
).map("".join)


@given(texts, texts)
def test_spans_join_to_the_text_and_unchanged_spans_agree(a: str, b: str) -> None:
    spans_a, spans_b = highlight(a, b)
    assert "".join(s.text for s in spans_a) == a
    assert "".join(s.text for s in spans_b) == b
    same_a, same_b = (
        "".join("".join(s.text for s in spans if not s.changed).split()) for spans in (spans_a, spans_b)
    )
    assert same_a == same_b


@given(texts)
def test_a_text_does_not_differ_from_itself(a: str) -> None:
    assert highlight(a, a) == (([Span(a, False)], [Span(a, False)]) if a else ([], []))


def test_only_the_word_that_differs_is_marked() -> None:
    assert highlight("The sky is blue today.", "The sky is green today.") == (
        [Span("The sky is ", False), Span("blue ", True), Span("today.", False)],
        [Span("The sky is ", False), Span("green ", True), Span("today.", False)],
    )


def test_chinese_is_compared_by_character() -> None:
    assert highlight("我喜欢茶", "我喜欢水")[0] == [Span("我喜欢", False), Span("茶", True)]


def _words(seed: int, length: int, vocabulary: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{min(int(draw.expovariate(5 / vocabulary)), vocabulary)}" for _ in range(length))[
        :200_000
    ]


def test_a_few_edits_in_a_long_text_are_all_that_is_marked() -> None:
    a = _words(1, 60_000, 20_000).split(" ")
    b = list(a)
    for position in range(500, len(b), 1000):
        b[position] = "edited"
    spans_a, spans_b = highlight(" ".join(a), " ".join(b))
    assert sum(len(s.text.split()) for s in spans_b if s.changed) == b.count("edited")
    assert sum(len(s.text.split()) for s in spans_a if s.changed) == b.count("edited")


def _anchored(seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"u{i} " + " ".join(draw.choices("ab", k=48)) for i in range(2000))[:200_000]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (_words(1, 60_000, 20_000), _words(2, 60_000, 20_000)),
        (_words(1, 90_000, 50), _words(2, 90_000, 50)),
        ("a " * 100_000, "b " + "a " * 99_999),
        ("ab" * 100_000, "ba" * 100_000),
        ("." * 200_000, "," + "." * 199_998 + ","),
        (" ".join(f"{i}" for i in range(35_000)), " ".join(f"{i}" for i in reversed(range(35_000)))),
        (_anchored(1), _anchored(2)),
        (_words(3, 999, 2), _words(4, 999, 2)),
    ],
    ids=["different", "few words", "repetition", "one word", "signs", "reversed", "many gaps", "short"],
)
def test_200_000_characters_are_compared_whole(a: str, b: str) -> None:
    spans_a, spans_b = highlight(a, b)
    assert ("".join(s.text for s in spans_a), "".join(s.text for s in spans_b)) == (a, b)
