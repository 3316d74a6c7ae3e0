"""Files of the views for analysts: CSV, JSON and Parquet, written batch by batch."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from io import TextIOWrapper
from typing import Any, BinaryIO, Literal

from ops_platform.analysis.records import Kind, Records
from ops_platform.errors import ConfigurationError

Format = Literal["csv", "json", "parquet"]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def write(records: Records, form: Format, file: BinaryIO) -> int:
    """Write all rows, and return their number. Raises ConfigurationError where pyarrow is missing."""
    return _WRITERS[form](records, file)


def _csv(records: Records, file: BinaryIO) -> int:
    """Write CSV as RFC 4180 has it: empty is NULL, times are ISO 8601 in UTC.

    Text that a spreadsheet would run as a formula begins with an apostrophe.
    """
    text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(records.columns)
    written = 0
    for rows in records.batches:
        writer.writerows([_plain(value, as_text=True) for value in row] for row in rows)
        written += len(rows)
    text.detach()
    return written


def _json(records: Records, file: BinaryIO) -> int:
    """Write an array of objects, one a line."""
    written = 0
    file.write(b"[")
    for rows in records.batches:
        for row in rows:
            values = dict(zip(records.columns, map(_plain, row), strict=True))
            file.write(b",\n" if written else b"\n")
            file.write(json.dumps(values, ensure_ascii=False).encode())
            written += 1
    file.write(b"\n]\n")
    return written


def _parquet(records: Records, file: BinaryIO) -> int:
    """Write Parquet with the types of the columns: whole numbers stay whole, times are in UTC."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigurationError(
            "Parquet needs pyarrow, which is not installed: pip install 'ops-platform[parquet]', or take csv"
        ) from None
    types: Mapping[Kind, Any] = {
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "time": pyarrow.timestamp("us", tz="UTC"),
        "text": pyarrow.string(),
        "boolean": pyarrow.bool_(),
        "json": pyarrow.string(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in records.columns.items()])
    written = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for rows in records.batches:
            columns = [
                pyarrow.array([_arrow(value) for value in column], type=field.type)
                for column, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            writer.write_batch(pyarrow.record_batch(columns, schema=schema))
            written += len(rows)
    return written


def _plain(value: Any, *, as_text: bool = False) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value) if as_text else float(value)
    if isinstance(value, dict | list) and as_text:
        return json.dumps(value, ensure_ascii=False)
    if as_text and isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _arrow(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


_WRITERS: Mapping[Format, Callable[[Records, BinaryIO], int]] = {
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
}
