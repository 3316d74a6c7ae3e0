"""The upgrade of a stanza to the cluster that its server runs now, after pg_upgrade or an initdb.

The new cluster has another system identifier, mostly another version. The stanza keeps the sets of the old
one; the WAL of the new one goes to a folder of its own, and its first set is a full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops_platform.audit import ledger
from ops_platform.backup.repository import Database, Repository
from ops_platform.backup.stanza import BackupContext, locks
from ops_platform.backup.taking import preflight
from ops_platform.backup.taking.preflight import Server
from ops_platform.errors import CheckFailed, OpsError

ACTION = "stanza.upgrade"
LOCK_SECONDS = 600.0
"""Wait for a backup or a cleanup that works on the stanza."""


@dataclass(frozen=True)
class UpgradePlan:
    """The cluster that the stanza stands for, the one that its server runs, and the sets of the first."""

    stanza: str
    known: Database
    server: Server
    sets: int
    seen_before: bool
    """The stanza stood for the server's cluster once: somebody went back to it."""
    lacks_full: bool = False
    """It was upgraded to the cluster for which it stands, and has no full of that one."""

    @property
    def is_needed(self) -> bool:
        """Whether the server runs another cluster, or another version of it, than the stanza stands for."""
        return not _is_of(self.known, self.server)

    @property
    def is_newer(self) -> bool:
        """Whether the server's version is the higher one, as after pg_upgrade."""
        return self.server.version > _major(self.known)

    def lines(self) -> list[str]:
        """Describe the upgrade to the person at the keyboard."""
        lines = [
            f"stanza       {self.stanza}",
            f"stands for   PostgreSQL {self.known.version}, system id {self.known.system_id}, "
            f"{self.sets} sets",
            f"server runs  PostgreSQL {self.server.version}, system id {self.server.system_id}, "
            f"in {self.server.data_directory}",
        ]
        if not self.is_needed and self.lacks_full:
            return [*lines, "from now on  nothing can be restored of this cluster until its first full"]
        if not self.is_needed:
            return [*lines, "nothing to do: the stanza stands for this cluster"]
        if self.seen_before:
            lines.append("WARNING      the stanza stood for this cluster before: its server went back to it")
        elif not self.is_newer:
            lines.append(
                "WARNING      no newer version, but another cluster: a new initdb, or somebody else's"
            )
        return [
            *lines,
            "from now on  WAL and backups of the new cluster; 'backups' and 'restore' know it alone, so that",
            "             until its first full they can restore nothing; the old sets stay until they expire",
        ]


def plan(ctx: BackupContext) -> UpgradePlan:
    """Compare the stanza in the repository with the server's cluster; changes nothing.

    Raises CheckFailed, Unavailable or ConfigurationError: one line that says what to do first.
    """
    name = ctx.stanza.name
    preflight.refuse_stopped(ctx)
    server = preflight.look_at_server(ctx)
    preflight.refuse_server(ctx, server, ctx.pgbackrest.version())
    preflight.reach_endpoint(ctx)
    repository = Repository.parse(name, ctx.pgbackrest.info())
    known = repository.current
    if not repository.exists or known is None:
        raise CheckFailed(
            f"stanza {name} is not in the repository, so there is nothing to upgrade: "
            f"'ops-platform backup full --stanza {name}' creates it"
        )
    earlier = [database for database in repository.databases if database.id != known.id]
    return UpgradePlan(
        name,
        known,
        server,
        sum(backup_set.database_id == known.id for backup_set in repository.sets),
        any(_is_of(database, server) for database in earlier),
        bool(earlier) and not repository.has_full(),
    )


def plan_each(
    contexts: Sequence[BackupContext], log: Callable[[str], None]
) -> tuple[list[tuple[BackupContext, UpgradePlan]], list[OpsError]]:
    """Plan in each repository; what keeps one from being planned is logged, and keeps no other from it.

    The plans, and the errors. Raises the first of them when there is no plan at all.
    """
    plans: list[tuple[BackupContext, UpgradePlan]] = []
    errors: list[OpsError] = []
    for ctx in contexts:
        try:
            plans.append((ctx, plan(ctx)))
        except OpsError as error:
            errors.append(error)
            if len(contexts) > 1:
                log(f"WARNING: {ctx.stanza.name} is not upgraded: {error}")
    if not plans:
        raise errors[0]
    return plans, errors


def carry_out(
    ctx: BackupContext, made: UpgradePlan, *, operation_id: str, actor: str, log: Callable[[str], None]
) -> None:
    """Let pgBackRest upgrade the stanza, and check that the server archives to it; a repetition does nothing.

    Raises CheckFailed when the server has changed since the plan, Unavailable while a backup runs, and
    PgBackRestError.
    """
    name = made.stanza
    with locks.stanza_lock(ctx.ops_url, name, LOCK_SECONDS, log):
        current = plan(ctx)
        if current.server.system_id != made.server.system_id or current.known != made.known:
            raise CheckFailed(f"stanza {name} or its server changed meanwhile: look at both, then try again")
        details: dict[str, ledger.JSON] = {
            "from_version": made.known.version,
            "from_system_id": str(made.known.system_id),
            "to_version": str(made.server.version),
            "to_system_id": str(made.server.system_id),
        }
        with ledger.operation(
            ledger.default_connect(ctx.ops_url),
            action=ACTION,
            object=f"stanza/{name}",
            actor=actor,
            operation_id=operation_id,
            details=details,
        ):
            preflight.unlocked(ctx, ctx.pgbackrest.stanza_upgrade, "upgraded")
            preflight.adopt(ctx, log, is_failing=True)
            if plan(ctx).is_needed:
                raise CheckFailed(f"stanza {name} still stands for the old cluster: look at pgBackRest's log")
            ctx.pgbackrest.check(preflight.archiver_seconds(ctx))


def _is_of(database: Database, server: Server) -> bool:
    return database.system_id == server.system_id and database.version == str(server.version)


def _major(database: Database) -> float:
    return float(database.version)
