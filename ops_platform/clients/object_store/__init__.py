"""S3: one identity and its one bucket, uploads in parts, and errors.

Backups, seals and media are not known here.
"""

from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.object_store.configured import drill_from_settings, from_settings
from ops_platform.clients.object_store.multipart import Upload, abort_unfinished
from ops_platform.clients.object_store.object_lock import BucketLock, Retention
from ops_platform.clients.object_store.s3_errors import ObjectExists, ObjectMissing, ObjectStoreRefused
from ops_platform.clients.object_store.stored_object import StoredObject
from ops_platform.clients.object_store.version_history import as_of

__all__ = [
    "BucketLock",
    "ObjectExists",
    "ObjectMissing",
    "ObjectStore",
    "ObjectStoreRefused",
    "Retention",
    "StoredObject",
    "Upload",
    "abort_unfinished",
    "as_of",
    "drill_from_settings",
    "endpoint",
    "from_settings",
    "multipart",
]
