"""The sample project: its shape, its balance, and that the answers it calls right are right."""

import calendar
import json
import math
import re
import sqlite3
from collections import Counter
from itertools import permutations, product
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest

from core.records import CATEGORIES, CHOICES
from core.sample import parse_sample
from core.simulation import default_panel, simulate

TEXT = (Path(__file__).parent.parent / "assets/sample/pairs.jsonl").read_text(encoding="utf-8")
ROWS: dict[str, dict[str, Any]] = {row["id"]: row for row in map(json.loads, TEXT.splitlines())}
SAMPLE = parse_sample(TEXT)


def answer(name: str, which: str = "better") -> str:
    """The better response of a row, or the other one."""
    side = ROWS[name]["better"]
    return str(ROWS[name][f"response_{side if which == 'better' else 'ab'.replace(side, '')}"])


def code(text: str) -> dict[str, Any]:
    """What the first Python block of a response defines."""
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert block
    names: dict[str, Any] = {}
    exec(block[1], names)
    return names


def test_shape() -> None:
    assert len(SAMPLE) == 72
    assert Counter(pair.prompt.category for pair, _ in SAMPLE) == dict.fromkeys(CATEGORIES, 18)
    assert len({pair.prompt.id for pair, _ in SAMPLE}) == len({pair.id for pair, _ in SAMPLE}) == 72
    assert sum(len(pair.prompt.messages) > 1 for pair, _ in SAMPLE) >= 8
    for pair, item in SAMPLE:
        assert pair.prompt.messages[-1].role == "user"
        assert {pair.response_a.model, pair.response_b.model} == {"attune-demo-small", "attune-demo-large"}
        assert (item.pair_id, item.length_a) == (pair.id, len(pair.response_a.text))


def test_balance() -> None:
    better = Counter(row["better"] for row in ROWS.values())
    assert better == {"a": 28, "b": 28, "tie": 12, "both_bad": 4}
    decided = [(pair, item) for pair, item in SAMPLE if item.gap]
    longer = sum((item.length_a > item.length_b) == (item.gap > 0) for _, item in decided)
    large = sum(
        (p.response_a if item.gap > 0 else p.response_b).model == "attune-demo-large" for p, item in decided
    )
    assert 0.4 < longer / len(decided) < 0.6
    assert 0.6 < large / len(decided) < 0.8


def test_gap_is_signed_towards_the_better_response() -> None:
    for row, (_, item) in zip(ROWS.values(), SAMPLE, strict=True):
        assert item.gap == {"a": row["gap"], "b": -row["gap"]}.get(row["better"], 0)
        assert item.both_bad == (row["better"] == "both_bad")


def test_the_panel_judges_it_with_every_choice() -> None:
    judgements = simulate(default_panel(), [item for _, item in SAMPLE], seed=1, per_item=4)
    assert len(judgements) == 288 and {judgement.choice for judgement in judgements} == set(CHOICES)


def test_mathematics() -> None:
    rolls = list(product(range(1, 7), repeat=2))
    salaries = [30, 32, 35, 38, 215]
    truths = {
        "math-01": f"{315 / ((13 * 60 + 5 - 9 * 60 - 40 - 25) / 60):.0f} km/h",
        "math-02": f"{100 - 100 * 1.2 * 0.8:.0f}% cheaper",
        "math-03": f"1/{len(rolls) // sum(sum(roll) >= 10 for roll in rolls)}",
        "math-06": f"{2000 * (1 + 0.03 / 12) ** 60:,.2f}",
        "math-09": f"{len(set(permutations('BANANA')))}",
        "math-12": f"{math.sqrt(6.5**2 - 2.5**2):.0f} m",
        "math-15": f"x ≈ {math.log(20, 3) - 1:.3f}",
        "math-16": f"{5 - (400 + 4 * 50) / 200:.0f} per ticket",
        "math-18": f"{max(x * (60 - 2 * x) for x in range(31))} m²",
        "reasoning-09": f"{0.01 * 0.99 / (0.01 * 0.99 + 0.99 * 0.05):.0%}",
    }
    for name, truth in truths.items():
        assert f"**{truth}" in answer(name), name
        assert f"**{truth}" not in answer(name, "worse"), name
    assert f"**{mean(salaries)} thousand**" in answer("math-11")
    assert f"**{median(salaries)} thousand**" in answer("math-11")
    for side in "ab":
        assert f"**{72 * 1000 / 3600:.0f} m/s**" in ROWS["math-08"][f"response_{side}"].replace(".**", "**")
        assert f"{math.gcd(252, 198)}**" in ROWS["math-10"][f"response_{side}"]
        assert f"**{12 * 8 * 15:,} litres**" in ROWS["math-17"][f"response_{side}"]
        assert f"**{(12 - 2) * 180 // 12}°**" not in ROWS["math-13"][f"response_{side}"]


def test_python_answers(tmp_path: Path) -> None:
    assert code(answer("coding-01"))["unique"]([3, 1, 3, 2, 1]) == [3, 1, 2]
    assert code(answer("coding-01", "worse"))["unique"]([3, 1, 3, 2, 1]) != [3, 1, 2]

    panama = "A man, a plan, a canal: Panama"
    assert code(answer("coding-02"))["is_palindrome"](panama)
    assert not code(answer("coding-02", "worse"))["is_palindrome"](panama)

    add = code(answer("coding-03"))["add"]
    assert (add(1), add(2)) == ([1], [2])
    add = code(answer("coding-03", "worse"))["add"]
    assert (add(1), add(2)) != ([1], [2])

    search = code(answer("coding-06"))["binary_search"]
    for size in range(6):
        assert [search(list(range(0, 2 * size, 2)), x) for x in range(2 * size)] == [
            -1 if x % 2 else x // 2 for x in range(2 * size)
        ]
    assert code(answer("coding-06", "worse"))["binary_search"]([5], 5) == -1

    is_date = code(answer("coding-07"))["is_date"]
    assert is_date("2024-02-29") and not any(
        map(is_date, ("2023-02-29", "2023-2-1", "20240101", "2024-01-01 "))
    )
    assert code(answer("coding-07", "worse"))["is_date"]("2023-02-31")

    (tmp_path / "sales.csv").write_text("item,amount\nbread,1.5\nmilk,2\n")
    assert code(answer("coding-08"))["total_amount"](tmp_path / "sales.csv") == 3.5

    for side in "ab":
        assert list(code(ROWS["coding-13"][f"response_{side}"])["flatten"]([1, [2, [3, 4]], 5])) == [
            1,
            2,
            3,
            4,
            5,
        ]

    cases = code(answer("coding-15"))["test_is_leap_year"].pytestmark[0].args[1]
    assert all(calendar.isleap(year) is expected for year, expected in cases)

    wrong = [code(ROWS["coding-16"][f"response_{side}"])["to_seconds"] for side in "ab"]
    assert all(_fails_at_durations(function) for function in wrong)

    for which, kept in (("better", "a"), ("worse", "b")):
        cache = code(answer("coding-17", which))["LRUCache"](2)
        cache.put("a", 1)
        cache.put("b", 2)
        assert cache.get("a") == 1
        cache.put("c", 3)
        assert cache.get(kept) is not None and cache.get("c") == 3


def _fails_at_durations(to_seconds: Any) -> bool:
    try:
        return [to_seconds(text) for text in ("1h30m", "45m", "2h")] != [5400, 2700, 7200]
    except ValueError:
        return True


@pytest.mark.parametrize(("which", "expected"), [("better", 40), ("worse", 50)])
def test_sql_answers(which: str, expected: int) -> None:
    query = re.search(r"```sql\n(.*?)```", answer("coding-04", which), re.DOTALL)
    assert query
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE employees (name TEXT, salary INTEGER)")
        database.executemany(
            "INSERT INTO employees VALUES (?, ?)", [("A", 50), ("B", 50), ("C", 40), ("D", 30)]
        )
        assert database.execute(query[1]).fetchall() == [(expected,)]
