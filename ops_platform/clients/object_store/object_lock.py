"""Object lock as S3 tells of it: that on one version, and what a bucket gives to each new one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectLockConfigurationTypeDef


@dataclass(frozen=True)
class Retention:
    """The object lock on one version."""

    mode: str
    until: datetime


@dataclass(frozen=True)
class BucketLock:
    """Versioning and object lock of a bucket.

    ``mode`` and ``days`` are those of the default retention, None without one.
    """

    versioned: bool
    enabled: bool
    mode: str | None
    days: int | None

    @classmethod
    def read(cls, versioning: str | None, configuration: ObjectLockConfigurationTypeDef | None) -> BucketLock:
        """Read S3's answers: the status of versioning, and the lock configuration, None without one."""
        versioned = versioning == "Enabled"
        if configuration is None:
            return cls(versioned, False, None, None)
        default = configuration.get("Rule", {}).get("DefaultRetention", {})
        years, days = default.get("Years"), default.get("Days")
        enabled = configuration.get("ObjectLockEnabled") == "Enabled"
        return cls(versioned, enabled, default.get("Mode"), years * 365 if years else days)
