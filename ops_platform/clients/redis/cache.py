"""The product's Redis over TLS: connect, and the few operations on keys that the duties need.

No key pattern is known here. Errors of redis-py are raised as one line without password, key or value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from ops_platform.clients.safe_errors import code, tls_fault
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.settings import Settings

if TYPE_CHECKING:
    import redis

TIMEOUT_SECONDS = 5.0
_BATCH = 500
_GLOB = re.compile(r"([*?\[\]\\])")


class Cache:
    """One Redis database. ``url`` is ``rediss://host:port/0`` (or ``redis://`` on a trusted wire)."""

    def __init__(self, url: str, password: str | None = None, ca_file: Path | None = None) -> None:
        """Prepare the client; no connection is opened yet.

        Raises ConfigurationError for a malformed URL or a CA file that does not exist.
        """
        import redis  # with the first cache: it takes long to load

        parts = urlsplit(url)
        try:
            self.where = f"{parts.hostname}:{parts.port or 6379}"
        except ValueError:
            raise ConfigurationError("the Redis URL is malformed: correct OPS_REDIS_URL") from None
        good_path = re.fullmatch(r"/?\d*", parts.path)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or not good_path:
            raise ConfigurationError("the Redis URL must be rediss://host:port/number: correct OPS_REDIS_URL")
        options: dict[str, object] = {}
        if parts.scheme == "rediss":
            if ca_file is not None and not ca_file.is_file():
                raise ConfigurationError(f"there is no CA file at {ca_file}: correct OPS_CA_FILE")
            options = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
            if ca_file is not None:
                options["ssl_ca_certs"] = str(ca_file)
        try:
            self.client: redis.Redis = redis.Redis.from_url(
                url,
                password=password,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                decode_responses=True,
                # A key need not be text; it must come back as the same bytes.
                encoding_errors="surrogateescape",
                **options,
            )
        except ValueError:
            raise ConfigurationError("the Redis URL is malformed: correct OPS_REDIS_URL") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def ping(self) -> None:
        """Ask Redis for an answer. Raises Unavailable or ConfigurationError when it cannot be used."""
        with self._errors("reach"):
            self.client.ping()

    def set_many(self, values: Mapping[str, str], *, seconds: int | None = None) -> None:
        """Write all values, which expire after ``seconds`` (None: never)."""
        with self._errors("write to"):
            items = iter(values.items())
            while batch := list(islice(items, _BATCH)):
                pipeline = self.client.pipeline(transaction=False)
                for key, value in batch:
                    pipeline.set(key, value, ex=seconds)
                pipeline.execute()

    def keys(self, prefix: str) -> Iterator[str]:
        """Scan for the keys that begin with ``prefix`` (taken literally), without blocking the server.

        A key that exists during the whole scan is found; a key may come twice.
        """
        yield from self.matching((prefix, ""))

    def matching(self, parts: Sequence[str]) -> Iterator[str]:
        """Scan for the keys that consist of ``parts``, each taken literally, with any text between them.

        Otherwise as ``keys``. A single part is the name of one key.
        """
        pattern = "*".join(_GLOB.sub(r"\\\1", part) for part in parts)
        with self._errors("read from"):
            if len(parts) == 1:
                if self.client.exists(parts[0]):
                    yield parts[0]
                return
            yield from self.client.scan_iter(match=pattern, count=_BATCH)

    def delete(self, keys: Iterable[str]) -> int:
        """Unlink the keys and return how many of them existed."""
        removed = 0
        with self._errors("delete from"):
            names = iter(keys)
            while batch := list(islice(names, _BATCH)):
                removed += int(self.client.unlink(*batch))
        return removed

    def evaluate(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> list[Any]:
        """Run a Lua script, atomically, and return its array."""
        with self._errors("run a script on"):
            result: list[Any] = self.client.register_script(script)(keys=keys, args=arguments)
            return result

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        from redis import exceptions

        failure = f"cannot {action} Redis at {self.where}"
        try:
            yield
        except exceptions.AuthenticationError:
            raise ConfigurationError(
                f"{failure}: the password is wrong or missing: correct OPS_REDIS_PASSWORD_FILE"
            ) from None
        except exceptions.NoPermissionError:
            raise ConfigurationError(
                f"{failure}: this user may not do that: grant it in Redis' ACL"
            ) from None
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            raise Unavailable(f"{failure}: {_advice(error)}") from None
        except exceptions.RedisError as error:
            raise Unavailable(
                f"{failure}: it answered {code(error)}: look at its log and its memory"
            ) from None


def from_settings(settings: Settings) -> Cache:
    """Open the product's cache of the settings. Raises ConfigurationError when it is not configured."""
    password = settings.redis_password
    return Cache(
        settings.require("redis_url"), password.get_secret_value() if password else None, settings.ca_file
    )


def _advice(error: Exception) -> str:
    from redis.exceptions import TimeoutError as RedisTimeout

    fault = tls_fault(error)
    if fault == "another name":
        return "its certificate is for another name: correct OPS_REDIS_URL"
    if fault == "expired":
        return "its certificate has expired: renew it"
    if fault == "unknown authority":
        return "its certificate is of an unknown authority: point OPS_CA_FILE at the authority that signed it"
    if fault == "no TLS there":
        return "the port does not speak TLS: correct OPS_REDIS_URL"
    if isinstance(error, RedisTimeout):
        return f"no answer in {TIMEOUT_SECONDS:g} s: check that it runs"
    return "nobody answers: check that it runs and that OPS_REDIS_URL names it (rediss:// where it wants TLS)"
