"""What tests of restores do to a site: heartbeats, archived segments, what an exercise would know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ops_platform import files
from ops_platform.backup.recovery_point import heartbeat
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.exercise import knowledge as knowledge_of_exercises
from ops_platform.dr.exercise.rehearsal import Knowledge
from ops_platform.dr.inspection.check_result import Check, Verification, verdict
from ops_platform.dr.plan.scenario import Plan, Scenario
from ops_platform.dr.restore.restored_server import RestoredServer
from ops_platform.dr.verification import suite as questions
from ops_platform.local.demo.seed.filling import seed
from ops_platform_tests.backup.site import Site


@dataclass(frozen=True)
class NoQuestions:
    """Nothing is asked beyond the recovery itself; a test may add questions."""

    more: Sequence[Check] = field(default_factory=tuple)

    def tombstones(self, server: RestoredServer) -> Verification:
        return verdict("tombstones", True, "nobody was erased")

    def critical(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Check]:
        return self.more

    def assurance(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Check]:
        return ()

    def stopped(self, server: RestoredServer) -> Sequence[Check]:
        return ()


def make_demo_site(make_site: Callable[..., Site]) -> Site:
    """Make a site with the demo product's schema and a few of its rows."""
    # The pace of a few megabytes says little of 100 GB, least of all on a machine that runs tests.
    made = make_site(stanza={"production_size_bytes": 1 << 30})
    owner = made.cluster.url("product_owner")
    migrate(owner, files.carried("sql") / "demo")
    seed(owner, scale=0.02)
    # From before the first set, so that every moment that can be restored has one before it.
    questions.refresh(made.context)
    return made


def strike(site: Site, count: int = 1) -> list[datetime]:
    """Heartbeats, at least a second apart, as the agent writes them."""
    made: list[datetime] = []
    with (
        postgres.session(site.cluster.url("ops_agent")) as product,
        postgres.session(site.database.url("ops_agent")) as ops,
    ):
        for _ in range(count):
            if made:
                wait_until(lambda: (datetime.now(UTC) - made[-1]).total_seconds() > 1.1, 5, "a second passes")
            made.append(heartbeat.record_heartbeat(product, ops, site.name).at)
    return made


def archive_now(site: Site) -> None:
    """Switch WAL and wait until the segment is in the repository."""
    with site.cluster.superuser() as superuser:
        row = superuser.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        assert row is not None
        name = str(row[0])

        def archived() -> bool:
            last = superuser.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchone()
            return bool(last and last[0] and str(last[0])[8:24] >= name[8:])

        wait_until(archived, 60, f"{name} is archived")


def knowledge(
    site: Site,
    name: Scenario,
    t0: datetime,
    questions: NoQuestions | None = None,
) -> Knowledge:
    """What an exercise would know at ``t0``, gathered as it does."""
    return knowledge_of_exercises.gather(site.context, name, t0, questions or NoQuestions())
