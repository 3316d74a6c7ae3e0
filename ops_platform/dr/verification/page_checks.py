"""Checks of pages and indexes of a restored cluster, with PostgreSQL's own programs.

Their output may quote data; only names and counts of it are passed on.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from psycopg import sql

from ops_platform.clients.safe_errors import program_first_line
from ops_platform.dr.inspection import Verification, failed, named, unknown, verdict
from ops_platform.dr.restore import RestoredServer
from ops_platform.errors import Unavailable

JOBS = 4
LOCK_WAIT_MS = 60_000
# The product's own triggers may forbid to install an extension.
_NO_EVENT_TRIGGERS = {"session_replication_role": "replica"}
# btree index "product.public.posts_pkey":   heap table "product.public.posts", block 3, offset 7:
_AMCHECK = re.compile(
    r'^(?:btree index|heap table|sequence) "(?P<name>.+?)"(?=:\s*$|, block \d+|:\s)', re.MULTILINE
)
_BAD_FILE = re.compile(r'checksum verification failed in file "(?P<path>[^"]+)"')
_UNREACHABLE = re.compile(
    r"connection to server|could not connect|server closed the connection|shutting down"
)
_BAD_BLOCKS = re.compile(r"Bad checksums:\s+(?P<count>\d+)")
_SCANNED = re.compile(r"Blocks scanned:\s+(?P<count>\d+)")
_NO_CHECKSUMS = "data checksums are not enabled"


def amcheck(server: RestoredServer) -> Verification:
    """Check that heaps and B-trees of all databases agree with each other, row by row."""
    name = "amcheck"
    try:
        decided = _roll_back_prepared(server)
    except Unavailable as error:
        return unknown(name, str(error))
    ended = server.launcher.run(
        [
            server.program("pg_amcheck"),
            f"--maintenance-db={server.url('postgres', server.superuser, _NO_EVENT_TRIGGERS)}",
            f"--jobs={max(1, min(JOBS, os.cpu_count() or 1))}",
            "--all",
            "--install-missing",
            "--heapallindexed",
            "--parent-check",
            "--rootdescend",
        ]
    )
    if ended.code == 0:
        first = f", after {decided} prepared transactions were rolled back in the copy" if decided else ""
        return verdict(name, True, f"heaps and indexes agree{first}")
    bad = sorted(set(_AMCHECK.findall(ended.stdout)))
    if not bad:
        return unknown(
            name, f"pg_amcheck ended with {ended.code} and named no relation: {_first_error(ended.stderr)}"
        )
    return failed(name, f"damaged: {named(bad)}", damaged=len(bad))


def pg_dump(server: RestoredServer) -> Verification:
    """Check that every row of every database can be read; the dump goes to /dev/null."""
    name, databases = "pg_dump", server.databases()
    for database in databases:
        command = [
            server.program("pg_dump"),
            "--file=/dev/null",
            f"--lock-wait-timeout={LOCK_WAIT_MS}",
            f"--dbname={server.url(database, server.superuser)}",
        ]
        ended = server.launcher.run(command)
        if ended.code and _UNREACHABLE.search(ended.stderr):
            return unknown(name, f"the server is away: {_first_error(ended.stderr)}")
        if ended.code and "lock timeout" in ended.stderr:
            return unknown(
                name,
                f"a prepared transaction has locked a table of database {database}: decide it at the source "
                "(pg_prepared_xacts)",
            )
        if ended.code:
            return failed(name, f"database {database} cannot be dumped: {_first_error(ended.stderr)}")
    return verdict(name, True, f"{len(databases)} databases can be dumped", databases=len(databases))


def page_checksums(server: RestoredServer) -> Verification:
    """Check the checksum of every page. The server must have been stopped cleanly."""
    name = "page_checksums"
    ended = server.launcher.run([server.program("pg_checksums"), "--check", f"--pgdata={server.data_dir}"])
    output = ended.stdout + ended.stderr
    if _NO_CHECKSUMS in output:
        return verdict(name, True, "not applicable: the cluster has no data checksums", blocks=0)
    scanned, bad = _SCANNED.search(output), _BAD_BLOCKS.search(output)
    if scanned is None or bad is None:
        return unknown(name, f"pg_checksums ended with {ended.code}: {_first_error(ended.stderr)}")
    count, wrong = int(scanned["count"]), int(bad["count"])
    text = f"{count} pages are as they were written"
    if wrong:
        files = sorted({Path(path).name for path in _BAD_FILE.findall(output)})
        text = f"{wrong} of {count} pages are damaged, in files {named(files)}"
    return verdict(name, wrong == 0 and ended.code == 0, text, blocks=count, damaged=wrong)


def _roll_back_prepared(server: RestoredServer) -> int:
    """Roll back all prepared transactions of the scratch copy; return their number.

    They keep their locks, and pg_amcheck would wait for them for ever: it locks against all writers.
    """
    with server.connect("postgres") as connection:
        prepared = connection.execute("SELECT database, gid FROM pg_prepared_xacts").fetchall()
    for transaction in prepared:
        with server.connect(transaction["database"]) as connection:
            connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(transaction["gid"]))
    return len(prepared)


def _first_error(text: str) -> str:
    """Return the first line that says what is wrong, without what could quote a row."""
    for line in text.splitlines():
        if "error" in line.lower() or "fatal" in line.lower():
            return program_first_line(line.split("error: ", 1)[-1])
    return "it said nothing"
