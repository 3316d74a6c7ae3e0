"""Checks before a backup that it can succeed.

They create a missing stanza, bring pgBackRest's configuration up to date, and change nothing else. Each
condition that does not hold is one line that says what to do. Taking the backup is in ``execution``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ops_platform.backup.repository import Repository, place_token
from ops_platform.backup.stanza import BackupContext, Kind
from ops_platform.backup.taking import adoption, promotion
from ops_platform.backup.taking.report import BackupRequest
from ops_platform.clients import postgres
from ops_platform.clients.object_store import endpoint
from ops_platform.clients.pgbackrest import LOCKED, PgBackRestError, supported_servers
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable
from ops_platform.settings import named_for

CONNECT_SECONDS = 5.0
STANZA_LOCK_SECONDS = 90.0
ARCHIVER_SECONDS = 60
PATIENT_ARCHIVER_SECONDS = 180
"""The same with two repositories: while one is away, WAL arrives in the other a minute or two late."""
FREE_BYTES = 64 << 20
PATIENT_TRIES = 3
"""Of a person who has to restore, over whatever line is left."""
PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Server:
    """Answers of the stanza's server about itself; ``archive_timeout`` in seconds."""

    version: int
    """Major version."""
    system_id: int
    in_recovery: bool
    archive_mode: str
    archive_timeout: int
    data_directory: str
    archiver_failing: bool
    last_failed_wal: str | None


@dataclass(frozen=True)
class Preflight:
    """Result of a preflight; ``will_be`` is the kind that pgBackRest is going to make.

    ``place_proved``: the repository is known to be another place than the cluster's first one.
    """

    server_version: int
    pgbackrest_version: tuple[int, int]
    stanza_created: bool
    will_be: Kind
    place_proved: bool

    def as_metadata(self) -> dict[str, Any]:
        """Make plain values for Dagster's run metadata."""
        major, minor = self.pgbackrest_version
        return {
            "server_version": self.server_version,
            "pgbackrest_version": f"{major}.{minor}",
            "stanza_created": self.stanza_created,
            "will_be": self.will_be,
            "place_proved": self.place_proved,
        }


def run(ctx: BackupContext, request: BackupRequest, log: Callable[[str], None]) -> Preflight:
    """Check everything that a backup needs. The caller holds the stanza's lock.

    Raises CheckFailed, Unavailable, ConfigurationError or PgBackRestError: one line that says what to do.
    """
    version = ctx.pgbackrest.version()
    refuse_stopped(ctx)
    _refuse_full_disk(ctx)
    server = look_at_server(ctx)
    refuse_server(ctx, server, version)
    if server.version > supported_servers.NEWEST_LISTED:
        log(
            f"WARNING: whether pgBackRest {version[0]}.{version[1]} knows PostgreSQL {server.version} is not "
            "listed here: it will tell"
        )
    repository, created, place_proved = ensure_stanza(ctx, request.allow_promotion, log)
    _refuse_other_cluster(ctx, server, repository)
    adopt(ctx, log, allow_promotion=request.allow_promotion, is_failing=server.archiver_failing or created)
    _ensure_archiver(ctx, server, created, log)
    if not ctx.stanza.encryption == "none" and not repository.encrypted:
        raise CheckFailed(
            f"stanza {ctx.stanza.name} was created without encryption: set 'encryption: none', "
            "or start a repository anew"
        )
    will_be = promotion.foresee_kind(ctx, request, repository, log)
    return Preflight(server.version, version, created, will_be, place_proved)


def ensure_stanza(
    ctx: BackupContext, allow_promotion: bool, log: Callable[[str], None]
) -> tuple[Repository, bool, bool]:
    """Read the list of sets; tell whether the stanza had to be created, and whether its place is proved.

    Raises CheckFailed when it was there before, unless ``allow_promotion``; ConfigurationError when the
    repository is the first one by another name; Unavailable and PgBackRestError.
    """
    reach_endpoint(ctx)
    repository = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info())
    place_proved = place_token.require_own(ctx, is_in_use=repository.exists, log=log)
    if repository.exists:
        return repository, False, place_proved
    promotion.refuse_new_stanza(ctx, allow_promotion)
    log(f"stanza {ctx.stanza.name} is not in the repository yet: creating it")
    create_stanza(ctx)
    return Repository.parse(ctx.stanza.name, ctx.pgbackrest.info()), True, place_proved


def adopt(
    ctx: BackupContext, log: Callable[[str], None], *, allow_promotion: bool = False, is_failing: bool
) -> None:
    """Give the servers the configuration that was proved, with the stanzas it needs: see ``adoption``."""

    def ensure(other: BackupContext) -> None:
        ensure_stanza(other, allow_promotion, log)

    adoption.bring_up_to_date(ctx, ensure, log, is_failing=is_failing)


def look_at_server(ctx: BackupContext) -> Server:
    """Ask the stanza's server about itself. Raises Unavailable when it cannot be reached."""
    with postgres.session(ctx.database_url, application="ops-platform preflight") as connection:
        row = postgres.one_row(
            connection,
            """
            SELECT current_setting('server_version_num')::int / 10000 AS version,
                   (SELECT system_identifier FROM pg_control_system()) AS system_id,
                   pg_is_in_recovery() AS in_recovery,
                   current_setting('archive_mode') AS archive_mode,
                   (SELECT setting::int FROM pg_settings WHERE name = 'archive_timeout') AS archive_timeout,
                   current_setting('data_directory') AS data_directory,
                   coalesce(last_failed_time > last_archived_time,
                            last_failed_time IS NOT NULL) AS archiver_failing,
                   last_failed_wal
            FROM pg_stat_archiver
            """,
        )
    return Server(**row)


def refuse_server(ctx: BackupContext, server: Server, version: tuple[int, int]) -> None:
    """Refuse a server that cannot be backed up as it is.

    ``version`` is pgBackRest's. Raises CheckFailed.
    """
    name = ctx.stanza.name
    first = supported_servers.first_version(server.version)
    if first is not None and version < first:
        raise CheckFailed(
            f"pgBackRest {version[0]}.{version[1]} is too old for PostgreSQL {server.version} of stanza "
            f"{name}: install {first[0]}.{first[1]} or newer"
        )
    if server.in_recovery:
        raise CheckFailed(f"the server of stanza {name} is a standby: point its connection at the primary")
    if server.archive_mode not in ("on", "always"):
        raise CheckFailed(
            f"the server of stanza {name} does not archive WAL: set archive_mode = on and restart it"
        )
    configured = os.path.realpath(ctx.stanza.data_dir(ctx.settings))
    if os.path.realpath(server.data_directory) != configured:
        raise CheckFailed(
            f"the server of stanza {name} keeps its data in {server.data_directory}, not in {configured}: "
            "correct its data_path or connection"
        )


def refuse_stopped(ctx: BackupContext) -> None:
    """Refuse while a ``pgbackrest stop`` is in effect. Raises CheckFailed."""
    for stop in (ctx.paths.lock / "all.stop", ctx.paths.lock / f"{ctx.stanza.cluster}.stop"):
        if stop.exists():
            raise CheckFailed(
                f"backups of stanza {ctx.stanza.name} were stopped by 'pgbackrest stop' ({stop}): "
                "run 'pgbackrest start' to go on"
            )


def _refuse_full_disk(ctx: BackupContext) -> None:
    """Refuse when pgBackRest's own directories have no room for a few segments. Raises CheckFailed."""
    for path in ctx.paths.directories:
        if not path.is_dir():
            continue
        space = os.statvfs(path)
        free = space.f_bavail * space.f_frsize
        if free < FREE_BYTES:
            raise CheckFailed(
                f"the disk of {path} has {free >> 20} MiB left: free at least {FREE_BYTES >> 20} MiB"
            )


def reach_endpoint(ctx: BackupContext, tries: int = 1) -> None:
    """Make a TLS handshake with S3. Raises Unavailable, at once when nothing can come of another try.

    pgBackRest itself retries an address where nobody answers for minutes. Each of the ``tries`` has more time
    than the one before.
    """
    place = ctx.settings.s3_place("backup")
    if place.endpoint_url is None:
        return
    for tried in range(1, tries + 1):
        try:
            endpoint.handshake(place, CONNECT_SECONDS * tried)
            return
        except Unavailable as error:
            if tried == tries or not isinstance(error, endpoint.NoAnswer):
                raise Unavailable(named_for(place.repository, str(error))) from None
        time.sleep(PAUSE_SECONDS)


def create_stanza(ctx: BackupContext) -> None:
    """Create the stanza.

    Raises PgBackRestError, Unavailable when its lock stays held, and ConfigurationError when the other
    repository has the same passphrase: one that leaks would open both, and two names of one place would pass
    for two places.
    """
    if ctx.whole is not None and ctx.stanza.encryption != "none":
        settings, _ = ctx.whole
        known = settings.pgbackrest.cipher_pass, settings.second_repository.cipher_pass
        if known[0] is not None and known[0] == known[1]:
            raise ConfigurationError(
                f"stanza {ctx.stanza.name} is not created: OPS_PGBACKREST_CIPHER_PASS and OPS_REPO2_"
                "PGBACKREST_CIPHER_PASS are the same: give the new repository a passphrase of its own"
            )
    unlocked(ctx, ctx.pgbackrest.stanza_create, "created")


def unlocked(ctx: BackupContext, command: Callable[[], object], done: str) -> None:
    """Run a command on the stanza until its lock is free; ``done`` is its participle, for the message.

    The archiver's own attempts hold the same lock for moments, so this waits up to 90 s for it. Raises
    PgBackRestError, and Unavailable when the lock stays held.
    """

    def ran() -> bool:
        try:
            command()
        except PgBackRestError as error:
            if error.code != LOCKED:
                raise
            return False
        return True

    wait_until(
        ran,
        STANZA_LOCK_SECONDS,
        f"stanza {ctx.stanza.name} cannot be {done} while another pgBackRest process holds its lock",
        interval=1.0,
    )


def _refuse_other_cluster(ctx: BackupContext, server: Server, repository: Repository) -> None:
    """Refuse a stanza that stands for another cluster or another version of it. Raises CheckFailed."""
    current = repository.current
    if current is None:
        raise CheckFailed(f"stanza {ctx.stanza.name} could not be read from the repository: look at its log")
    if current.system_id == server.system_id and current.version == str(server.version):
        return
    raise CheckFailed(
        f"stanza {ctx.stanza.name} was made for another cluster (PostgreSQL {current.version}, system id "
        f"{current.system_id}; the server runs {server.version}, {server.system_id}): after a pg_upgrade or "
        f"an initdb run 'ops-platform stanza upgrade --stanza {ctx.stanza.name}', else correct its "
        "connection and data_path"
    )


def archiver_seconds(ctx: BackupContext) -> int:
    """Tell how long ``check`` should wait for WAL to arrive."""
    return ARCHIVER_SECONDS if ctx.whole is None else PATIENT_ARCHIVER_SECONDS


def _ensure_archiver(ctx: BackupContext, server: Server, created: bool, log: Callable[[str], None]) -> None:
    """Retry an archiver whose newest attempt failed, or that is new: S3 may have come back since.

    PostgreSQL tries again only after a minute or at the next segment; ``check`` switches segments
    and waits for the new one to arrive. Raises CheckFailed when archiving does not work.
    """
    if not (server.archiver_failing or created):
        return
    if server.archiver_failing:
        log(f"the newest attempt to archive WAL ({server.last_failed_wal}) failed: trying it now")
    try:
        ctx.pgbackrest.check(archiver_seconds(ctx))
    except PgBackRestError as error:
        if error.code == LOCKED:
            return
        raise CheckFailed(f"the archiver of stanza {ctx.stanza.name} is failing: {error}") from None
