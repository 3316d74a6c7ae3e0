"""One version of one object, as listings of S3 and answers to HEAD describe it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import DeleteMarkerEntryTypeDef, ObjectTypeDef, ObjectVersionTypeDef


@dataclass(frozen=True)
class StoredObject:
    """One version of one object; ``size`` in bytes. A delete marker has size 0 and no ETag.

    ``encryption`` (``AES256``, ``aws:kms``) is known from ``head`` only: listings do not have it.
    ``is_current``: no newer version or delete marker of the key hides it.
    """

    key: str
    size: int
    modified_at: datetime
    etag: str
    version_id: str | None = None
    delete_marker: bool = False
    encryption: str | None = None
    is_current: bool = True

    @classmethod
    def current(cls, key: str, item: ObjectTypeDef) -> StoredObject:
        """Read an entry of a listing of current objects."""
        return cls(key, item["Size"], item["LastModified"], item["ETag"].strip('"'))

    @classmethod
    def version(cls, key: str, item: ObjectVersionTypeDef) -> StoredObject:
        """Read an entry of a listing of versions."""
        return cls(
            key,
            item["Size"],
            item["LastModified"],
            item["ETag"].strip('"'),
            item["VersionId"],
            is_current=item["IsLatest"],
        )

    @classmethod
    def marker(cls, key: str, item: DeleteMarkerEntryTypeDef) -> StoredObject:
        """Read a delete marker of a listing of versions."""
        return cls(
            key,
            0,
            item["LastModified"],
            "",
            item["VersionId"],
            delete_marker=True,
            is_current=item["IsLatest"],
        )
