"""Surface features: what they count, and that they never fail."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.surface import COUNTED, LENGTH, MARKS, NAMES, STYLE, features, style

TEXT = """# Answer

Don't use `eval`, please: it RUNS code!

- one item
- two items, see https://example.org

```
print(1)
```
Is that **clear**?"""


def of(text: str) -> dict[str, float]:
    return dict(zip(NAMES, features(text).tolist(), strict=True))


def test_what_is_counted() -> None:
    found = of(TEXT)
    counts = {
        "list items (log)": 2,
        "headings and bold (log)": 2,
        "code (log)": 3,
        "links (log)": 1,
        "questions (log)": 1,
        "exclamations (log)": 1,
        "paragraphs (log)": 8,
        "sentences (log)": 2,
        "words (log)": 21,
    }
    assert {name: round(float(np.expm1(found[name]))) for name in counts} == counts
    assert found["words in capitals"] == 1 / 21
    assert found["begins with a capital"] == found["ends with a full stop"] == 1
    assert found["commas a word"] == 2 / 21
    assert NAMES[LENGTH] == "characters (log)" and np.isclose(found["characters (log)"], np.log1p(len(TEXT)))


def test_a_careless_answer_looks_careless() -> None:
    found = of("u r so WRONG lol")
    assert found["begins with a capital"] == found["ends with a full stop"] == 0
    assert found["letters a word"] == 12 / 5 and found["words in capitals"] == 1 / 5


@given(st.text())
def test_every_text_has_finite_features_and_white_space_around_it_does_not_count(text: str) -> None:
    found = features(text)
    assert found.shape == (len(NAMES),) and np.isfinite(found).all()
    assert np.array_equal(found, features(f"  {text}\n"))


def test_no_words_at_all() -> None:
    assert not features(" \n").any()
    assert np.isfinite(features("?!… 🙂")).all()


@given(st.text(alphabet=st.sampled_from(" \n\t-*#`1.aé)x"), max_size=200))
def test_the_style_is_a_part_of_the_features(text: str) -> None:
    for whole in (text, TEXT):
        assert style(whole) == pytest.approx([of(whole)[name] for name in STYLE])


def test_marks_count_what_the_features_count() -> None:
    found = {name: len(re.findall(pattern, TEXT)) for name, pattern in MARKS.items()}
    assert found == {"list items": 2, "headings": 1, "bold": 1, "code": 3, "links": 1}
    assert ("characters", *found) == COUNTED
