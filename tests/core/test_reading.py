"""What people upload, broken in every way they break it."""

import csv
import gzip
import io
import json
import re
import time
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import reading
from core.reading import FileError, read_rows

gz = partial(gzip.compress, mtime=0)  # the same bytes in every process, for the names of tests

ROWS = [{"text": "Was ist 2 + 2?", "category": "math"}, {"text": "a\u2028b", "category": "général"}]
NUMBERED = list(enumerate(ROWS, start=1))


def as_jsonl(rows: list[dict[str, object]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def as_csv(rows: list[dict[str, object]], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.json", json.dumps(ROWS).encode()),
        ("p.json", json.dumps(ROWS, ensure_ascii=False, indent=2).encode("utf-8-sig")),
        ("p.json", as_jsonl(ROWS)),
        ("p.jsonl", as_jsonl(ROWS)),
        ("p.jsonl", json.dumps(ROWS).encode()),
        ("p.ndjson", as_jsonl(ROWS).replace(b"\n", b"\r\n") + b"\r\n"),
        ("P.JSONL.GZ", gz(as_jsonl(ROWS[:1]) + b"\n") + gz(as_jsonl(ROWS[1:]))),
        ("p.jsonl", gz(as_jsonl(ROWS))),
        ("p.csv", as_csv(ROWS).encode()),
        ("p.csv", as_csv(ROWS, ";").encode("utf-8-sig")),
        ("p.tsv", as_csv(ROWS, "\t").encode()),
        ("p.csv", as_csv(ROWS).encode("utf-16")),
        ("p.csv.gz", gz(as_csv(ROWS).encode())),
        ("p.parquet", as_parquet(pa.Table.from_pylist(ROWS))),
        ("no extension, JSON", json.dumps(ROWS).encode()),
        ("no extension, JSONL", as_jsonl(ROWS)),
        ("no extension, CSV", as_csv(ROWS).encode()),
        ("no extension, Parquet", as_parquet(pa.Table.from_pylist(ROWS))),
    ],
)
def test_every_format_gives_the_same_rows(name: str, data: bytes) -> None:
    parsed = read_rows(data, name)
    assert parsed.rows == NUMBERED
    assert parsed.refused == []


def test_strings_become_rows_of_text() -> None:
    assert read_rows(b'["one", "two"]', "p.json").rows == [(1, {"text": "one"}), (2, {"text": "two"})]


def test_csv_cells_keep_delimiters_quotes_and_line_breaks() -> None:
    row = {"text": 'He said "a, b"; then\r\n\tleft\n', "note": ""}
    for delimiter in ",;\t":
        assert read_rows(as_csv([row], delimiter).encode(), "p.csv").rows == [(1, row)]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("p.jsonl", b"", "is empty"),
        ("p.csv", b"\xef\xbb\xbf \n", "is empty"),
        ("p.json", b"[]", "holds no rows"),
        ("p.csv", b"text,category\n", "holds no rows"),
        ("p.json", b'[{"text": "a"},\n {"text": ]', "column 11 of line 2"),
        ("p.json", b'[{"text": NaN}]', "NaN is not JSON"),
        ("p.json", b"[" + b"9" * 5000 + b"]", "too many digits"),
        ("p.json", b"[" * 100_000, "nested too deeply"),
        (
            "p.csv",
            b"text\nok\ncaf\xe9\n",
            r"byte 0xe9 in line 3 \(byte 12 of the file\).*save the file as UTF-8",
        ),
        ("p.csv", b"\xff\xfea\x00b", "is not UTF-16"),
        ("p.jsonl", b'{"text": "\xed\xa0\x80"}', "is not UTF-8"),
        ("p.csv", b"text,,category\na,b,c\n", "column 2 of the header has no name"),
        ("p.csv", b"text,text\na,b\n", "two columns are called 'text'"),
        ("p.csv", b"te\0xt\na\n", "column 1 of the header holds a NUL"),
        ("p.csv", b'"te"xt,b\na,b\n', "the header cannot be read"),
        ("p.parquet", b"not one", "not a readable Parquet file"),
        ("p.parquet", b"PAR1" + b"x" * 100 + b"PAR1", "not a readable Parquet file"),
        ("p.parquet", as_parquet(pa.Table.from_pylist(ROWS))[:-20], "not a readable Parquet file"),
        ("p.parquet", as_parquet(pa.table([["a"], ["b"]], names=["t", "t"])), "the same name"),
        ("p.xlsx", b"PK\x03\x04rest", "Excel or zip"),
        ("p.jsonl.gz", b"plain", "not a whole gzip file"),
        ("p.jsonl.gz", gz(b'{"text": "a"}' * 99)[:-9], "not a whole gzip file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(name: str, data: bytes, message: str) -> None:
    with pytest.raises(FileError, match=message) as caught:
        read_rows(data, name)
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (b"{broken", None, "not JSON: expecting property name"),
        (b'{"text": "a"} trailing', None, "extra data in column 15"),
        (b'{"text": "a\0b"}', None, "holds a NUL byte"),
        (b'{"text": "a\\u0000b"}', "text", "holds a NUL character"),
        (b'{"text": {"deep": ["\\ud800"]}}', "text", r"half of a surrogate pair \(\\ud800\)"),
        (b'{"\\udc00": 1}', None, "a column name holds half"),
        (b'{"text": Infinity}', None, "Infinity is not JSON"),
        (b'{"n": ' + b"9" * 5000 + b"}", None, "too many digits"),
        (b'{"text": ' + b"[" * 100_000, None, "nested too deeply"),
        (b"17", None, "a number where an object"),
        (b"[1]", None, "a list where an object"),
        (b"null", None, "nothing where an object"),
    ],
)
def test_a_broken_line_is_refused_and_the_others_go_on(line: bytes, field: str | None, reason: str) -> None:
    parsed = read_rows(b'{"text": "\\ud83d\\ude00"}\n' + line + b'\n\n{"text": "last"}', "p.jsonl")
    assert parsed.rows == [(1, {"text": "😀"}), (4, {"text": "last"})]
    [refusal] = parsed.refused
    assert (refusal.row, refusal.field) == (2, field)
    assert re.search(reason, refusal.reason)


def test_a_line_over_fifty_megabytes_is_refused() -> None:
    parsed = read_rows(b'{"text": "' + b"x" * reading.MAX_LINE + b'"}\n{"text": "b"}', "p.jsonl")
    assert parsed.rows == [(2, {"text": "b"})]
    assert [(r.row, "may have 50,000,000" in r.reason) for r in parsed.refused] == [(1, True)]


def test_a_csv_cell_over_fifty_megabytes_is_refused() -> None:
    parsed = read_rows(b"text\n" + b"x" * (reading.MAX_LINE + 1) + b"\nb\n", "p.csv")
    assert parsed.rows == [(2, {"text": "b"})]
    assert [r.row for r in parsed.refused] == [1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a", "1 cells where the header has 2 (line 3)"),
        ("a,b,c", "3 cells where the header has 2 (line 3)"),
        ('"a"b,c', "expected after"),
        ("a\0,b", "holds a NUL character"),
    ],
)
def test_a_broken_csv_row_is_refused_and_the_others_go_on(line: str, reason: str) -> None:
    parsed = read_rows(f"text,category\none,x\n{line}\nlast,y\n".encode(), "p.csv")
    assert parsed.rows == [(1, {"text": "one", "category": "x"}), (3, {"text": "last", "category": "y"})]
    [refusal] = parsed.refused
    assert refusal.row == 2
    assert reason in refusal.reason


def test_an_unclosed_quote_is_named() -> None:
    parsed = read_rows(b'text,category\none,x\n"two,y\nthree,z\n', "p.csv")
    assert [number for number, _ in parsed.rows] == [1]
    assert "never closed" in parsed.refused[0].reason


def test_a_parquet_value_that_is_no_text_costs_its_row_only() -> None:
    broken = pa.array([b"ok", b"\xff", b"fine"]).view(pa.string())
    parsed = read_rows(as_parquet(pa.table({"text": broken})), "p.parquet")
    assert [number for number, _ in parsed.rows] == [1, 3]
    assert parsed.refused[0].row == 2


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_UNPACKED", 1_000_000)
    with pytest.raises(FileError, match="unpacks to more than 1,000,000 bytes"):
        read_rows(gz(b"x" * 1_000_001), "p.csv.gz")
    with pytest.raises(FileError, match="unpacks to more than 1,000,000 bytes"):
        read_rows(as_parquet(pa.table({"text": ["x" * 1000] * 2000})), "p.parquet")


NAMES = st.sampled_from(["p.json", "p.jsonl", "p.csv", "p.tsv", "p.parquet", "p.gz", "p.csv.gz", "p", ""])
TEXTS = st.lists(
    st.sampled_from(
        [
            '{"text":',
            '"a"',
            "}",
            "[",
            "]",
            ",",
            ";",
            "\n",
            "\r",
            '"',
            "\\u0000",
            "\\ud800",
            "\0",
            "é",
            "1e999",
        ]
    )
).map("".join)
BYTES = st.binary(max_size=200)


@given(
    st.one_of(
        BYTES,
        TEXTS.map(str.encode),
        TEXTS.map(lambda t: t.encode("utf-16")),
        BYTES.map(gz),
        TEXTS.map(lambda t: gz(t.encode())),
        BYTES.map(lambda b: b"PAR1" + b + b"PAR1"),
    ),
    NAMES,
)
@example(b"\x1f\x8b\x08", "p")
@example(b"\r\r", "p.csv")
def test_bytes_give_rows_or_a_file_error(data: bytes, name: str) -> None:
    try:
        parsed = read_rows(data, name)
    except FileError:
        return
    numbers = [number for number, _ in parsed.rows] + [refusal.row for refusal in parsed.refused]
    assert len(set(numbers)) == len(numbers) > 0
    json.dumps([row for _, row in parsed.rows], default=str, ensure_ascii=False).encode()


@given(st.data())
def test_a_damaged_parquet_gives_rows_or_a_file_error(data: st.DataObject) -> None:
    whole = bytearray(as_parquet(pa.Table.from_pylist(ROWS)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_rows(bytes(whole), "p.parquet")
    except FileError as error:
        assert str(error)


def test_100_000_rows_of_jsonl_read_in_seconds() -> None:
    data = as_jsonl([{"id": i, "text": "word " * 95, "category": "math"} for i in range(100_000)])
    assert len(data) > 50_000_000
    start = time.process_time()
    assert len(read_rows(data, "p.jsonl").rows) == 100_000
    assert time.process_time() - start < 2
