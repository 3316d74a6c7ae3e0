"""Damage of files and pages, made on real ones: each is found by the program that is meant to find it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.dr.inspection.check_result import Verification
from ops_platform.dr.verification import page_checks as physical
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.dr import zoo

pytestmark = [pytest.mark.services]

SCHEMA = """
CREATE TYPE mood AS ENUM ('calm', 'cross');
CREATE TABLE notes (id int PRIMARY KEY, feeling mood, body text);
INSERT INTO notes SELECT i, 'calm', 'sentinel ' || i FROM generate_series(1, 300) AS i;
CREATE UNLOGGED TABLE passing (n int PRIMARY KEY);
INSERT INTO passing SELECT generate_series(1, 100);
CREATE TABLE "Odd ""name" (n int PRIMARY KEY);
INSERT INTO "Odd ""name" SELECT generate_series(1, 10);
CHECKPOINT;
"""
PAGE = 8192


@pytest.fixture(scope="module")
def cluster(cluster_factory: Callable[..., PostgresCluster]) -> PostgresCluster:
    made = cluster_factory("product", archive=False, databases=False, settings={"autovacuum": "off"})
    with made.superuser() as superuser:
        superuser.execute(SCHEMA)
    return made


@pytest.fixture
def files(cluster: PostgresCluster) -> Iterator[Path]:
    """The file of the table; the cluster is stopped, and all its files are put back at the end."""
    path = file_of(cluster, "notes")
    index = file_of(cluster, "notes_pkey")
    odd = file_of(cluster, '"Odd ""name"')
    with zoo.stopped(cluster):
        kept = {one: one.read_bytes() for one in (path, index, odd)}
        yield path
        if cluster.postmaster() is not None:
            cluster.stop()
        for one, body in kept.items():
            one.write_bytes(body)


def file_of(cluster: PostgresCluster, relation: str) -> Path:
    with cluster.superuser() as superuser:
        superuser.execute("CHECKPOINT")
        row = superuser.execute("SELECT pg_relation_filepath(%s)", (relation,)).fetchone()
    assert row is not None
    return cluster.data_dir / str(row[0])


def patch(path: Path, at: int, change: Callable[[bytes], bytes], length: int) -> None:
    body = bytearray(path.read_bytes())
    body[at : at + length] = change(bytes(body[at : at + length]))
    path.write_bytes(bytes(body))


def first_tuple(path: Path) -> int:
    """Where the first row of the first page is: its line pointer's lowest 15 bits."""
    return int.from_bytes(path.read_bytes()[24:28], "little") & 0x7FFF


def make_checksums_right(cluster: PostgresCluster) -> None:
    """Whatever the pages say now is what they are to say."""
    for option in ("--disable", "--enable"):
        program = zoo.restored(cluster).program("pg_checksums")
        ended = zoo.restored(cluster).launcher.run(
            [program, option, "--no-sync", f"--pgdata={cluster.data_dir}"]
        )
        assert ended.code == 0, ended


def page_checksums(cluster: PostgresCluster) -> Verification:
    return physical.page_checksums(zoo.restored(cluster))


def test_a_whole_cluster_passes(cluster: PostgresCluster) -> None:
    server = zoo.restored(cluster)
    assert physical.amcheck(server).result == "pass"
    assert physical.pg_dump(server).numbers == {"databases": 1}
    with zoo.stopped(cluster):
        answer = physical.page_checksums(server)
    assert answer.result == "pass"
    assert int(answer.numbers["blocks"]) > 100
    assert answer.numbers["damaged"] == 0


def test_an_index_that_lacks_rows(cluster: PostgresCluster) -> None:
    with postgres.connect(cluster.superuser_dsn(), autocommit=True) as superuser:
        superuser.execute("UPDATE pg_index SET indisready = false WHERE indexrelid = 'notes_pkey'::regclass")
        superuser.execute("INSERT INTO notes VALUES (1, 'calm', 'sentinel twice')")
        superuser.execute("UPDATE pg_index SET indisready = true WHERE indexrelid = 'notes_pkey'::regclass")
    try:
        answer = physical.amcheck(zoo.restored(cluster))
        assert (answer.result, answer.summary) == ("fail", "damaged: postgres.public.notes_pkey")
        assert physical.pg_dump(zoo.restored(cluster)).result == "pass"
    finally:
        with cluster.superuser() as superuser:
            for statement in (
                "DELETE FROM notes WHERE body = 'sentinel twice'",
                "REINDEX TABLE notes",
                "VACUUM notes",
            ):
                superuser.execute(statement)


def test_a_row_that_is_no_row_under_a_right_checksum(cluster: PostgresCluster, files: Path) -> None:
    # The number of its columns: one more than the table has. Readers take the table's word.
    patch(files, first_tuple(files) + 18, lambda two: bytes([two[0] + 1, two[1]]), 2)
    make_checksums_right(cluster)
    assert page_checksums(cluster).result == "pass"
    cluster.start()
    answer = physical.amcheck(zoo.restored(cluster))
    assert (answer.result, answer.summary) == ("fail", "damaged: postgres.public.notes")
    assert physical.pg_dump(zoo.restored(cluster)).result == "pass"


def test_a_value_that_cannot_be_read_under_a_right_checksum(cluster: PostgresCluster, files: Path) -> None:
    # The second column, after a header of 24 bytes and an int: the OID of no enum's label.
    patch(files, first_tuple(files) + 28, lambda _: (999_999_999).to_bytes(4, "little"), 4)
    make_checksums_right(cluster)
    cluster.start()
    answer = physical.pg_dump(zoo.restored(cluster))
    assert answer.result == "fail"
    assert '"notes"' in answer.summary
    assert "999999999" not in answer.summary
    assert physical.amcheck(zoo.restored(cluster)).result == "pass"


def test_a_page_that_is_not_what_was_written(cluster: PostgresCluster, files: Path) -> None:
    patch(files, PAGE - 100, lambda old: bytes(byte ^ 0xFF for byte in old), 16)
    answer = page_checksums(cluster)
    assert answer.result == "fail"
    assert answer.numbers["damaged"] == 1
    assert files.name in answer.summary
    cluster.start()
    dumped, checked = physical.pg_dump(zoo.restored(cluster)), physical.amcheck(zoo.restored(cluster))
    assert {dumped.result, checked.result} == {"fail"}
    assert "sentinel" not in repr((dumped, checked))


def test_a_file_that_ends_within_a_page(cluster: PostgresCluster, files: Path) -> None:
    files.write_bytes(files.read_bytes()[:-100])
    assert page_checksums(cluster).result != "pass"


def test_checksums_that_are_off_are_not_applicable(cluster: PostgresCluster, files: Path) -> None:
    program = zoo.restored(cluster).program("pg_checksums")
    command = [program, "--no-sync", f"--pgdata={cluster.data_dir}"]
    zoo.restored(cluster).launcher.run([*command, "--disable"])
    try:
        answer = page_checksums(cluster)
        assert (answer.result, answer.summary[:14]) == ("pass", "not applicable")
    finally:
        zoo.restored(cluster).launcher.run([*command, "--enable"])


def test_a_running_server_cannot_be_checked(cluster: PostgresCluster) -> None:
    answer = page_checksums(cluster)
    assert answer.result == "unknown"
    assert "must be shut down" in answer.summary


def test_a_server_that_is_away_is_unknown(cluster: PostgresCluster) -> None:
    server = zoo.restored(cluster, ["postgres"])
    with zoo.stopped(cluster):
        assert physical.amcheck(server).result == "unknown"
        assert physical.pg_dump(server).result == "unknown"


def test_a_quoted_name_is_told_whole(cluster: PostgresCluster, files: Path) -> None:
    cluster.start()
    odd = file_of(cluster, '"Odd ""name"')
    cluster.stop()
    patch(odd, first_tuple(odd) + 18, lambda two: bytes([two[0] + 1, two[1]]), 2)
    make_checksums_right(cluster)
    cluster.start()
    assert physical.amcheck(zoo.restored(cluster)).summary == 'damaged: postgres.public.Odd "name'


def test_the_programs_are_real(cluster: PostgresCluster) -> None:
    said = subprocess.run(
        [zoo.restored(cluster).program("pg_amcheck"), "--version"], capture_output=True, text=True, check=True
    )
    assert "PostgreSQL" in said.stdout
