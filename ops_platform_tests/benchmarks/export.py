"""The export of a subject with a gigabyte of rows, beside ``COPY TO STDOUT`` of the same rows.

To a file, as ``ops-platform gdpr export`` does, and to S3, as a request does: the second shares the machine
with the S3 server, which works as long as COPY does. Targets: at least half of the rate of COPY, in less
than 250 MB of memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from ops_platform import files
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.gdpr.export import archive_store as exports
from ops_platform.local.demo import people
from ops_platform.local.demo.seed.filling import seed
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.benchmarks.measure import Report, Target, Timing
from ops_platform_tests.gdpr.requests_database import requests_of
from ops_platform_tests.services import OpsDatabases, Services

COPY = "COPY TO STDOUT of the rows"
TO_FILE = "export to a file: JSON, ZIP"
TO_S3 = "export to S3, the server on the same cores: JSON, ZIP, encrypted"
REPETITIONS = 3
MEMORY_MB = 250.0
SUBJECT = people.creator_id(1)
TABLES = {"posts": "creator_id", "usage_logs": "creator_id"}

_WORDS = """
CREATE TABLE bench_texts AS
SELECT n, string_agg(substr(md5((random() * 20000)::int::text), 1, 2 + (random() * 8)::int), ' ') AS body
FROM generate_series(1, 2000) AS n, generate_series(1, 260) AS word GROUP BY n
"""
_POSTS = """
INSERT INTO posts (creator_id, title, body, status, metadata, created_at, published_at)
SELECT %(subject)s, 'Post ' || number, a.body || E'\n\n' || b.body, 'published',
       jsonb_build_object('tags', jsonb_build_array('a', 'b'), 'mentions', jsonb_build_array('someone.else')),
       now(), now()
FROM generate_series(1, %(count)s) AS s (number)
JOIN bench_texts AS a ON a.n = 1 + number %% 2000 JOIN bench_texts AS b ON b.n = 1 + number * 31 %% 2000
ORDER BY number
"""
_LOGS = """
INSERT INTO usage_logs (occurred_at, creator_id, session_id, event, ip, properties)
SELECT now() - n * interval '1 second', %(subject)s, gen_random_uuid(), 'post.viewed',
       ('10.0.0.' || n %% 250)::inet,
       jsonb_build_object('path', '/posts/' || n, 'referrer', 'https://search.example/?q=' || md5(n::text),
                          'milliseconds', n %% 997, 'agent', 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101')
FROM generate_series(1, %(count)s) AS n
"""


def run(say: Callable[[str], None], *, quick: bool = False) -> list[Report]:
    services = Services.start()
    try:
        product = services.cluster("product", archive=False, settings={"shared_buffers": "256MB"})
        megabytes = 50 if quick else 1000
        say(f"making a subject with {megabytes} MB of rows")
        _fill(product, megabytes)
        databases = OpsDatabases(services.cluster("ops", archive=False, roles="ops"))
        database = databases.create()
        store = services.object_store()
        environment = {
            **store.settings_environment(),
            "PATH": os.environ["PATH"],
            "OPS_STATE_DIR": str(services.root / "state"),
            "OPS_CA_FILE": str(store.ca_file),
            "OPS_DATABASE_URL": database.url("ops_worker"),
            "OPS_PRODUCT_DATABASE_URL": product.url("ops_worker"),
            "OPS_PRODUCT_ERASER_DATABASE_URL": product.url("ops_eraser"),
            "OPS_API_URL": "https://privacy.example.org",
        }
        copied, size = [], 0
        to_file: list[float] = []
        to_s3: list[float] = []
        peaks: list[float] = []

        def export(argument: str) -> float:
            done = json.loads(
                subprocess.run(
                    [sys.executable, "-m", "ops_platform_tests.benchmarks.export_once", argument],
                    env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
                    check=True,
                    stdout=subprocess.PIPE,
                ).stdout
            )
            peaks.append(done["peak"] / 1e6)
            return float(done["seconds"])

        stored = 0
        with requests_of(database) as table:
            for _ in range(1 if quick else REPETITIONS):
                # In turns: what else the machine does meets both.
                seconds, size = _copy(product)
                copied.append(seconds)
                archive = services.root / "export.zip"
                to_file.append(export(str(archive)))
                archive.unlink()
                made = table.make(SUBJECT, "export", now=datetime.now(UTC)).request.request_id
                table.verify(made, table.token(made), now=datetime.now(UTC))
                table.claim(made, "processing")
                to_s3.append(export(made))
                found = exports.find(table.worker, made)
                stored = found.bytes if found else 0
                table.claim(made, "completed", "fulfilled")
                say(
                    f"COPY {seconds:.1f} s, export to a file {to_file[-1]:.1f} s, to S3 {to_s3[-1]:.1f} s, "
                    f"{max(peaks):.0f} MB of memory"
                )
        report = Report("Exporting a subject", base=COPY)
        report.timings = [
            Timing(COPY, tuple(copied), size),
            Timing(TO_FILE, tuple(to_file), size),
            Timing(TO_S3, tuple(to_s3), size),
        ]
        base = report.timing(COPY).median
        report.targets = [
            Target(
                "rate to a file over that of COPY", base / report.timing(TO_FILE).median, 0.5, at_least=True
            ),
            Target("rate to S3 over that of COPY", base / report.timing(TO_S3).median, 0.5, at_least=True),
            Target("peak of memory", max(peaks), MEMORY_MB, unit="MB"),
        ]
        report.notes = [f"{size / 1e6:.0f} MB as COPY writes them, {stored / 1e6:.0f} MB in the archive"]
        return [report]
    finally:
        services.close()


def _fill(product: PostgresCluster, megabytes: int) -> None:
    owner = product.url("product_owner")
    migrate(owner, files.carried("sql") / "demo")
    seed(owner, scale=0.02)
    with product.superuser("product") as connection:
        connection.execute(_WORDS)
        # Three quarters texts, about 3 KB each; the rest log lines of about 300 bytes.
        connection.execute(_POSTS, {"subject": SUBJECT, "count": megabytes * 240})
        connection.execute("SELECT ensure_usage_log_partitions((now() - interval '35 days')::date, 3)")
        connection.execute(_LOGS, {"subject": SUBJECT, "count": megabytes * 800})
        connection.execute("DROP TABLE bench_texts")
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


def _copy(product: PostgresCluster) -> tuple[float, int]:
    """Seconds and bytes of COPY by psql, to nowhere."""
    began = time.monotonic()
    size = 0
    for table, column in TABLES.items():
        query = f"COPY (SELECT * FROM {table} WHERE {column} = '{SUBJECT}') TO STDOUT"
        process = subprocess.Popen(
            [product.programs.path("psql"), "-qX", product.url("ops_eraser"), "-c", query],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        while data := process.stdout.read(1 << 20):
            size += len(data)
        if process.wait():
            raise RuntimeError("psql failed")
    return time.monotonic() - began, size
