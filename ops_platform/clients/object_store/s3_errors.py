"""Errors of S3 and boto3 as one line that names bucket, key and endpoint and says what to do.

The line holds neither a secret nor a response body.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ops_platform.clients.safe_errors import tls_fault
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform.settings import named_for

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

ATTEMPTS = 4
"""Tries of one request, with growing pauses: survives a restart, reports an outage within seconds."""


class ObjectStoreUnavailable(Unavailable):
    """The store cannot be reached or does not answer as S3."""


class ObjectStoreRefused(ConfigurationError):
    """The store refused because of identity, bucket, region or permission; ``code`` is S3's."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ObjectMissing(OpsError):
    """There is no such object."""


class ObjectExists(OpsError):
    """The key of a conditional put is taken; nothing was written."""


@dataclass(frozen=True)
class Place:
    """A bucket or an object, and the identity and endpoint that reach it (no endpoint: AWS)."""

    uri: str
    endpoint_url: str | None
    region: str
    role: str
    repository: int = 1
    """The number of the repository whose settings messages name."""

    @contextmanager
    def errors(self, action: str, *, is_object: bool) -> Iterator[None]:
        """Raise boto3's exceptions in the block as ours; ``is_object``: the place is not the whole bucket."""
        try:
            with self._errors(action, is_object=is_object):
                yield
        except (ObjectStoreUnavailable, ObjectStoreRefused, ConfigurationError) as error:
            if self.repository == 1:
                raise
            said = named_for(self.repository, str(error))
            if isinstance(error, ObjectStoreRefused):
                raise ObjectStoreRefused(said, error.code) from None
            raise type(error)(said) from None

    @contextmanager
    def _errors(self, action: str, *, is_object: bool) -> Iterator[None]:
        from botocore import exceptions as boto  # with the first store: it takes long to load

        try:
            yield
        except boto.ClientError as error:
            raise self._refused(error, action, is_object) from None
        except boto.SSLError as error:
            raise ObjectStoreUnavailable(f"{self._cannot(action)}: {_tls_advice(error)}") from None
        except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError):
            prefix = f"OPS_S3_{self.role.upper()}"
            raise ConfigurationError(
                f"{self._cannot(action)}: no credentials: set {prefix}_ACCESS_KEY_ID and "
                f"{prefix}_SECRET_ACCESS_KEY_FILE, readable for this user"
            ) from None
        except (boto.ParamValidationError, boto.EndpointProviderError, ValueError):
            raise ConfigurationError(
                f"{self._cannot(action)}: bucket name, key or endpoint is malformed: correct it"
            ) from None
        except (boto.HTTPClientError, boto.BotoCoreError) as error:
            raise ObjectStoreUnavailable(
                f"{self._cannot(action)}: no answer after {ATTEMPTS} tries ({type(error).__name__}): "
                "check that the store runs and OPS_S3_ENDPOINT_URL names it"
            ) from None

    def _cannot(self, action: str) -> str:
        parts = urlsplit(self.endpoint_url or "")
        host = parts.netloc.rpartition("@")[2] or f"AWS {self.region}"
        return f"cannot {action} {self.uri} at {host} as {self.role}"

    def _refused(self, error: ClientError, action: str, is_object: bool) -> OpsError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        failure = self._cannot(action)
        if code in ("NoSuchKey", "NoSuchVersion", "NoSuchUpload") or (code == "404" and is_object):
            return ObjectMissing(f"{failure}: there is no such object")
        if code in ("PreconditionFailed", "ConditionalRequestConflict") or status == 412:
            return ObjectExists(f"{failure}: the key is taken, nothing was written")
        if status >= 500 or code in ("SlowDown", "RequestTimeout", "Throttling"):
            return ObjectStoreUnavailable(
                f"{failure}: the store answers {code or status} after {ATTEMPTS} tries: "
                "look at its log and its free space"
            )
        return ObjectStoreRefused(f"{failure}: {self._advice(code, status)}", code)

    def _advice(self, code: str, status: int) -> str:
        variable = f"OPS_S3_{self.role.upper()}"
        advice = {
            "NoSuchBucket": f"there is no such bucket: create it or correct {variable}_BUCKET",
            "404": f"there is no such bucket: create it or correct {variable}_BUCKET",
            "InvalidAccessKeyId": f"the access key is not known there: correct {variable}_ACCESS_KEY_ID",
            "SignatureDoesNotMatch": f"the secret key is wrong: correct {variable}_SECRET_ACCESS_KEY_FILE",
            "AuthorizationHeaderMalformed": f"the bucket is not in {self.region}: correct OPS_S3_REGION",
            "PermanentRedirect": f"the bucket is not in {self.region}: correct OPS_S3_REGION",
            "301": f"the bucket is not in {self.region}: correct OPS_S3_REGION",
            "RequestTimeTooSkewed": "the clocks differ by minutes: correct this machine's clock",
        }.get(code)
        if advice is None and status in (401, 403):
            return (
                "access denied: the identity may not do this in this bucket, or the object is locked: "
                f"check {variable}_BUCKET, its key and its policy"
            )
        return advice or f"refused with {code or status}: check the bucket's configuration"


def _tls_advice(error: Exception) -> str:
    fault = tls_fault(error)
    if fault == "no TLS there":
        return "the port does not speak TLS: correct OPS_S3_ENDPOINT_URL"
    if fault == "another name":
        return "its certificate is for another name: correct OPS_S3_ENDPOINT_URL"
    if fault == "expired":
        return "its certificate has expired: renew it"
    if fault == "unknown authority":
        return "its certificate is of an unknown authority: point OPS_CA_FILE at the authority that signed it"
    return "the TLS handshake failed: check OPS_S3_ENDPOINT_URL and OPS_CA_FILE"
