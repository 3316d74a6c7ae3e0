"""The knowledge, the checks and the verdict of an emergency restore.

They come from the ops database if it answers, else from the repository and the ledger alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.wal import History
from ops_platform.clients import postgres
from ops_platform.dr.exercise.rehearsal import Knowledge, Rehearsal
from ops_platform.dr.inspection import CRITICAL, VERIFICATIONS, Check, Verification
from ops_platform.dr.plan import STALE, Plan
from ops_platform.dr.plan.restore_plan import Explanation
from ops_platform.dr.reference import Reference, ledger_copies, reference_store
from ops_platform.dr.restore import RestoredServer
from ops_platform.dr.verification import (
    Expected,
    References,
    Source,
    Tombstones,
    erasure_replay,
    live_source,
    replay_places,
    suite,
)
from ops_platform.errors import ConfigurationError, OpsError, Unavailable

SCENARIO = "emergency"

# The newest segment of an archive ends at most archive_timeout after its last heartbeat.
_MARGIN = timedelta(seconds=30)


@dataclass(frozen=True)
class Judgement:
    """The verdict on a restore.

    ``restored``: nothing is known to be wrong. ``may_start``: all checks that must pass before traffic
    passed. ``unknown``: the checks that could not run. ``advice``: what to do after a restore that is not
    to be used.
    """

    restored: bool
    may_start: bool
    unknown: tuple[str, ...]
    advice: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether all checks ran and passed."""
        return self.restored and not self.unknown


def judge(done: Rehearsal) -> Judgement:
    """Judge a restore by the results of its checks; an unknown result never counts as good."""
    restored = done.rto_seconds is not None and all(result.result != "fail" for result in done.results)
    unknown = tuple(result.name for result in done.results if result.result == "unknown")
    may_start = restored and not set(unknown) & set(CRITICAL)
    return Judgement(restored, may_start, unknown, () if restored else _advice(done))


ELSEWHERE = "into another directory: nothing is ever overwritten"


def _advice(done: Rehearsal) -> tuple[str, ...]:
    """Say what can help after the first check that did not pass; the others follow from it."""
    by_result = [[one for one in done.results if one.result == result] for result in ("fail", "unknown")]
    first = next((result for results in by_result for result in results), None)
    if first is None:
        return ("The recovery time could not be measured: look at the log, and try again " + ELSEWHERE + ".",)
    reason = f"{first.name}: {first.summary}"
    target = None if done.plan is None else done.plan.target
    if first.result == "unknown" and done.rto_seconds is None:
        step = "This says nothing about the backup: remove the cause, then try the same again"
    elif first.name == "backup_selected":
        step = "Nothing was restored. Do what it says, then try again"
    elif first.name == "restored":
        step = "The set could not be copied. Try an older one with --set (see 'ops-platform backups')"
    elif first.name == "tombstones":
        step = (
            "Erased subjects may be in this cluster, and in one of any other time. Remove the cause "
            "(docs/runbooks/gdpr.md), then try the same again"
        )
    elif first.name == "recovered_and_promoted" and target is not None and target.kind in ("name", "xid"):
        step = (
            f"The archive ends without this {target.kind}, or the set is younger: correct it, start from an "
            "older --set, or say --time or --latest"
        )
    elif first.name == "recovered_and_promoted":
        step = (
            "The recovery did not come to its end; the log beside the directory says where. Choose an "
            "earlier --time when WAL is missing or damaged, an older --set when the data is"
        )
    else:
        step = "Compare with an earlier --time or an older --set (see 'ops-platform backups')"
    return (reason, f"{step}, {ELSEWHERE}.")


@dataclass(frozen=True)
class EmergencyChecks:
    """The checks of an emergency restore.

    The tombstones come from the ops database or, when it is away, from the locked ledger.
    """

    ctx: BackupContext
    log: Callable[[str], None]
    as_of: datetime | None = None
    """When the bucket was as it is read; None: now."""
    _references_by_moment: dict[tuple[datetime, int], References] = field(default_factory=dict)

    def tombstones(self, server: RestoredServer) -> Verification:
        """Erase again whoever was erased."""
        database = live_source.database_name(self.ctx)
        stanza = self.ctx.stanza.cluster
        return erasure_replay.replay(
            self._tombstones(), server, stanza, database, self.ctx.settings, self.log
        )

    def critical(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Check]:
        """Return the checks that must pass before the cluster may take traffic."""
        return suite.critical(
            server, live_source.database_name(self.ctx), lambda: self._references(moment, plan.state.history)
        )

    def assurance(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Check]:
        """Return the checks that run afterwards; the deep ones are left out."""
        checks = suite.assurance(
            server, live_source.database_name(self.ctx), lambda: self._references(moment, plan.state.history)
        )
        return [check for check in checks if check[0] in VERIFICATIONS[SCENARIO]]

    def stopped(self, server: RestoredServer) -> Sequence[Check]:
        """Return the checks of the stopped cluster: none, they take too long."""
        return ()

    def _references(self, moment: datetime, history: History) -> References:
        """Read the references from the copies beside the repository.

        These do not say when somebody was erased, so any tombstone counts as an erasure since.
        """
        wanted = moment, history.timeline
        if wanted not in self._references_by_moment:
            stanza, settings = self.ctx.stanza.cluster, self.ctx.settings
            keys = reference_store.public_keys(settings)

            def lies_on(reference: Reference) -> bool:
                return reference.lies_on(history, lambda timeline, lsn: None)

            before = ledger_copies.before(settings, keys, stanza, moment, lies_on, self.as_of)
            erased = self._tombstones().count > 0
            self._references_by_moment[wanted] = References(before, None, erased_since=erased)
        return self._references_by_moment[wanted]

    def _tombstones(self) -> Tombstones:
        stanza = replay_places.subjects_stanza(self.ctx.settings, self.ctx.stanza.cluster)
        # A restore of the ops database itself cannot ask it: it may be lost, or hold wrong data.
        if not ops_is_up(self.ctx):
            self.log("the ops database does not answer: reading tombstones from the object-locked ledger")
            return erasure_replay.from_ledger(self.ctx.settings, stanza)
        tombstones = erasure_replay.from_ops_database(self.ctx.ops_url, stanza)
        try:
            # The ops database may have been restored itself, and lack some.
            return tombstones.merged_with(erasure_replay.from_ledger(self.ctx.settings, stanza))
        except OpsError as error:
            self.log(f"{error}; going on with the tombstones of the ops database alone")
            return tombstones


def ops_is_up(ctx: BackupContext) -> bool:
    """Tell whether the ops database answers; one that is not configured does not."""
    try:
        with postgres.session(ctx.ops_url) as connection:
            connection.execute("SELECT 1")
    except (Unavailable, ConfigurationError):
        return False
    return True


def knowledge(
    ctx: BackupContext, explanation: Explanation, log: Callable[[str], None], as_of: datetime | None = None
) -> Knowledge:
    """Provide what the restore needs to know, with exactly the plan that was explained.

    The heartbeat expected is computed from the interval at which heartbeats are written.
    """

    def expected(plan: Plan) -> Expected | None:
        moment = plan.target.moment
        if moment is not None:
            return Expected(moment - STALE, certain=False)
        if plan.target.kind == "latest" and explanation.reaches is not None:
            lag = timedelta(seconds=ctx.stanza.archive_timeout_seconds) + STALE + _MARGIN
            return Expected(explanation.reaches - lag, certain=False)
        return None

    source = Source(live_source.database_name(ctx), explanation.reaches)
    return Knowledge(lambda _reader: explanation.plan, source, expected, EmergencyChecks(ctx, log, as_of))


def still_lost(explanation: Explanation, newest: datetime | None, now: datetime) -> timedelta | None:
    """Return the span whose data must be entered again: from the newest heartbeat recovered to ``now``.

    None: unknown.
    """
    if newest is None:
        return explanation.loss
    return max(timedelta(0), now - newest)
