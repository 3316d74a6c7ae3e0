"""The verification ladder: named questions to a restored cluster, each answered pass, fail or unknown.

``unknown`` means that the question could not be asked, and is never a pass. What the questions
are is in ``recovery``, ``catalogue``, ``content`` and ``physical``; which scenario asks which, here.
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
"""What must hold before a restored cluster may take traffic; RTO ends behind them."""
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

VERIFICATIONS: Mapping[str, tuple[str, ...]] = {
    "latest": (*CRITICAL, *CONTENT, *RUN),
    "pitr": (*CRITICAL, *CONTENT, *RUN),
    "integrity": (*CRITICAL, *CONTENT, *DEEP, *RUN),
    "performance": (*CRITICAL, *RUN, *SPEED),
    "restore_check": (*CRITICAL, *CONTENT, *RUN),
    # Nobody looked at the source after the disaster, so live tables have no bounds.
    "emergency": (*CRITICAL, *(name for name in CONTENT if name != "live_tables")),
}
"""What each scenario must answer; one that has no answer is unknown."""


@dataclass(frozen=True)
class Verification:
    """One answer. ``summary`` and ``numbers`` hold names and counts, never rows' values."""

    name: str
    result: Result
    summary: str
    numbers: Mapping[str, Number] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.result == "pass"


NOT_REACHED = "could not run: it was not reached"
NAMED = 5
"""Names that a summary lists; of the others it says the number."""

Rung = tuple[str, Callable[[], Verification]]


def passed(name: str, summary: str, **numbers: Number) -> Verification:
    return Verification(name, "pass", summary, numbers)


def failed(name: str, summary: str, **numbers: Number) -> Verification:
    return Verification(name, "fail", summary, numbers)


def unknown(name: str, reason: str, **numbers: Number) -> Verification:
    return Verification(name, "unknown", f"could not run: {reason}", numbers)


def verdict(name: str, good: bool, summary: str, **numbers: Number) -> Verification:
    """Passed or failed."""
    return Verification(name, "pass" if good else "fail", summary, numbers)


def named(names: Sequence[str]) -> str:
    """List the first names, NAMED at the most, and say how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def climb(rungs: Sequence[Rung], log: Callable[[str], None]) -> list[Verification]:
    """Ask all questions, in order; one that cannot be asked keeps no other from being asked."""
    found = []
    for name, question in rungs:
        answer = ask(name, question)
        if not answer.passed:
            log(f"{name}: {answer.result}: {answer.summary}")
        found.append(answer)
    return found


def ask(name: str, question: Callable[[], Verification]) -> Verification:
    """The answer to one question. Errors of outside systems are ``unknown``; a bug of ours goes through."""
    try:
        answer = question()
    except OpsError as error:
        return unknown(name, str(error))
    except (psycopg.Error, OSError) as error:
        return unknown(name, describe(error))
    if answer.name != name:
        raise AssertionError(f"the question {name} was answered as {answer.name}")
    return answer


def missing(answers: Sequence[Verification], scenario: str) -> list[Verification]:
    """An ``unknown`` for each verification of the scenario that nobody answered."""
    known = {answer.name for answer in answers}
    return [
        Verification(name, "unknown", NOT_REACHED) for name in VERIFICATIONS[scenario] if name not in known
    ]
