"""The questions of an exercise: which verifications a scenario asks, and of which references.

A reference is taken of the live source just before the disaster is declared; the others are the
hourly ones. Databases beside the stanza's own are asked all that needs no reference.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ops_platform.backup.context import BackupContext
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.dr import (
    canary,
    catalogue,
    content,
    physical,
    reference,
    reference_copies,
    source,
    tombstones,
)
from ops_platform.dr.ladder import VERIFICATIONS, Rung, Verification, ask
from ops_platform.dr.reference import Reference
from ops_platform.dr.scenario import Plan
from ops_platform.dr.server import RestoredServer


@dataclass(frozen=True)
class References:
    """What is known of the source around the moment that was restored; None: nothing."""

    before: Reference | None
    after: Reference | None
    closed: Reference | None
    erased_since: bool

    @property
    def enclosed(self) -> bool:
        """Whether changes of the source are known on both sides."""
        return self.after is not None

    @property
    def around(self) -> list[Reference]:
        return [one for one in (self.before, self.after) if one is not None]


@dataclass(frozen=True)
class ExerciseQuestions:
    """Asks the verifications of ``scenario``; ``find`` gives the references for a moment."""

    ctx: BackupContext
    scenario: str
    find: Callable[[datetime], References]
    log: Callable[[str], None]

    def tombstones(self, server: RestoredServer) -> Verification:
        found = tombstones.from_ops_database(self.ctx.ops_url, self.ctx.stanza.name)
        return tombstones.replay(found, self.log)

    def critical(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Rung]:
        return self._wanted(critical(server, self._database, lambda: self.find(moment)))

    def assurance(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Rung]:
        def find() -> References:
            return self.find(moment)

        asked = assurance(server, self._database, find)
        known = dict([*critical(server, self._database, find), *asked])
        # The very last: it damages the copy.
        bite: Rung = (canary.NAME, lambda: canary.bite(server, self._database, known, datetime.now(UTC)))
        return self._wanted([*asked, bite])

    def stopped(self, server: RestoredServer) -> Sequence[Rung]:
        return self._wanted([("page_checksums", lambda: physical.page_checksums(server))])

    @property
    def _database(self) -> str:
        return source.database_name(self.ctx)

    def _wanted(self, rungs: Sequence[Rung]) -> Sequence[Rung]:
        return [rung for rung in rungs if rung[0] in VERIFICATIONS[self.scenario]]


def prepare(ctx: BackupContext, scenario: str, log: Callable[[str], None]) -> ExerciseQuestions:
    """Take a reference of the live source, store it, and say how references are found.

    Raises an OpsError when the source or the ops database is away: an exercise needs both.
    """
    refresh(ctx)
    keys, stanza, ops_url = reference.public_keys(ctx.settings), ctx.stanza.name, ctx.ops_url

    @functools.lru_cache(maxsize=4)
    def find(moment: datetime) -> References:
        with postgres.session(ops_url) as ops:
            closed = reference.closed_before(ops, keys, stanza, moment)
            since = None if closed is None else closed.marker
            return References(
                before=reference.before(ops, keys, stanza, moment),
                after=reference.after(ops, keys, stanza, moment),
                closed=closed,
                erased_since=since is not None and tombstones.since(ops, stanza, since),
            )

    return ExerciseQuestions(ctx, scenario, find, log)


def refresh(ctx: BackupContext) -> Reference:
    """Take and store a reference of the live source now."""
    keys, key = reference.public_keys(ctx.settings), reference.signing_key(ctx.settings)
    stanza = ctx.stanza.name
    with postgres.session(ctx.ops_url) as ops:
        row = ops.execute("SELECT clock_timestamp() AS now").fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        earlier = reference.before(ops, keys, stanza, row["now"])
        erased = earlier is not None and tombstones.since(ops, stanza, earlier.marker)
    taken = reference.take(ctx, earlier, erased)
    # The copy first: what the ops database knows, an emergency without it must know too.
    reference_copies.store(ctx.settings, taken, key)
    with postgres.session(ctx.ops_url) as ops:
        reference.store(ops, taken, key)
        reference.prune(ops, taken.taken_at)
    return taken


def is_referenced(ctx: BackupContext) -> bool:
    """Whether there is any reference of the stanza."""
    with postgres.session(ctx.ops_url) as ops:
        row = ops.execute(
            "SELECT EXISTS (SELECT FROM dr_references WHERE stanza = %s) AS found", (ctx.stanza.name,)
        ).fetchone()
    return bool(row and row["found"])


def critical(server: RestoredServer, database: str, find: Callable[[], References]) -> Sequence[Rung]:
    """What must hold before the cluster may take traffic, beyond its recovery."""

    def objects() -> Verification:
        with server.connect(database) as connection:
            here = catalogue.objects(connection)
        known = find()
        return catalogue.compare(
            "catalogue", "objects", here, [one.objects for one in known.around], enclosed=known.enclosed
        )

    def roles() -> Verification:
        with server.connect(database) as connection:
            here = catalogue.role_hashes(connection)
        known = find()
        return catalogue.compare(
            "roles", "roles", here, [one.roles for one in known.around], enclosed=known.enclosed
        )

    def extensions() -> Verification:
        with server.connect(database) as connection:
            here = catalogue.extension_versions(connection)
        known = find()
        return catalogue.compare(
            "extensions",
            "extensions",
            here,
            [one.extensions for one in known.around],
            enclosed=known.enclosed,
        )

    return (("catalogue", objects), ("roles", roles), ("extensions", extensions))


def assurance(server: RestoredServer, database: str, find: Callable[[], References]) -> Sequence[Rung]:
    """What is asked while it could already take traffic. Deep ones last: pg_amcheck installs an extension."""

    def everywhere(name: str, question: Callable[[Connection], Verification]) -> Rung:
        def asked() -> Verification:
            answers = {}
            for one in server.databases():
                with server.connect(one) as connection:
                    answers[one] = ask(name, lambda connection=connection: question(connection))  # type: ignore[misc]
            return content.merged(name, answers)

        return name, asked

    def of_database(name: str, question: Callable[[Connection], Verification]) -> Rung:
        def asked() -> Verification:
            with server.connect(database) as connection:
                return question(connection)

        return name, asked

    return (
        everywhere("sequences", content.sequences),
        everywhere("indexes_valid", content.indexes_valid),
        of_database("constraints_validated", lambda c: content.constraints_validated(c, find().around)),
        everywhere("collations", content.collations),
        of_database("closed_rows", lambda c: content.closed_rows(c, find().closed, find().erased_since)),
        of_database("live_tables", lambda c: content.live_tables(c, find().before, find().after)),
        everywhere("orphans", content.orphans),
        ("pg_dump", lambda: physical.pg_dump(server)),
        ("amcheck", lambda: physical.amcheck(server)),
    )
