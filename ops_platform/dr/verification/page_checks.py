"""Checks of pages and indexes of a restored cluster, with PostgreSQL's own programs.

Their output may quote data; only names and counts of it are passed on.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ops_platform.clients.safe_errors import program_first_line
from ops_platform.dr.inspection import Verification, failed, named, unknown, verdict
from ops_platform.dr.restore import RestoredServer

JOBS = 4
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
    ended = server.launcher.run(
        [
            server.program("pg_amcheck"),
            *_connection(server),
            f"--jobs={max(1, min(JOBS, os.cpu_count() or 1))}",
            "--all",
            "--install-missing",
            "--heapallindexed",
            "--parent-check",
            "--rootdescend",
        ]
    )
    if ended.code == 0:
        return verdict(name, True, "heaps and indexes agree")
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
            *_connection(server),
            "--file=/dev/null",
            f"--dbname={database}",
        ]
        ended = server.launcher.run(command)
        if ended.code and _UNREACHABLE.search(ended.stderr):
            return unknown(name, f"the server is away: {_first_error(ended.stderr)}")
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


def _connection(server: RestoredServer) -> list[str]:
    return [f"--host={server.socket_dir}", f"--port={server.port}", f"--username={server.superuser}"]


def _first_error(text: str) -> str:
    """Return the first line that says what is wrong, without what could quote a row."""
    for line in text.splitlines():
        if "error" in line.lower() or "fatal" in line.lower():
            return program_first_line(line.split("error: ", 1)[-1])
    return "it said nothing"
