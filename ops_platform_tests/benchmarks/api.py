"""The data subjects' API at 200 requests a second, as the stack runs it, beside one that does nothing.

Target: of a mix of reading and new requests, 99 in 100 are answered within 50 ms.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from ops_platform.errors import CheckFailed
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.api.house import House, house
from ops_platform_tests.api.running import RunningApi, running_api
from ops_platform_tests.benchmarks.measure import Report, Target, Timing
from ops_platform_tests.clients.running_redis import running_redis
from ops_platform_tests.services import OpsDatabases, Services

RATE = 200
"""Requests a second."""
P99_MS = 50.0
REPETITIONS = 3
STORED = 20_000
"""Requests of others that are in the database already."""
READERS = 500
"""Subjects who ask for what they have requested."""
FLOOR, P50, P99 = "/healthz, p99", "the mix, p50", "the mix, p99"

Planned = tuple[str, float, str, int]


@dataclass(frozen=True)
class Measured:
    """Seconds to the answer, by kind. ``late``: seconds by which the client started requests too late, p99.

    ``client`` and ``server``: how much of one processor each used.
    """

    seconds: dict[str, list[float]]
    late: float
    client: float
    server: float

    def quantile(self, q: float) -> float:
        return quantile([one for each in self.seconds.values() for one in each], q)


def run(say: Callable[[str], None], *, quick: bool = False) -> list[Report]:
    seconds = 5 if quick else 20
    floors: list[Measured] = []
    mixes: list[Measured] = []
    services = Services.start()
    try:
        product = services.cluster("product", archive=False)
        ops = OpsDatabases(services.cluster("ops", archive=False, roles="ops"))
        with (
            running_redis(services) as redis,
            tempfile.TemporaryDirectory() as name,
            house(ops.create(), _people(product), redis, Path(name)) as api,
            running_api(services, api, Path(name) / "api.log", OPS_API_RATE_LIMIT="1000000") as running,
        ):
            say(f"storing {STORED} requests")
            plan = _Plan(api)
            _measure(running, plan.mix(2))
            for _ in range(1 if quick else REPETITIONS):
                floors.append(_measure(running, plan.floor(seconds)))
                mixes.append(_measure(running, plan.mix(seconds)))
                say(
                    f"p99: /healthz {floors[-1].quantile(0.99) * 1000:.1f} ms, "
                    f"the mix {mixes[-1].quantile(0.99) * 1000:.1f} ms"
                )
    finally:
        services.close()
    return [_report(floors, mixes)]


def quantile(values: list[float], q: float) -> float:
    return statistics.quantiles(values, n=1000, method="inclusive")[round(q * 1000) - 1]


def _report(floors: list[Measured], mixes: list[Measured]) -> Report:
    report = Report(f"The API at {RATE} requests a second", base=FLOOR)
    report.timings = [
        Timing(FLOOR, tuple(one.quantile(0.99) for one in floors)),
        Timing(P50, tuple(one.quantile(0.5) for one in mixes)),
        Timing(P99, tuple(one.quantile(0.99) for one in mixes)),
    ]
    report.targets = [Target(P99, report.timing(P99).median * 1000, P99_MS, unit="ms")]
    kinds = {
        kind: [round(quantile(one.seconds[kind], 0.99) * 1000, 1) for one in mixes]
        for kind in mixes[0].seconds
    }
    report.facts = {
        "p99_ms": kinds,
        "load_average": round(os.getloadavg()[0], 1),
        "processors": os.cpu_count(),
    }
    worst = max(mixes, key=lambda one: one.late)
    report.notes = [
        "p99 in ms: " + "; ".join(f"{kind} {' '.join(map(str, each))}" for kind, each in kinds.items()),
        f"of one processor the API took {max(one.server for one in mixes):.0%}, the client "
        f"{max(one.client for one in mixes):.0%}; 99 in 100 requests started within "
        f"{worst.late * 1000:.1f} ms of their time",
        f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}",
    ]
    return report


def _people(product: PostgresCluster) -> PostgresCluster:
    with product.superuser("product") as superuser:
        superuser.execute("CREATE TABLE people (id uuid PRIMARY KEY, email text)")
        superuser.execute("GRANT SELECT (id, email) ON people TO ops_api")
        superuser.execute("GRANT USAGE ON SCHEMA public TO ops_api")
    return product


class _Plan:
    """What is asked when, over a database that holds requests already. The same at every run."""

    def __init__(self, api: House) -> None:
        self._api = api
        self._random = random.Random(1)
        with api.table.database.cluster.superuser(api.table.database.name) as superuser:
            superuser.execute(
                "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, language) "
                "SELECT gen_random_uuid()::text, gen_random_uuid(), 'export', 'x@example.org', 'en' "
                "FROM generate_series(1, %s)",
                (STORED,),
            )
            rows = superuser.execute(
                "SELECT request_id, creator_id FROM gdpr_requests ORDER BY id LIMIT %s", (READERS,)
            ).fetchall()
            superuser.commit()
            superuser.autocommit = True
            superuser.execute("VACUUM ANALYZE gdpr_requests")
        self._readers = [(request_id, self._bearer(subject)) for request_id, subject in rows]

    def floor(self, seconds: float) -> list[Planned]:
        return [("healthz", at, _text("GET", "/healthz", ""), 200) for at in self._times(seconds)]

    def mix(self, seconds: float) -> list[Planned]:
        """Half ask for one request, a quarter for all of theirs, a quarter make their first."""
        times = self._times(seconds)
        kinds = self._random.choices(["status", "requests", "new request"], [2, 1, 1], k=len(times))
        new = [uuid4() for kind in kinds if kind == "new request"]
        with self._api.product.superuser("product") as superuser, superuser.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO people (id, email) VALUES (%s, %s)",
                [(one, f"{one}@example.org") for one in new],
            )
        bearers = iter([self._bearer(one) for one in new])
        planned: list[Planned] = []
        for kind, at in zip(kinds, times, strict=True):
            request_id, bearer = self._random.choice(self._readers)
            if kind == "new request":
                body = json.dumps({"request_type": self._random.choice(["erasure", "export"])})
                text = _text("POST", "/api/gdpr/request", next(bearers), body)
                planned.append((kind, at, text, 202))
            else:
                path = f"status/{request_id}" if kind == "status" else "requests"
                planned.append((kind, at, _text("GET", f"/api/gdpr/{path}", bearer), 200))
        return planned

    def _times(self, seconds: float) -> list[float]:
        """As of many clients who do not know of each other."""
        found, at = [], 0.0
        while (at := at + self._random.expovariate(RATE)) < seconds:
            found.append(at)
        return found

    def _bearer(self, subject: object) -> str:
        token = self._api.provider.token(subject, exp=time.time() + 3600)
        return f"Authorization: Bearer {token}\r\n"


def _text(method: str, path: str, headers: str, body: str = "") -> str:
    if body:
        headers += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n{body}"


def _measure(running: RunningApi, planned: list[Planned]) -> Measured:
    """Raises CheckFailed when an answer is not the one that was expected."""
    given = {
        "port": int(running.url.rpartition(":")[2]),
        "ca_file": str(running.ca_file),
        "requests": planned,
    }
    busy = _processor_seconds(running.process.pid)
    done: dict[str, Any] = json.loads(
        subprocess.run(
            [sys.executable, "-m", "ops_platform_tests.benchmarks.api_load"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
            input=json.dumps(given).encode(),
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    if done["unexpected"]:
        raise CheckFailed(f"the API did not answer as expected: {done['unexpected']}")
    server = (_processor_seconds(running.process.pid) - busy) / done["wall"]
    return Measured(done["seconds"], quantile(done["late"], 0.99), done["busy"], server)


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
