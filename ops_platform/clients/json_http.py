"""A JSON service over HTTP: requests with a deadline, failures as one line.

No service in particular is known here; ``prometheus`` and ``alertmanager`` build on it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ops_platform.clients.safe_errors import TlsFault, address, service, tls_fault, why
from ops_platform.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 10.0
PIECE_BYTES = 262_144


@dataclass(frozen=True)
class Access:
    """What a service asks of its clients: certificates, headers, a login; and the proxy on the way to it.

    Credentials are never part of its text.
    """

    tls: ssl.SSLContext | None = None
    """None: the system's authorities are trusted, and no certificate is shown."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    """User and password of basic authentication."""
    proxy_url: str | None = field(default=None, repr=False)
    socket: Path | None = None
    """The Unix socket at which the service is asked, instead of at the host of its URL."""
    on_refusal: Callable[[int, str], str] = lambda status, body: ""
    """Say what to do about an answer of this status; empty: nothing is known."""
    on_tls_fault: Mapping[TlsFault, str] = field(default_factory=dict)
    """What to do about a failed handshake."""


def trust(ca_file: Path | None, setting: str = "OPS_CA_FILE") -> ssl.SSLContext:
    """Make a TLS context that trusts the authorities in a PEM file; None: the system's.

    Raises ConfigurationError, which names ``setting``, when the file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except ssl.SSLError:
        raise ConfigurationError(f"{setting}: {ca_file} holds no certificates in PEM: correct it") from None
    except OSError as error:
        raise ConfigurationError(f"{setting}: {ca_file} cannot be read ({error.strerror})") from None


class JsonService:
    """One base URL; error messages call the service ``name``."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        ca_file: Path | None = None,
        access: Access | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        import httpx  # with the first service: it takes long to load

        self.name = name
        self.url = url.rstrip("/")
        self._access = access = access or Access()
        # Without TLS no certificates are read, which costs more than a request.
        verify: ssl.SSLContext | bool = self.url.lower().startswith("https:")
        if verify and access.tls is not None:
            verify = access.tls
        elif verify and ca_file is not None:
            verify = trust(ca_file)
        # No proxies from the environment: ops_platform.settings alone reads it.
        self._client = httpx.Client(
            timeout=timeout_seconds,
            verify=verify,
            trust_env=False,
            headers=access.headers,
            auth=access.login,
            proxy=access.proxy_url,
            transport=None if access.socket is None else httpx.HTTPTransport(uds=str(access.socket)),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the HTTP connections."""
        self._client.close()

    def get(self, path: str, params: Mapping[str, str | list[str]] | None = None) -> Any:
        """Send a GET and return the JSON of its answer. Raises Unavailable."""
        return self._json(self._request("GET", path, params=params))

    def post(self, path: str, *, json: Any = None, data: Mapping[str, str] | None = None) -> Any:
        """Send a POST and return the JSON of its answer, None when it has no body. Raises Unavailable."""
        response = self._request("POST", path, json=json, data=data)
        return self._json(response) if response.content else None

    def post_in_pieces(self, path: str, data: Mapping[str, str]) -> Iterator[str]:
        """Send a POST and yield the text of its answer as it arrives. Raises Unavailable."""
        with (
            self._failures_told(),
            self._client.stream("POST", f"{self.url}{path}", data=dict(data)) as response,
        ):
            if not response.is_success:
                response.read()
                self._refuse_failure(response, "POST", path)
            yield from response.iter_text(PIECE_BYTES)

    def not_json(self) -> Unavailable:
        """Make the error about an answer that is not JSON."""
        return Unavailable(f"{self.name} at {address(self.url)} did not answer in JSON: is the URL right?")

    def text(self, path: str) -> str:
        """Send a GET and return its answer as text. Raises Unavailable."""
        return self._request("GET", path).text

    def answers(self, path: str) -> bool:
        """Send a GET and return whether the answer is a 2xx; False when the service cannot be reached."""
        import httpx

        try:
            return self._client.get(f"{self.url}{path}").is_success
        except (httpx.HTTPError, httpx.InvalidURL):
            return False

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        with self._failures_told():
            response = self._client.request(method, f"{self.url}{path}", **arguments)
        self._refuse_failure(response, method, path)
        return response

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        """Raise Unavailable, with what to do, in place of failures on the way."""
        import httpx

        where = address(self.url)
        try:
            yield
        except httpx.InvalidURL:
            raise Unavailable(f"the URL of {self.name} is malformed: correct it") from None
        except httpx.TimeoutException:
            raise Unavailable(f"{self.name} at {where} did not answer in time: look at its log") from None
        except httpx.HTTPError as error:
            fault = tls_fault(error)
            advice = self._access.on_tls_fault.get(fault, "") if fault else ""
            if self._access.proxy_url is not None:
                where += f" through the proxy at {address(self._access.proxy_url)}"
            reason = ", ".join(part for part in (fault if advice else why(error), advice) if part)
            raise Unavailable(f"cannot reach {self.name} at {where}: {reason}") from None

    def _refuse_failure(self, response: httpx.Response, method: str, path: str) -> None:
        if response.is_success:
            return
        advice = self._access.on_refusal(response.status_code, response.text)
        raise Unavailable(
            f"{self.name} refused {method} {path.partition('?')[0]} "
            f"with {response.status_code}: {_reason(response)}{advice and f'; {advice}'}"
        )

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            raise self.not_json() from None


def graphql_refusal(body: Mapping[str, Any]) -> str:
    """Return what our guard says of a GraphQL request that it refused; empty for any other answer.

    It gives its errors a code. Messages of others' errors may quote what they choke on.
    """
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    extensions = first.get("extensions") if isinstance(first, dict) else None
    is_ours = isinstance(first, dict) and isinstance(extensions, dict) and set(extensions) == {"code"}
    return str(first.get("message") or "") if is_ours and isinstance(first, dict) else ""


def _reason(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        body = response.text
    if isinstance(body, dict):
        body = graphql_refusal(body) or body.get("error") or body.get("message") or ""
    return service(str(body)) or response.reason_phrase
