"""A copy of the ops database and of the bucket, verified without server and store."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops_platform.audit.reading import CopiedBucket, export
from ops_platform.audit.reading.dump import microseconds
from ops_platform.audit.verify import check_copy
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import CheckFailed
from ops_platform_tests.audit.rig import Rig, event


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01 00:00:00+00", 0),
        ("2026-12-01 00:38:14.5+00", 1796085494_500000),
        ("2026-12-01 02:08:14.000001+01:30", 1796085494_000001),
        ("1969-12-31 23:59:59.999999+00", -1),
        ("20000-01-01 00:00:00+00", 568971820800_000000),
        ("0001-01-01 00:00:00+00 BC", -62167219200_000000),
    ],
)
def test_times_of_dumps_are_read_to_the_microsecond(text: str, expected: int) -> None:
    assert microseconds(text) == expected


def findings(rig: Rig, path: Path, bucket: Path, **options: datetime) -> list[str]:
    return [str(one) for one in check_copy(path, CopiedBucket(bucket), rig.keys, **options).findings]


@pytest.mark.services
def test_an_export_and_a_stolen_dump_are_verified_without_the_server(rig: Rig, tmp_path: Path) -> None:
    rig.events(3)
    rig.seal()
    with rig.connect() as connection:
        from ops_platform.audit.ledger import append

        append(connection, event(7, object="tab\tline\nback\\slash \N{SNOWMAN}"))
    rig.seal()
    rig.events(1)
    directory = tmp_path / "export"
    with postgres.connect(rig.database.url()) as connection:
        manifest = export(connection, directory, rig.store)
        with pytest.raises(CheckFailed, match="not empty"):
            export(connection, directory, None)
    assert manifest.rows == {"audit_events": 5, "audit_seals": 2}
    checked = check_copy(directory, CopiedBucket(directory), rig.keys)
    assert [str(one) for one in checked.findings] == []
    assert (checked.events, checked.seals, checked.unsealed, checked.rows_by_scan) == (4, 2, 1, 5)

    # The server goes on, and its superuser changes what was exported: the copy is as it was.
    rig.events(1)
    rig.seal()
    later = check_copy(directory, rig.store, rig.keys)
    assert later.findings == []
    assert any("seal 3 and later ones were made after this copy" in note for note in later.notes)

    # A dump that somebody took away and made to show another actor, and no second seal.
    dump = tmp_path / "dump.sql"
    tables = ("--table=public.audit_events", "--table=public.audit_seals")
    program = Path(rig.database.cluster.programs.path("pg_dump"))
    taken = subprocess.run(
        [program, "--data-only", *tables, f"--file={dump}", rig.database.url("ops_owner")], check=False
    )
    assert taken.returncode == 0
    now = datetime.now(UTC)
    assert [str(one) for one in check_copy(dump, rig.store, rig.keys, taken_at=now).findings] == []
    lines = dump.read_text(encoding="utf-8").splitlines(keepends=True)
    forged = [
        line.replace("\ttests\t", "\tnobody\t", 1) if line.startswith("2\t") else line for line in lines
    ]
    dump.write_text("".join(line for line in forged if not line.startswith("2\t1\t\\N")), encoding="utf-8")
    found = findings(rig, dump, directory, taken_at=now)
    assert found == [
        "event 2: was changed after it was sealed (seal 1)",
        "seal 2: in the bucket but not in the database: removed from audit_seals, or restored to before it",
    ] or found[0].startswith("event 2: was changed")

    old = check_copy(dump, rig.store, rig.keys, taken_at=now + timedelta(days=1))
    assert any("is the newest" in str(one) for one in old.findings)
    (tmp_path / "half.sql").write_text(dump.read_text(encoding="utf-8").partition("\\.")[0])
    with pytest.raises(CheckFailed, match="not the whole"):
        check_copy(tmp_path / "half.sql", rig.store, rig.keys)
    (directory / "manifest.json").unlink()
    with pytest.raises(CheckFailed, match="not that of a whole export"):
        check_copy(directory, rig.store, rig.keys)
