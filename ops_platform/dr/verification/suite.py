"""The questions of an exercise: which verifications a scenario asks, and of which references.

A reference is taken of the live source just before the disaster is declared; the others are the
hourly ones. Databases beside the stanza's own are asked all that needs no reference.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.inspection import VERIFICATIONS, Objects, Rung, Verification, ask, schema_comparison
from ops_platform.dr.plan import Plan
from ops_platform.dr.reference import Reference, capture, ledger_copies, reference_store
from ops_platform.dr.restore import RestoredServer
from ops_platform.dr.verification import data_checks as content
from ops_platform.dr.verification import erasure_replay as tombstones
from ops_platform.dr.verification import live_source as source
from ops_platform.dr.verification import negative_control as canary
from ops_platform.dr.verification import page_checks as physical
from ops_platform.dr.verification.data_checks import Accepted

_NOUNS = {"catalogue": "objects", "roles": "roles", "extensions": "extensions"}


@dataclass(frozen=True)
class References:
    """What is known of the source around the moment that was restored; None: nothing."""

    before: Reference | None
    after: Reference | None
    erased_since: bool

    @property
    def enclosed(self) -> bool:
        """Whether changes of the source are known on both sides."""
        return self.before is not None and self.after is not None

    @property
    def around(self) -> list[Reference]:
        return [one for one in (self.before, self.after) if one is not None]

    @property
    def others(self) -> list[str]:
        """The databases beside the stanza's own that were looked at."""
        return sorted({database for one in self.around for database in one.others})

    def accepts(self, database: str, noted: Callable[[Reference], Sequence[str]]) -> Accepted:
        """Whether a weakness in ``database`` is the source's: noted there, or of what was made in between."""
        around = [(one, one.named(database, "")) for one in self.around]
        known = [(one, prefix) for one, prefix in around if prefix is not None]
        if not known:
            return None
        before, after = self.before, self.after

        def accepted(name: str) -> bool:
            if any(prefix + name in noted(one) for one, prefix in known):
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
class ExerciseQuestions:
    """Asks the verifications of ``scenario``; ``find`` gives the references for a moment."""

    ctx: BackupContext
    scenario: str
    find: Callable[[datetime], References]
    log: Callable[[str], None]

    def tombstones(self, server: RestoredServer) -> Verification:
        found = tombstones.from_ops_database(self.ctx.ops_url, self.ctx.stanza.name)
        return tombstones.replay(found, server, self._database, self.ctx.settings, self.log)

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
    keys, stanza, ops_url = reference_store.public_keys(ctx.settings), ctx.stanza.name, ctx.ops_url

    @functools.lru_cache(maxsize=4)
    def find(moment: datetime) -> References:
        with postgres.session(ops_url) as ops:
            before = reference_store.before(ops, keys, stanza, moment)
            after = reference_store.after(ops, keys, stanza, moment)
            if before is not None and after is not None and before.lineage != after.lineage:
                # History was left in between: which of the two branches was restored, neither can tell.
                return References(None, None, erased_since=False)
            erased = before is not None and tombstones.since(ops, stanza, before.marker)
            return References(before, after, erased)

    return ExerciseQuestions(ctx, scenario, find, log)


def refresh(ctx: BackupContext) -> Reference:
    """Take and store a reference of the live source now."""
    keys, key = reference_store.public_keys(ctx.settings), reference_store.signing_key(ctx.settings)
    stanza = ctx.stanza.name
    with postgres.session(ctx.ops_url) as ops:
        row = one_row(ops, "SELECT clock_timestamp() AS now")
        try:
            earlier = reference_store.before(ops, keys, stanza, row["now"])
        except reference_store.OtherFormat:
            earlier = None
        erased = earlier is not None and tombstones.since(ops, stanza, earlier.marker)
    taken = capture.take(ctx, earlier, erased)
    # As long as there can be a set that is compared with them.
    keep = set_lifetime.kept_beside(ctx.stanza)
    # The copy first: what the ops database knows, an emergency without it must know too.
    ledger_copies.store(ctx.settings, taken, key, keep)
    with postgres.session(ctx.ops_url) as ops:
        reference_store.store(ops, taken, key)
        reference_store.prune(ops, stanza, taken.taken_at - keep)
    return taken


def is_referenced(ctx: BackupContext) -> bool:
    """Whether there is any reference of the stanza."""
    with postgres.session(ctx.ops_url) as ops:
        row = one_row(
            ops, "SELECT EXISTS (SELECT FROM dr_references WHERE stanza = %s) AS found", (ctx.stanza.name,)
        )
    return bool(row["found"])


def critical(server: RestoredServer, database: str, find: Callable[[], References]) -> Sequence[Rung]:
    """What must hold before the cluster may take traffic, beyond its recovery."""

    def compared(
        name: str,
        read: Callable[[Connection], dict[str, str]],
        noted: Callable[[Reference], Objects],
        whole: Callable[[Connection], dict[str, str]] = lambda connection: {},
    ) -> Rung:
        """``whole``: what is read of the cluster, beside what ``read`` finds in each database."""

        def asked() -> Verification:
            known, present = find(), server.databases()
            gone = [one for one in known.others if one not in present]
            here = [one for one in known.others if one in present]
            found = schema_comparison.everywhere(server.connect, database, here, read)
            with server.connect(database) as connection:
                found |= whole(connection)
            expected = [schema_comparison.without(gone, noted(one)) for one in known.around]
            answer = schema_comparison.compare(name, _NOUNS[name], found, expected, enclosed=known.enclosed)
            return _with_note(answer, known)

        return name, asked

    def roles() -> Verification:
        with server.connect(database) as connection:
            here = schema_comparison.role_hashes(connection)
        known = find()
        return schema_comparison.compare(
            "roles", _NOUNS["roles"], here, [one.roles for one in known.around], enclosed=known.enclosed
        )

    return (
        compared(
            "catalogue", schema_comparison.objects, lambda one: one.objects, schema_comparison.cluster_objects
        ),
        ("roles", roles),
        compared("extensions", schema_comparison.extension_versions, lambda one: one.extensions),
    )


def _with_note(answer: Verification, known: References) -> Verification:
    """Which databases nobody could compare."""
    missed = sorted({one for each in known.around for one in each.not_entered} - set(known.others))
    if not missed:
        return answer
    note = f"not compared, since the worker may not enter: {', '.join(missed)}"
    return replace(answer, summary=f"{answer.summary}; {note}")


def assurance(server: RestoredServer, database: str, find: Callable[[], References]) -> Sequence[Rung]:
    """What is asked while it could already take traffic. Deep ones last: pg_amcheck installs an extension."""

    def everywhere(name: str, question: Callable[[Connection, str], Verification]) -> Rung:
        def asked() -> Verification:
            answers = {}
            for one in server.databases():
                with server.connect(one) as connection:
                    answers[one] = ask(name, functools.partial(question, connection, one))
            return content.merged(name, answers)

        return name, asked

    def behind(one: Reference) -> Sequence[str]:
        return one.behind

    def invalid(one: Reference) -> Sequence[str]:
        return one.invalid

    def unvalidated(one: Reference) -> Sequence[str]:
        return one.unvalidated

    def of_database(name: str, question: Callable[[Connection], Verification]) -> Rung:
        def asked() -> Verification:
            with server.connect(database) as connection:
                return question(connection)

        return name, asked

    return (
        everywhere("sequences", lambda c, one: content.sequences(c, find().accepts(one, behind))),
        everywhere("indexes_valid", lambda c, one: content.indexes_valid(c, find().accepts(one, invalid))),
        everywhere(
            "constraints_validated",
            lambda c, one: content.constraints_validated(c, find().accepts(one, unvalidated)),
        ),
        everywhere("collations", lambda c, one: content.collations(c)),
        of_database("closed_rows", lambda c: content.closed_rows(c, find().before, find().erased_since)),
        of_database("live_tables", lambda c: content.live_tables(c, find().before, find().after)),
        everywhere("orphans", lambda c, one: content.orphans(c)),
        ("pg_dump", lambda: physical.pg_dump(server)),
        ("amcheck", lambda: physical.amcheck(server)),
    )
