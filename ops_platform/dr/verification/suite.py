"""The suite of checks of an exercise: those of each scenario, and the references they compare with.

A reference is taken of the live source just before the disaster is declared; the others are the
hourly ones and those after changes of the catalogue. In databases beside the stanza's own, all checks run
that need no reference.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ops_platform.audit import PublicKeys
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.wal import History
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.inspection import (
    VERIFICATIONS,
    Check,
    Objects,
    Verification,
    run_check,
    schema_comparison,
)
from ops_platform.dr.plan import Plan
from ops_platform.dr.reference import Reference, capture, ledger_copies, reference_store
from ops_platform.dr.restore import RestoredServer
from ops_platform.dr.verification import (
    data_checks,
    erasure_replay,
    live_source,
    negative_control,
    page_checks,
    replay_places,
)
from ops_platform.dr.verification.data_checks import Accepted
from ops_platform.errors import OpsError

_NOUNS = {"catalogue": "objects", "roles": "roles", "extensions": "extensions"}


@dataclass(frozen=True)
class References:
    """The references around the moment that was restored; None: there is none.

    ``erased_since``: somebody was erased, or began to be, since ``before``.
    """

    before: Reference | None
    after: Reference | None
    erased_since: bool

    @property
    def enclosed(self) -> bool:
        """Whether the moment has a reference on both sides, so that all changes in between are known."""
        return self.before is not None and self.after is not None

    @property
    def around(self) -> list[Reference]:
        """The references that exist, the earlier one first."""
        return [reference for reference in (self.before, self.after) if reference is not None]

    @property
    def others(self) -> list[str]:
        """The databases beside the stanza's own that were read."""
        return sorted({database for reference in self.around for database in reference.others})

    def accepts(self, database: str, noted: Callable[[Reference], Sequence[str]]) -> Accepted:
        """Return a function that tells whether a defect in ``database`` is the source's too.

        It is if a reference has it among the ``noted``, or its object was made between the references.
        """
        around = [(reference, reference.qualified_name(database, "")) for reference in self.around]
        known = [(reference, prefix) for reference, prefix in around if prefix is not None]
        if not known:
            return None
        before, after = self.before, self.after

        def accepted(name: str) -> bool:
            if any(prefix + name in noted(reference) for reference, prefix in known):
                return True
            made = before is not None and after is not None and len(known) == len(around) == 2
            return (
                made
                and before is not None
                and after is not None
                and (known[0][1] + name not in before.objects and known[1][1] + name in after.objects)
            )

        return accepted


@dataclass(frozen=True)
class ExerciseChecks:
    """The checks of ``scenario``; ``find`` gives the references for a moment of a timeline's history."""

    ctx: BackupContext
    scenario: str
    find: Callable[[datetime, History], References]
    log: Callable[[str], None]

    def tombstones(self, server: RestoredServer) -> Verification:
        """Erase again whoever was erased."""
        settings, stanza = self.ctx.settings, self.ctx.stanza.cluster
        of_subjects = replay_places.subjects_stanza(settings, stanza)
        tombstones = erasure_replay.from_ops_database(self.ctx.ops_url, of_subjects)
        return erasure_replay.replay(tombstones, server, stanza, self._database, settings, self.log)

    def critical(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Check]:
        """Return the checks that must pass before the cluster may take traffic."""
        return self._of_scenario(
            critical(server, self._database, lambda: self.find(moment, plan.state.history))
        )

    def assurance(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Check]:
        """Return the checks that run afterwards, the negative control last."""

        def find() -> References:
            return self.find(moment, plan.state.history)

        checks = assurance(server, self._database, find)
        by_name = dict([*critical(server, self._database, find), *checks])

        def control() -> Verification:
            return negative_control.damage_and_check(server, self._database, by_name, datetime.now(UTC))

        # The very last: it damages the copy.
        return self._of_scenario([*checks, (negative_control.NAME, control)])

    def stopped(self, server: RestoredServer) -> Sequence[Check]:
        """Return the checks of the data directory, for after the server was stopped cleanly."""
        return self._of_scenario([("page_checksums", lambda: page_checks.page_checksums(server))])

    @property
    def _database(self) -> str:
        return live_source.database_name(self.ctx)

    def _of_scenario(self, checks: Sequence[Check]) -> Sequence[Check]:
        return [check for check in checks if check[0] in VERIFICATIONS[self.scenario]]


def prepare(ctx: BackupContext, scenario: str, log: Callable[[str], None]) -> ExerciseChecks:
    """Take a reference of the live source, store it, and return the checks of the scenario.

    Raises an OpsError when the source or the ops database is away: an exercise needs both.
    """
    refresh(ctx, log)
    keys, stanza, ops_url = reference_store.public_keys(ctx.settings), ctx.stanza.cluster, ctx.ops_url
    of_subjects = replay_places.subjects_stanza(ctx.settings, stanza)

    found: dict[tuple[datetime, int], References] = {}

    def find(moment: datetime, history: History) -> References:
        if (moment, history.timeline) not in found:
            with postgres.session(ops_url) as ops:
                found[moment, history.timeline] = _around(ops, keys, stanza, of_subjects, moment, history)
        return found[moment, history.timeline]

    return ExerciseChecks(ctx, scenario, find, log)


def _around(
    ops: Connection, keys: PublicKeys, stanza: str, of_subjects: str, moment: datetime, history: History
) -> References:
    """Find the references on both sides of a moment, those of what a restore left behind passed over.

    ``of_subjects``: the stanza whose tombstones are about the subjects in this one.
    """

    def lies_on(reference: Reference) -> bool:
        return reference.lies_on(history, lambda timeline, lsn: rpo.newest_on(ops, stanza, timeline, lsn))

    before = reference_store.before_on(ops, keys, stanza, moment, lies_on)
    after = reference_store.after(ops, keys, stanza, moment)
    if after is not None and not history.names(after.timeline):
        after = None
    erased = before is not None and erasure_replay.anyone_erased_since(ops, of_subjects, before.marker)
    return References(before, after, erased)


def refresh(ctx: BackupContext, log: Callable[[str], None] | None = None) -> Reference:
    """Take a reference of the live source now, and store it in the ops database and in each repository.

    Raises an OpsError when the source, the ops database or the object store is away. Where it is stored in
    some repository, the refusal of another one is only logged if ``log`` is given, else raised at the end.
    """
    keys, key = reference_store.public_keys(ctx.settings), reference_store.signing_key(ctx.settings)
    stanza = ctx.stanza.cluster
    with postgres.session(ctx.ops_url) as ops:
        row = one_row(ops, "SELECT clock_timestamp() AS now")
        try:
            earlier = reference_store.before(ops, keys, stanza, row["now"])
        except reference_store.OtherFormat:
            earlier = None
        of_subjects = replay_places.subjects_stanza(ctx.settings, stanza)
        erased = earlier is not None and erasure_replay.anyone_erased_since(ops, of_subjects, earlier.marker)
    taken = capture.take(ctx, earlier, erased)
    # References are kept as long as a set can exist that is compared with them.
    repositories = (ctx, *ctx.in_other_repositories())
    terms = [set_lifetime.companion_lifetime(other.stanza, other.config.repository) for other in repositories]
    # The copies first: what the ops database knows, an emergency without it must know too.
    refusals = []
    for repository in repositories:
        try:
            # Two of them may share a bucket, and with it the copies.
            ledger_copies.store(repository.settings, taken, key, max(terms))
        except OpsError as error:
            refusals.append(error)
    if len(refusals) == len(repositories):
        raise refusals[0]
    with postgres.session(ctx.ops_url) as ops:
        reference_store.store(ops, taken, key)
        reference_store.prune(ops, stanza, taken.taken_at - max(terms))
    for refusal in refusals:
        # A repository that is away keeps the other from nothing, and is told of.
        if log is None:
            raise refusal
        log(f"WARNING: a repository has no copy of the reference: {refusal}")
    return taken


def is_referenced(ctx: BackupContext) -> bool:
    """Tell whether there is any reference of the stanza."""
    with postgres.session(ctx.ops_url) as ops:
        row = one_row(
            ops, "SELECT EXISTS (SELECT FROM dr_references WHERE stanza = %s) AS found", (ctx.stanza.cluster,)
        )
    return bool(row["found"])


def critical(server: RestoredServer, database: str, find: Callable[[], References]) -> Sequence[Check]:
    """Return the checks, beyond recovery, that must pass before the cluster may take traffic."""

    def comparison(
        name: str,
        read: Callable[[Connection], dict[str, str]],
        noted: Callable[[Reference], Objects],
        read_cluster: Callable[[Connection], dict[str, str]] = lambda connection: {},
    ) -> Check:
        """Compare what ``read`` finds in each database and ``read_cluster`` in the cluster."""

        def check() -> Verification:
            references, present = find(), server.databases()
            gone = [other for other in references.others if other not in present]
            others = [other for other in references.others if other in present]
            restored = schema_comparison.read_everywhere(server.connect, database, others, read)
            with server.connect(database) as connection:
                restored |= read_cluster(connection)
            expected = [
                schema_comparison.without_databases(gone, noted(reference)) for reference in references.around
            ]
            result = schema_comparison.compare(
                name, _NOUNS[name], restored, expected, enclosed=references.enclosed
            )
            return _with_note(result, references)

        return name, check

    def roles() -> Verification:
        with server.connect(database) as connection:
            restored = schema_comparison.role_hashes(connection)
        references = find()
        expected = [reference.roles for reference in references.around]
        return schema_comparison.compare(
            "roles", _NOUNS["roles"], restored, expected, enclosed=references.enclosed
        )

    return (
        comparison(
            "catalogue",
            schema_comparison.objects,
            lambda reference: reference.objects,
            schema_comparison.cluster_objects,
        ),
        ("roles", roles),
        comparison(
            "extensions", schema_comparison.extension_versions, lambda reference: reference.extensions
        ),
    )


def _with_note(result: Verification, references: References) -> Verification:
    """Add to the summary which databases could not be compared."""
    not_entered = {database for reference in references.around for database in reference.not_entered}
    missed = sorted(not_entered - set(references.others))
    if not missed:
        return result
    note = f"not compared, since the worker may not enter: {', '.join(missed)}"
    return replace(result, summary=f"{result.summary}; {note}")


def assurance(server: RestoredServer, database: str, find: Callable[[], References]) -> Sequence[Check]:
    """Return the checks that run while the cluster could already take traffic.

    The deep ones last: pg_amcheck installs an extension.
    """

    def everywhere(name: str, check: Callable[[Connection, str], Verification]) -> Check:
        def check_all() -> Verification:
            results = {}
            for other in server.databases():
                with server.connect(other) as connection:
                    results[other] = run_check(name, functools.partial(check, connection, other))
            return data_checks.merged(name, results)

        return name, check_all

    def behind(reference: Reference) -> Sequence[str]:
        return reference.behind

    def invalid(reference: Reference) -> Sequence[str]:
        return reference.invalid

    def unvalidated(reference: Reference) -> Sequence[str]:
        return reference.unvalidated

    def of_database(name: str, check: Callable[[Connection], Verification]) -> Check:
        def check_one() -> Verification:
            with server.connect(database) as connection:
                return check(connection)

        return name, check_one

    return (
        everywhere("sequences", lambda c, other: data_checks.sequences(c, find().accepts(other, behind))),
        everywhere(
            "indexes_valid", lambda c, other: data_checks.indexes_valid(c, find().accepts(other, invalid))
        ),
        everywhere(
            "constraints_validated",
            lambda c, other: data_checks.constraints_validated(c, find().accepts(other, unvalidated)),
        ),
        everywhere("collations", lambda c, other: data_checks.collations(c)),
        of_database("closed_rows", lambda c: data_checks.closed_rows(c, find().before, find().erased_since)),
        of_database("live_tables", lambda c: data_checks.live_tables(c, find().before, find().after)),
        everywhere("orphans", lambda c, other: data_checks.orphans(c)),
        ("pg_dump", lambda: page_checks.pg_dump(server)),
        ("amcheck", lambda: page_checks.amcheck(server)),
    )
