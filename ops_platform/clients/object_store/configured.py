"""The stores that the settings configure: one for each identity, and the bucket of exercises that delete."""

from __future__ import annotations

from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.errors import ConfigurationError
from ops_platform.settings import S3Identity, Settings, named_for


def from_settings(settings: Settings, role: str) -> ObjectStore:
    """Open the store of an S3 role (``backup``, ``media``, ``ledger``, ...).

    Raises ConfigurationError when its bucket is not configured.
    """
    return _open(settings, settings.s3.identity(role))


def drill_from_settings(settings: Settings, role: str) -> ObjectStore:
    """Open the bucket of exercises that delete a copy of the repository, with the identity of ``role``.

    Raises ConfigurationError when there is none, or when it is the bucket of any identity.
    """
    s3, repository = settings.s3, settings.s3_place(role).repository
    if s3.drill_bucket is None:
        needed = "no bucket is configured for exercises that delete: set OPS_S3_DRILL_BUCKET, see docs/iam"
        raise ConfigurationError(named_for(repository, needed))
    owner = next((other for other, known in s3.identities.items() if known.bucket == s3.drill_bucket), None)
    if owner is not None:
        taken = (
            f"OPS_S3_DRILL_BUCKET is {s3.drill_bucket}, the bucket of the S3 role {owner}: all in it is "
            "deleted, so it must be a bucket of its own"
        )
        raise ConfigurationError(named_for(repository, taken))
    identity = s3.identity(role).model_copy(update={"bucket": s3.drill_bucket, "prefix": ""})
    return _open(settings, identity)


def _open(settings: Settings, identity: S3Identity) -> ObjectStore:
    place = settings.s3_place(identity.role)
    return ObjectStore(
        place.endpoint_url,
        place.region,
        identity,
        place.ca_file,
        uri_style=place.uri_style,
        repository=place.repository,
    )
