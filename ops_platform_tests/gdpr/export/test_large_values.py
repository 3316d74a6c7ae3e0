"""Values of 100 MB: exported whole, in pieces, by a process that never holds one; partitions once."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ops_platform.gdpr.export import json_lines, rows
from ops_platform.gdpr.map_check import all_checks
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform_tests.gdpr.erasing import Product, erasing, left, map_of

pytestmark = pytest.mark.services

MAP = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {personal: [email], rows: [{role: account, column: id, erase: delete, export: own}]}
  files:
    plain: [id]
    personal: [body, raw, doc]
    rows:
      - {role: owner, column: owner_id, erase: delete, export: own}
      - {role: mentioned, mentions: [body], erase: redact, export: [id]}
"""
ROWS = """
CREATE TABLE users (id int PRIMARY KEY, email text);
CREATE TABLE files (id int PRIMARY KEY, owner_id int, body text, raw bytea, doc jsonb);
INSERT INTO users VALUES (1, 'anna@example.org'), (2, 'ben@example.org');
INSERT INTO files SELECT n, 1, 'short "one" ' || n, '\\x00ff', '{"a": [1]}' FROM generate_series(1, 3) AS n;
"""
# ru_maxrss would be that of the process that starts it where this is larger: exec keeps it.
_PROGRAM = r"""
import re, sys
from datetime import UTC, datetime
from pathlib import Path
from ops_platform.clients import postgres
from ops_platform.gdpr.data_map import parser
from ops_platform.gdpr.export import ExportRequest, to_file
url, data_map, file = sys.argv[1:]
with postgres.session(url, autocommit=True) as connection:
    request = ExportRequest("1", "en", datetime.now(UTC))
    to_file.write(connection, parser.load(Path(data_map)), request, Path(file), None)
print(int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def exported(product: Product, directory: Path) -> tuple[list[dict[str, object]], int]:
    """Export in a process of its own; return the rows of files, and the most memory it took, in MiB."""
    file = directory / "one.zip"
    program = [sys.executable, "-c", _PROGRAM, product.cluster.url("ops_eraser", product.name)]
    done = subprocess.run(
        [*program, str(directory / "data_map.yaml"), str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(file) as archive:
        lines = archive.read("data/files/owner.jsonl").splitlines()
        assert f'"rows": {len(lines)}' in re.sub(r"\s+", " ", archive.read("manifest.json").decode())
    return [json.loads(line) for line in lines], int(done.stdout)


def test_large_rows_come_whole_and_in_pieces(
    bare_product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With small limits: bytes of several characters, nulls and long texts are cut anywhere."""
    from datetime import UTC, datetime

    from ops_platform.gdpr.export import ExportRequest, to_file

    monkeypatch.setattr(rows, "MAX", 1000)
    monkeypatch.setattr(rows, "STORED", 1)
    monkeypatch.setattr(json_lines, "PIECE", 7)
    data_map = map_of(tmp_path, MAP)
    with bare_product.owner() as owner:
        owner.execute(ROWS)
        owner.execute(
            "INSERT INTO files VALUES (4, 1, repeat('äö€ \"x\\y' || chr(10), 300), NULL, NULL), "
            "(5, 1, NULL, sha256('x') || decode(repeat('ab', 3000), 'hex'), '{}')"
        )
        said = owner.execute(
            "SELECT id, body, encode(raw, 'base64') AS raw FROM files ORDER BY id"
        ).fetchall()
    with bare_product.eraser() as eraser:
        request = ExportRequest("1", "en", datetime.now(UTC))
        to_file.write(eraser, data_map, request, tmp_path / "x.zip", lambda bucket: pytest.fail(bucket))
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        shown = json.loads(archive.read("data/files/owner.json"))
    raw = {row["id"]: (row["body"], (row["raw"] or "").replace("\n", "") or None) for row in said}
    assert {row["id"]: (row["body"], row["raw"]) for row in shown} == raw


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_hundred_megabytes_fit_into_250(bare_product: Product, tmp_path: Path) -> None:
    data_map = map_of(tmp_path, MAP)
    with bare_product.owner() as owner:
        owner.execute(ROWS)
        owner.execute(
            """
            INSERT INTO files SELECT 10, 1, string_agg(md5(n::text), ' '), NULL, NULL
                FROM generate_series(1, 3178000) AS n;
            INSERT INTO files SELECT 11, 1, NULL, decode(repeat(md5('x'), 6554000), 'hex'), NULL;
            INSERT INTO files
                SELECT 12, 1, NULL, NULL, jsonb_build_object('text', repeat('0123456789', 10000000));
            INSERT INTO files
                SELECT 13, 2, left(body, 1000000) || ' anna@example.org', NULL, NULL FROM files WHERE id = 10;
            """
        )
        said = owner.execute(
            "SELECT encode(sha256(body::bytea), 'hex') AS sum FROM files WHERE id = 10"
        ).fetchone()
    shown, megabytes = exported(bare_product, tmp_path)
    assert megabytes <= 250
    bodies = {row["id"]: row for row in shown}
    assert sorted(map(str, bodies)) == ["1", "10", "11", "12", "2", "3"]
    assert said is not None
    assert hashlib.sha256(str(bodies[10]["body"]).encode()).hexdigest() == said["sum"]
    with bare_product.eraser() as eraser:
        assert all_checks.check(eraser, data_map) == []
        known, erasure = catalogue.read(eraser), erasing(eraser, data_map, "1")
        row_erasure.erase(eraser, data_map, known, erasure)
        assert left(eraser, data_map, erasure) == ([], [])
