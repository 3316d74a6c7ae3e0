"""What is known in an emergency: the ops database if it answers, else the repository and the ledger alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import postgres
from ops_platform.dr.exercise.rehearsal import Knowledge, Rehearsal
from ops_platform.dr.inspection import CRITICAL, VERIFICATIONS, Rung, Verification
from ops_platform.dr.plan import STALE, Plan
from ops_platform.dr.plan.restore_plan import Explanation
from ops_platform.dr.reference import ledger_copies, reference_store
from ops_platform.dr.restore import RestoredServer
from ops_platform.dr.verification import Expected, References, Source, Tombstones, live_source, suite
from ops_platform.dr.verification import erasure_replay as tombstones
from ops_platform.errors import ConfigurationError, OpsError, Unavailable

SCENARIO = "emergency"

# The newest segment of an archive ends at most archive_timeout after its last heartbeat.
_MARGIN = timedelta(seconds=30)


@dataclass(frozen=True)
class Judgement:
    """``restored``: nothing is known to be wrong; ``unknown``: what could not be asked.

    ``may_start``: all that must hold before traffic was asked, and held.
    """

    restored: bool
    may_start: bool
    unknown: tuple[str, ...]

    @property
    def verified(self) -> bool:
        return self.restored and not self.unknown


def judge(done: Rehearsal) -> Judgement:
    """What a restore is worth. Nothing unknown counts as good."""
    restored = done.rto_seconds is not None and all(one.result != "fail" for one in done.answers)
    unknown = tuple(one.name for one in done.answers if one.result == "unknown")
    return Judgement(restored, restored and not set(unknown) & set(CRITICAL), unknown)


@dataclass(frozen=True)
class EmergencyQuestions:
    """The tombstones come from the ops database or, when it is away, from the locked ledger."""

    ctx: BackupContext
    log: Callable[[str], None]
    _known: dict[datetime, References] = field(default_factory=dict)

    def tombstones(self, server: RestoredServer) -> Verification:
        database = live_source.database_name(self.ctx)
        return tombstones.replay(self._found(), server, database, self.ctx.settings, self.log)

    def critical(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Rung]:
        return suite.critical(server, live_source.database_name(self.ctx), lambda: self._references(moment))

    def assurance(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Rung]:
        asked = suite.assurance(server, live_source.database_name(self.ctx), lambda: self._references(moment))
        return [rung for rung in asked if rung[0] in VERIFICATIONS[SCENARIO]]

    def stopped(self, server: RestoredServer) -> Sequence[Rung]:
        return ()

    def _references(self, moment: datetime) -> References:
        """From the copies beside the repository. They do not say when somebody was erased."""
        if moment not in self._known:
            stanza, settings = self.ctx.stanza.name, self.ctx.settings
            keys = reference_store.public_keys(settings)
            before = ledger_copies.before(settings, keys, stanza, moment)
            self._known[moment] = References(before, None, erased_since=self._found().count > 0)
        return self._known[moment]

    def _found(self) -> Tombstones:
        stanza = self.ctx.stanza.name
        # A restore of the ops database itself cannot ask it: it may be the one that is lost, or lie.
        if not ops_is_up(self.ctx):
            self.log("the ops database does not answer: reading tombstones from the object-locked ledger")
            return tombstones.from_ledger(self.ctx.settings, stanza)
        found = tombstones.from_ops_database(self.ctx.ops_url, stanza)
        try:
            # It may have been restored itself, and have forgotten some.
            return found.with_those_of(tombstones.from_ledger(self.ctx.settings, stanza))
        except OpsError as error:
            self.log(f"{error}; going on with the tombstones of the ops database alone")
            return found


def ops_is_up(ctx: BackupContext) -> bool:
    """Whether the ops database answers; one that is not configured does not."""
    try:
        with postgres.session(ctx.ops_url) as connection:
            connection.execute("SELECT 1")
    except (Unavailable, ConfigurationError):
        return False
    return True


def knowledge(ctx: BackupContext, told: Explanation, log: Callable[[str], None]) -> Knowledge:
    """Restore exactly what was explained. The heartbeats expected are reckoned from their pace."""

    def expected(plan: Plan) -> Expected | None:
        moment = plan.target.moment
        if moment is not None:
            return Expected(moment - STALE, certain=False)
        if plan.target.kind == "latest" and told.reaches is not None:
            pace = timedelta(seconds=ctx.stanza.archive_timeout_seconds) + STALE + _MARGIN
            return Expected(told.reaches - pace, certain=False)
        return None

    known = Source(live_source.database_name(ctx), told.reaches)
    return Knowledge(lambda _reader: told.plan, known, expected, EmergencyQuestions(ctx, log))


def still_lost(told: Explanation, newest: datetime | None, now: datetime) -> timedelta | None:
    """What a person must enter again: from the newest heartbeat recovered until now; None: unknown."""
    if newest is None:
        return told.loss
    return max(timedelta(0), now - newest)
