"""The lifecycle of a bucket: which rules remove what of it, by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import LifecycleRuleOutputTypeDef


@dataclass(frozen=True)
class LifecycleRule:
    """An enabled rule for the keys below ``prefix``, or for some of them.

    ``is_for_all``: for every key of the bucket. ``noncurrent_days``: days after which it removes replaced
    versions, None when it does not. ``expires_current``: it deletes objects that nobody deleted.
    """

    prefix: str
    is_for_all: bool
    noncurrent_days: int | None
    expires_current: bool

    @classmethod
    def read(cls, rule: LifecycleRuleOutputTypeDef) -> LifecycleRule:
        """Read one rule of S3's answer."""
        chosen: Any = rule.get("Filter", {})
        prefix = rule.get("Prefix") or chosen.get("Prefix") or chosen.get("And", {}).get("Prefix") or ""
        expiration = rule.get("Expiration", {})
        return cls(
            prefix,
            not any(chosen.values()) and not rule.get("Prefix"),
            rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"),
            "Days" in expiration or "Date" in expiration,
        )

    def touches(self, prefix: str) -> bool:
        """Tell whether it may be for a key below ``prefix``."""
        return self.prefix.startswith(prefix) or prefix.startswith(self.prefix)


@dataclass(frozen=True)
class Lifecycle:
    """The enabled rules of a bucket."""

    rules: tuple[LifecycleRule, ...] = ()

    @classmethod
    def read(cls, rules: Iterable[LifecycleRuleOutputTypeDef]) -> Lifecycle:
        """Read S3's answer."""
        return cls(tuple(LifecycleRule.read(rule) for rule in rules if rule["Status"] == "Enabled"))

    @property
    def noncurrent_days(self) -> int | None:
        """The fewest days after which replaced versions of every key are removed; None: they are not.

        A rule for some keys only counts for none: what it leaves alone would stay for ever.
        """
        return _fewest(rule for rule in self.rules if rule.is_for_all)

    def noncurrent_days_below(self, prefix: str) -> int | None:
        """Return the fewest days after which replaced versions of any key below ``prefix`` may go."""
        return _fewest(rule for rule in self.rules if rule.touches(prefix))

    def expires_current_below(self, prefix: str) -> bool:
        """Tell whether objects below ``prefix`` may go that nobody deleted."""
        return any(rule.expires_current and rule.touches(prefix) for rule in self.rules)


def _fewest(rules: Iterable[LifecycleRule]) -> int | None:
    return min((rule.noncurrent_days for rule in rules if rule.noncurrent_days is not None), default=None)
