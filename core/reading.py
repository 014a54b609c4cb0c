"""The bytes of an uploaded file into numbered rows: JSON, JSONL, CSV and Parquet, the text ones also as .gz."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import PurePath

import pyarrow as pa
import pyarrow.parquet as pq

from core.records import Parsed, Refusal, uncollected

Row = dict[str, object]
MAX_LINE = 50_000_000
"""Characters one line of JSONL or one row of CSV may have."""
MAX_UNPACKED = 512 * 2**20
"""Bytes a compressed file may unpack to."""

_FORMATS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_SUSPECT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
csv.field_size_limit(MAX_LINE)


class FileError(ValueError):
    """A file that cannot be read at all; the message says what is wrong and what to do."""


class _NotJson(ValueError):
    pass


@uncollected()
def read_rows(data: bytes, filename: str) -> Parsed[Row]:
    """Read a file into rows, each a dict from column to value; a JSON string becomes ``{"text": string}``.

    The extension names the format; where it names none the content does. A row that cannot be read is refused and
    the others go on. The row number is the line in JSONL; elsewhere rows count from 1, a CSV header not included.

    Text is UTF-8, with or without BOM, or UTF-16 with BOM. CSV has a header; the delimiter is the one of comma,
    semicolon and tab that splits the header most.

    Raises FileError where the file as a whole cannot be read, or holds no row.
    """
    path = PurePath(filename.lower())
    if data[:2] == b"\x1f\x8b" or path.suffix == ".gz":
        data = _unpack(data, filename)
    if path.suffix == ".gz":
        path = path.with_suffix("")
    if not data.strip():
        raise FileError(f"{filename} is empty: choose a file with at least one row")
    kind = "parquet" if data[:4] == b"PAR1" else _FORMATS.get(path.suffix)
    if kind == "parquet":
        parsed = _collect(_parquet(data, filename), check=True)
    elif data[:4] == b"PK\x03\x04":
        raise FileError(f"{filename} is an Excel or zip file: save the sheet as CSV (UTF-8) and upload that")
    else:
        text = _decode(data, filename)
        if kind == "csv" or (kind is None and text.lstrip()[:1] not in ("[", "{")):
            parsed = _collect(_csv(text, filename), check="\0" in text)
        else:
            found = _json(text, filename, by_line=kind == "jsonl")
            parsed = _collect(found, check=_SUSPECT.search(text) is not None)
    if not parsed.rows and not parsed.refused:
        raise FileError(f"{filename} holds no rows")
    return parsed


def _unpack(data: bytes, filename: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            unpacked = packed.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{filename} is not a whole gzip file ({error}): compress it again") from None
    if len(unpacked) > MAX_UNPACKED:
        raise FileError(
            f"{filename} unpacks to more than {MAX_UNPACKED:,} bytes: split it into smaller files"
        )
    return unpacked


def _decode(data: bytes, filename: str) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        # error.object is what the codec saw: utf-8-sig leaves the BOM out.
        seen = bytes(error.object)
        line, name = seen.count(b"\n", 0, error.start) + 1, encoding.removesuffix("-sig").upper()
        raise FileError(
            f"{filename}: byte 0x{seen[error.start]:02x} in line {line} (byte {error.start + 1} of the file) "
            f"is not {name}: save the file as UTF-8 and upload it again"
        ) from None
    if not text.strip():
        raise FileError(f"{filename} is empty: choose a file with at least one row")
    return text


def _collect(found: Iterable[tuple[int, object]], check: bool) -> Parsed[Row]:
    """Sort what was found into rows and refusals; ``check`` looks into every string for what no text may hold."""
    parsed: Parsed[Row] = Parsed([], [])
    for number, value in found:
        if isinstance(value, str):
            value = {"text": value}
        if isinstance(value, Refusal):
            parsed.refused.append(value)
        elif not isinstance(value, dict):
            reason = f"{kind_of(value)} where an object (column: value) is needed"
            parsed.refused.append(Refusal(number, None, reason))
        elif check and (flaw := _flaw(value)):
            parsed.refused.append(Refusal(number, *flaw))
        else:
            parsed.rows.append((number, value))
    return parsed


def kind_of(value: object) -> str:
    """The name a person knows a value's type by."""
    match value:
        case None:
            return "nothing"
        case str():
            return "text"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


def forbidden(text: str) -> str | None:
    """What in a text the store cannot hold, if anything: NUL, or half of a surrogate pair."""
    if "\0" in text:
        return "holds a NUL character (\\u0000)"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"holds half of a surrogate pair (\\u{ord(text[error.start]):04x})"
    return None


def _flaw(row: Row) -> tuple[str | None, str] | None:
    for column, value in row.items():
        if reason := forbidden(column):
            return None, f"a column name {reason}"
        stack: list[object] = [value]
        while stack:
            match stack.pop():
                case str() as text if reason := forbidden(text):
                    return column, reason
                case dict() as inner:
                    stack += [*inner.keys(), *inner.values()]
                case list() | tuple() as inner:
                    stack += inner
    return None


def _no_constant(name: str) -> object:
    raise _NotJson(f"{name} is not JSON: write null or a number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _why(error: Exception) -> str:
    match error:
        case RecursionError():
            return "nested too deeply"
        case json.JSONDecodeError():
            return (
                f"not JSON: {error.msg[0].lower()}{error.msg[1:].removesuffix(' at')} in column {error.colno}"
            )
        case _NotJson():
            return str(error)
        case _:
            return "a number has too many digits"


def _json(text: str, filename: str, by_line: bool) -> Iterable[tuple[int, object]]:
    """An array, one object, or (also where the file is only called .json) an object a line."""
    if by_line and not text.lstrip().startswith("["):
        return _json_lines(text)
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        if by_line or (isinstance(error, json.JSONDecodeError) and error.msg == "Extra data"):
            return _json_lines(text)
        line = f" of line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        hint = "write an array of objects, or one object a line in a .jsonl file"
        raise FileError(f"{filename}: {_why(error)}{line}: {hint}") from None
    return enumerate(value if isinstance(value, list) else [value], start=1)


def _json_lines(text: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.isspace():
            continue
        if len(line) > MAX_LINE:
            yield number, Refusal(number, None, f"{len(line):,} characters; a line may have {MAX_LINE:,}")
            continue
        try:
            yield number, _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            yield number, Refusal(number, None, "holds a NUL byte" if "\0" in line else _why(error))


def _csv(text: str, filename: str) -> Iterator[tuple[int, object]]:
    text = text.lstrip("\r\n")
    first = text[:MAX_LINE]
    delimiter = max(",;\t", key=lambda d: len(next(csv.reader(io.StringIO(first, newline=""), delimiter=d))))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise FileError(f"{filename}: the header cannot be read ({error}): check its quotes") from None
    for position, name in enumerate(header):
        if reason := "has no name" if not name else forbidden(name):
            raise FileError(f"{filename}: column {position + 1} of the header {reason}: name every column")
        if name in header[:position]:
            raise FileError(f"{filename}: two columns are called {name!r}: give each its own name")
    number = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            reason = str(error)
            if reason == "unexpected end of data":
                reason = "a quote is opened and never closed, so the rest of the file was taken as one cell"
            yield number, Refusal(number, None, f"{reason} (up to line {reader.line_num})")
            continue
        if not cells:
            continue
        number += 1
        if len(cells) != len(header):
            reason = f"{len(cells)} cells where the header has {len(header)} (line {reader.line_num})"
            yield number, Refusal(number, None, reason)
        elif (size := sum(map(len, cells))) > MAX_LINE:
            yield number, Refusal(number, None, f"{size:,} characters; a row may have {MAX_LINE:,}")
        else:
            yield number, dict(zip(header, cells, strict=True))


def _parquet(data: bytes, filename: str) -> Iterator[tuple[int, object]]:
    number, unpacked = 0, 0
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            raise FileError(f"{filename}: two columns have the same name: give each its own")
        for batch in file.iter_batches(batch_size=1024):
            unpacked += batch.nbytes
            if unpacked > MAX_UNPACKED:
                raise FileError(
                    f"{filename} unpacks to more than {MAX_UNPACKED:,} bytes: split it into smaller files"
                )
            for value in _batch_rows(batch):
                number += 1
                yield number, Refusal(number, None, value) if isinstance(value, str) else value
    except FileError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise FileError(f"{filename} is not a readable Parquet file ({reason}): write it again") from None


def _batch_rows(batch: pa.RecordBatch) -> Iterator[Row | str]:
    """The rows of a batch; where a value cannot become a Python object, the reason in place of its row."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):
        for position in range(batch.num_rows):
            try:
                yield from batch.slice(position, 1).to_pylist()
            except (ValueError, OverflowError) as error:
                yield f"a value cannot be read: {error}"
