"""Files of rows: what is missing stays missing, whole numbers stay whole, and batches make one file."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops_platform.analysis import Selection, records, writers
from ops_platform.cli import cli
from ops_platform.errors import ConfigurationError

AT = datetime(2026, 1, 31, 14, tzinfo=UTC)
COLUMNS: dict[str, records.Kind] = {
    "slo": "text", "hour": "time", "bad": "integer", "left": "number", "fired": "boolean",
    "definition": "json",
}  # fmt: skip
FIRST = ('a, "b"\nc', AT, 2**53 + 1, Decimal("99.95"), True, {"total": "é"})
NOTHING = ("=1+1", None, None, None, None, None)


def rows() -> records.Records:
    return records.Records(COLUMNS, iter([[FIRST], [NOTHING, NOTHING]]))


def written(form: writers.Format, source: records.Records) -> bytes:
    file = io.BytesIO()
    expected = 0 if source is EMPTY else 3
    assert writers.write(source, form, file) == expected
    return file.getvalue()


EMPTY = records.Records(COLUMNS, iter([]))


def test_csv() -> None:
    found = list(csv.reader(io.StringIO(written("csv", rows()).decode(), newline="")))
    assert found[0] == list(COLUMNS)
    assert found[1] == [
        FIRST[0],
        "2026-01-31T14:00:00+00:00",
        str(2**53 + 1),
        "99.95",
        "True",
        '{"total": "é"}',
    ]
    # A spreadsheet would run it.
    assert found[2] == ["'=1+1", "", "", "", "", ""]
    assert written("csv", EMPTY).decode().splitlines() == [",".join(COLUMNS)]


def test_no_text_is_a_formula_and_numbers_stay_numbers() -> None:
    cells = [*("=A1", "+1", "-1", "@x", "\t=A1", "\r=A1", "a=1"), -1, Decimal("-0.5")]
    columns: dict[str, records.Kind] = {f"c{number}": "text" for number in range(len(cells))}
    file = io.BytesIO()
    writers.write(records.Records(columns, iter([[tuple(cells)]])), "csv", file)
    [_, row] = csv.reader(io.StringIO(file.getvalue().decode(), newline=""))
    assert row == [*("'=A1", "'+1", "'-1", "'@x", "'\t=A1", "'\r=A1", "a=1"), "-1", "-0.5"]


def test_json() -> None:
    found = json.loads(written("json", rows()))
    assert found[0] == {
        "slo": FIRST[0], "hour": "2026-01-31T14:00:00+00:00", "bad": 2**53 + 1, "left": 99.95, "fired": True,
        "definition": {"total": "é"},
    }  # fmt: skip
    assert set(found[1].values()) == {"=1+1", None}
    assert len(written("json", rows()).splitlines()) == 5
    assert json.loads(written("json", EMPTY)) == []


def test_parquet_where_its_library_is_there(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    if find_spec("pyarrow") is None:
        with pytest.raises(ConfigurationError, match=r"ops-platform\[parquet\]"):
            written("parquet", rows())
        return
    import pandas as pd

    file.write_bytes(written("parquet", rows()))
    found: Any = pd.read_parquet(file, dtype_backend="numpy_nullable")
    assert found["bad"].tolist()[0] == 2**53 + 1
    assert found["hour"].tolist()[0] == AT
    assert found["bad"].isna().tolist() == [False, True, True]
    assert len(written("parquet", EMPTY)) > 0


def test_what_cannot_be_meant_is_refused() -> None:
    for wrong in (["--format", "parquet"], ["--from", "yesterday"]):
        assert isinstance(CliRunner().invoke(cli, ["slo", "export", *wrong]).exception, ConfigurationError)
    with pytest.raises(ConfigurationError, match="are of no time"):
        records.statement("objectives", Selection(since=AT))
    with pytest.raises(ConfigurationError, match="has no time zone"):
        Selection(until=AT.replace(tzinfo=None))
    assert records.statement("hours", Selection("shop"))[1]["service"] == "shop"
