"""Results of the checks of a restored cluster: pass, fail or unknown; and the checks each scenario needs.

``unknown`` means that the check could not run, and is never a pass. The checks themselves are in
``recovery_checks``, ``schema_comparison``, ``data_checks`` and ``page_checks``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import psycopg

from ops_platform.clients.safe_errors import describe
from ops_platform.errors import OpsError

Result = Literal["pass", "fail", "unknown"]
Number = int | float | str

CRITICAL = (
    "backup_selected",
    "restored",
    "recovered_and_promoted",
    "archive_mode_off",
    "system_identifier",
    "timeline",
    "recovery_target",
    "tombstones",
    "catalogue",
    "roles",
    "extensions",
)
"""These must pass before a restored cluster may take traffic; RTO ends after them."""
CONTENT = (
    "sequences",
    "indexes_valid",
    "constraints_validated",
    "collations",
    "closed_rows",
    "live_tables",
)
DEEP = ("orphans", "amcheck", "pg_dump", "page_checksums", "checks_bite")
RUN = ("rpo_within_target", "rto_within_target", "primary_undisturbed", "torn_down")
"""About the exercise itself."""
SPEED = ("throughput", "predicted_rto")
THEFT = ("versions_survived",)
"""About what a thief could do with the key of the backups."""

VERIFICATIONS: Mapping[str, tuple[str, ...]] = {
    "latest": (*CRITICAL, *CONTENT, *RUN),
    "pitr": (*CRITICAL, *CONTENT, *RUN),
    "integrity": (*CRITICAL, *CONTENT, *DEEP, *RUN),
    "performance": (*CRITICAL, *RUN, *SPEED),
    "stolen_key": (*CRITICAL, *CONTENT, *RUN, *THEFT),
    "restore_check": (*CRITICAL, *CONTENT, *RUN),
    # Nobody looked at the source after the disaster, so live tables have no bounds.
    "emergency": (*CRITICAL, *(name for name in CONTENT if name != "live_tables")),
}
"""The checks of each scenario; one without a result is unknown."""


@dataclass(frozen=True)
class Verification:
    """The result of one check. ``summary`` and ``numbers`` hold names and counts, never rows' values."""

    name: str
    result: Result
    summary: str
    numbers: Mapping[str, Number] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """False for ``unknown`` too."""
        return self.result == "pass"


NOT_REACHED = "could not run: it was not reached"
NAMED = 5
"""The number of names that a summary lists; the others are only counted."""

Check = tuple[str, Callable[[], Verification]]
"""The name of a verification, and the function that makes it."""


def passed(name: str, summary: str, **numbers: Number) -> Verification:
    """Return a check that passed; ``numbers`` become metadata of its asset check."""
    return Verification(name, "pass", summary, numbers)


def failed(name: str, summary: str, **numbers: Number) -> Verification:
    """Return a check that failed: what is wrong, and what to do about it."""
    return Verification(name, "fail", summary, numbers)


def unknown(name: str, reason: str, **numbers: Number) -> Verification:
    """Return a check that could not run, which counts as not passed."""
    return Verification(name, "unknown", f"could not run: {reason}", numbers)


def verdict(name: str, good: bool, summary: str, **numbers: Number) -> Verification:
    """Return a check that passed if ``good``, and failed otherwise."""
    return Verification(name, "pass" if good else "fail", summary, numbers)


def named(names: Sequence[str]) -> str:
    """List the first names, NAMED at the most, and say how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def run_checks(checks: Sequence[Check], log: Callable[[str], None]) -> list[Verification]:
    """Run all checks, in order; one that cannot run does not stop the others."""
    results = []
    for name, check in checks:
        result = run_check(name, check)
        if not result.passed:
            log(f"{name}: {result.result}: {result.summary}")
        results.append(result)
    return results


def run_check(name: str, check: Callable[[], Verification]) -> Verification:
    """Run one check. Errors of outside systems make it ``unknown``; a bug of ours is raised."""
    try:
        result = check()
    except OpsError as error:
        return unknown(name, str(error))
    except (psycopg.Error, OSError) as error:
        return unknown(name, describe(error))
    if result.name != name:
        raise AssertionError(f"the check {name} returned a result named {result.name}")
    return result


def missing(results: Sequence[Verification], scenario: str) -> list[Verification]:
    """Return an ``unknown`` for each verification of the scenario that ``results`` lack."""
    known = {result.name for result in results}
    return [
        Verification(name, "unknown", NOT_REACHED) for name in VERIFICATIONS[scenario] if name not in known
    ]
