"""Asset checks of the calendar: each duty is an asset, and was done in time or not.

How a duty stands is read in ``housekeeping.calendar``. There are no materialisations: the time of one would
be the run's, not that of the duty.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import dagster as dg

from ops_platform import files
from ops_platform.backup.stanza import load_backups
from ops_platform.clients import postgres
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.resources import PlatformResource
from ops_platform.errors import ConfigurationError
from ops_platform.housekeeping import calendar
from ops_platform.housekeeping.calendar import Definition, Standing

CHECK = "done_in_time"
GROUP = "calendar"


def known_duties(config_dir: Path) -> Mapping[str, Definition]:
    """Read the duties that there are assets of."""
    try:
        return calendar.load_calendar(config_dir).duties
    except ConfigurationError:
        # A wrong calendar takes no backups with it: the checks fail over the file, and the agent tells of it.
        return calendar.load_calendar(files.default_config_dir()).duties


def duty_assets(duties: Mapping[str, Definition]) -> list[dg.AssetSpec]:
    """Define the asset of each duty."""
    return [
        dg.AssetSpec(
            _key(name),
            group_name=GROUP,
            description=f"Every {duty.every}: {duty.what}",
            owners=owners("housekeeping"),
            tags=duty_tag("housekeeping"),
            kinds={"postgres"},
        )
        for name, duty in duties.items()
    ]


def duty_checks(duties: Mapping[str, Definition]) -> dg.AssetChecksDefinition:
    """Define the check of each duty; one reading of the ops database serves all."""
    specs = [
        dg.AssetCheckSpec(
            CHECK,
            asset=_key(name),
            description="The duty was done within its period and grace; never yet is due, and not done.",
        )
        for name in duties
    ]

    @dg.multi_asset_check(name="check_calendar", specs=specs, can_subset=True)
    def check(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.AssetCheckResult]:
        chosen = context.op_execution_context.selected_asset_check_keys
        now = datetime.now(UTC)
        with reported_failures():
            settings = platform.settings()
            read = calendar.load_calendar(settings.config_dir)
            stanzas = list(load_backups(settings).stanzas)
            with postgres.session(settings.require("database_url")) as ops:
                found = calendar.standings(ops, read, stanzas, now)
        standings = {name: list(group) for name, group in groupby(found, key=lambda one: one.name)}
        for key in chosen:
            yield _result(key.asset_key, standings.get(key.asset_key.path[-1], ()), now)

    return check


def _result(asset: dg.AssetKey, standings: Sequence[Standing], now: datetime) -> dg.AssetCheckResult:
    undone = [one for one in standings if one.done_at is None or one.state(now) == "overdue"]
    # A duty that has left the file since the code location was loaded was not looked at.
    said = "; ".join(_said(one, now) for one in standings) or "no duty of calendar.yaml any more: reload"
    return dg.AssetCheckResult(
        passed=bool(standings) and not undone,
        check_name=CHECK,
        asset_key=asset,
        severity=dg.AssetCheckSeverity.ERROR,
        description=said,
        metadata={f"due {one.stanza}".strip(): dg.MetadataValue.timestamp(one.due_at) for one in standings},
    )


def _said(standing: Standing, now: datetime) -> str:
    of = f"{standing.stanza}: " if standing.stanza else ""
    done = "never done" if standing.done_at is None else f"done {standing.done_at:%Y-%m-%d %H:%M}Z"
    return f"{of}{done}, {standing.state(now)}, due {standing.due_at:%Y-%m-%d %H:%M}Z"


def _key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["calendar", name])
