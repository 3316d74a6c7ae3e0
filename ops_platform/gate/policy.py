"""The policy of the gate, ``gate.yaml`` of the configuration directory: what is asked, and its limits.

Without a file every check is made, with the limits below.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.gate.freeze import Freeze

FILE = "gate.yaml"
CHECKS = (
    "agent",
    "budgets",
    "alerts",
    "recovery_point",
    "proven_sets",
    "exercises",
    "requests",
    "ledger",
    "migrations",
    "freeze",
)
"""What is looked at, in the order in which reasons are given."""

Positive = Annotated[float, Field(gt=0)]


class Policy(BaseModel):
    """Which checks count, and their limits; times in the unit of their name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checks: tuple[str, ...] = CHECKS
    least_budget_percent: Annotated[float, Field(ge=0, lt=100)] = 10.0
    """Error budget that an objective must have left, over its own period."""
    severities: tuple[str, ...] = ("critical",)
    """Severities of firing alerts that deny."""
    ignored_alerts: tuple[str, ...] = ("Watchdog",)
    stanzas: tuple[str, ...] = ()
    """Stanzas whose recovery counts; none named: all that the agent reports."""
    scenarios: tuple[str, ...] = ("latest", "pitr")
    """Exercises that must have succeeded."""
    exercise_days: Positive = 35.0
    request_hours: Positive = 60.0
    """Age at which an open request of a data subject denies: 72 hours are promised."""
    ledger_hours: Positive = 3.0
    """Age at which the newest verification of the ledger counts no more."""
    figures_hours: Positive = 3.0
    """Age at which an objective's figures count no more; they are of whole hours."""
    freezes: tuple[Freeze, ...] = ()

    @field_validator("checks")
    @classmethod
    def _are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(value) - set(CHECKS))
        if unknown or not value:
            named = f"{', '.join(unknown)} is no check: " if unknown else ""
            raise ValueError(f"{named}name some of {', '.join(CHECKS)}")
        return tuple(check for check in CHECKS if check in value)


def load_policy(file: Path) -> Policy:
    """Read a policy. Raises ConfigurationError, with file and line."""
    source = lined_yaml.load_one(file)
    try:
        return Policy.model_validate(source.value or {})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"{source.at(first['loc'])}: {name}: {lined_yaml.complaint(first)}"
        ) from None
