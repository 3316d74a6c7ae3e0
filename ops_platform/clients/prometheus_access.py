"""A client of the configured Prometheus: credentials, certificate, tenant and proxy from the settings.

What it is asked, is not here (``clients.prometheus``).
"""

from __future__ import annotations

import functools
import ipaddress
import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ops_platform.clients.json_http import Access, trust
from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.safe_errors import TlsFault
from ops_platform.errors import ConfigurationError
from ops_platform.settings import PrometheusSettings, Settings, source_prefix

PREFIX = source_prefix()
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE = re.compile(r"[!-~]+( +[!-~]+)*")
"""What a header's value may be made of: printable ASCII, no space at either end."""


def connect(
    settings: Settings,
    *,
    url: str | None = None,
    replica_labels: Sequence[str] = (),
    timeout_seconds: float,
) -> Prometheus:
    """Make a client of the Prometheus at ``url``; None: the configured one.

    The configured one knows those of OPS_PROMETHEUS_URLS by name, and no other name; a ``url`` that is given
    stands for all. What the settings hold to sign in with is sent to it, and to named ones on the same host
    that have nothing of their own (OPS_PROMETHEUS_EU_BEARER_TOKEN and so on, for ``eu``).
    Raises ConfigurationError when settings contradict each other, a file cannot be used, what is set by name
    is of no server that is named, or a named one on another host would get what signs in to the first,
    unless OPS_PROMETHEUS_CREDENTIALS_FOR_ALL allows that.
    """

    def client(
        place: str, name: str | None = None, named: Mapping[str, Prometheus] | None = None
    ) -> Prometheus:
        return Prometheus(
            place,
            access=access(settings, place, name),
            timeout_seconds=timeout_seconds,
            replica_labels=replica_labels or settings.prometheus_replica_labels,
            named=named,
        )

    if url is not None:
        return client(url)
    first, others = settings.require("prometheus_url"), _named_urls(settings.prometheus.urls)
    if strange := settings.prometheus_for_others(others):
        raise ConfigurationError(
            f"{strange} is for no server that {PREFIX}URLS names: it has {', '.join(others) or 'none'}"
        )
    connected = client(first, named={name: client(place, name) for name, place in others.items()})
    for name, place in others.items():
        own = settings.prometheus_of(name) is not None
        if not own and _signs_in(settings) and urlsplit(place).hostname != urlsplit(first).hostname:
            raise ConfigurationError(
                f"{PREFIX}URLS: {name} is another host than {PREFIX}URL, whose token, password, "
                f"client's certificate or tenant it would get: set those of its own ({source_prefix(name)}"
                f"BEARER_TOKEN and so on), or {PREFIX}CREDENTIALS_FOR_ALL to true if they are the same"
            )
    return connected


def names(settings: Settings) -> frozenset[str]:
    """List the names of OPS_PROMETHEUS_URLS. Raises ConfigurationError."""
    return frozenset(_named_urls(settings.prometheus.urls))


def _signs_in(settings: Settings) -> bool:
    given = settings.prometheus
    said = (given.bearer_token, given.username, given.password, given.client_certificate_file, given.tenant)
    return not given.credentials_for_all and any(value is not None for value in said)


def _named_urls(text: str | None) -> dict[str, str]:
    """Parse ``name=URL``, separated by commas. Raises ConfigurationError."""
    urls: dict[str, str] = {}
    for entry in (text or "").split(","):
        name, equals, place = entry.strip().partition("=")
        if not entry.strip():
            continue
        if not equals or re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) is None or name in urls:
            raise ConfigurationError(
                f"{PREFIX}URLS must be name=URL, separated by commas, each name once: eu=https://eu.example:9090"
            )
        urls[name] = place
    return urls


def access(settings: Settings, url: str, name: str | None = None) -> Access:
    """Read from the settings how to ask the Prometheus at ``url``, of this name in OPS_PROMETHEUS_URLS.

    What is set for the name itself stands in place of all that signs in to the first one. Raises
    ConfigurationError.
    """
    own = None if name is None else settings.prometheus_of(name)
    given, prefix = (settings.prometheus, PREFIX) if own is None else (own, source_prefix(str(name)))
    encrypted = _encrypted(url, prefix)
    headers: dict[str, str] = {}
    login: tuple[str, str] | None = None
    if given.bearer_token is not None:
        token = given.bearer_token.get_secret_value()
        if given.username is not None or given.password is not None:
            raise ConfigurationError(
                f"{prefix}BEARER_TOKEN and {prefix}USERNAME or _PASSWORD are set: keep one of the two ways"
            )
        headers["Authorization"] = "Bearer " + _header(f"{prefix}BEARER_TOKEN", token)
    elif given.username is not None or given.password is not None:
        if given.username is None or given.password is None:
            lacking = "USERNAME" if given.username is None else "PASSWORD"
            raise ConfigurationError(f"{prefix}{lacking} is not set, but its other half is: give both")
        if ":" in given.username:
            raise ConfigurationError(f"{prefix}USERNAME holds a colon, which basic authentication forbids")
        login = given.username, given.password.get_secret_value()
    if (headers or login) and not encrypted and not given.credentials_without_tls and not _is_here(url):
        raise ConfigurationError(
            "the URL of Prometheus is http://, and its token or password would be readable on the way: use "
            f"https://, or set {prefix}CREDENTIALS_WITHOUT_TLS to true"
        )
    if given.tenant is not None:
        if _TOKEN.fullmatch(given.tenant_header) is None:
            raise ConfigurationError(f"{prefix}TENANT_HEADER is not the name of a header")
        if given.tenant_header.lower() == "authorization":
            raise ConfigurationError(f"{prefix}TENANT_HEADER cannot be Authorization")
        headers[given.tenant_header] = _header(f"{prefix}TENANT", given.tenant)
    return Access(
        tls=_tls(given, settings.ca_file, prefix) if encrypted else None,
        headers=headers,
        login=login,
        proxy_url=None if given.proxy_url is None else _proxy(given.proxy_url.get_secret_value(), prefix),
        on_refusal=functools.partial(_on_refusal, prefix),
        on_tls_fault=_on_tls_fault(prefix),
    )


def _encrypted(url: str, prefix: str) -> bool:
    """Tell whether a URL is one of https; refuse what is no address of a Prometheus."""
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username
        _ = parts.port
    except ValueError:
        raise ConfigurationError(
            "the URL of Prometheus cannot be read: write https://HOST:PORT/PATH"
        ) from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError("the URL of Prometheus must be http:// or https://, a host and a port")
    if user is not None or "@" in parts.netloc:
        raise ConfigurationError(
            f"the URL of Prometheus holds a user or password, which others can see: take it out, and set "
            f"{prefix}USERNAME and {prefix}PASSWORD"
        )
    if parts.query or parts.fragment:
        raise ConfigurationError("the URL of Prometheus ends with a query: give its base, without ? and #")
    return parts.scheme == "https"


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _header(setting: str, value: str) -> str:
    if _VISIBLE.fullmatch(value) is None:
        raise ConfigurationError(f"{setting} is empty, or holds characters that no HTTP header may")
    return value


def _tls(given: PrometheusSettings, ca_file: Path | None, prefix: str) -> ssl.SSLContext:
    own = given.ca_file is not None
    context = trust(given.ca_file or ca_file, f"{prefix}CA_FILE" if own else "OPS_CA_FILE")
    certificate, key = given.client_certificate_file, given.client_key_file
    if certificate is None:
        if key is not None:
            raise ConfigurationError(
                f"{prefix}CLIENT_KEY_FILE is set, {prefix}CLIENT_CERTIFICATE_FILE is not: give both"
            )
        return context
    for setting, file in (("CERTIFICATE", certificate), ("KEY", key)):
        if file is not None:
            _readable(f"{prefix}CLIENT_{setting}_FILE", file)
    try:
        context.load_cert_chain(certificate, key, password=functools.partial(_no_passphrase, prefix))
    except ssl.SSLError as error:
        fault = (
            "are not of one pair"
            if error.reason == "KEY_VALUES_MISMATCH"
            else "hold no certificate and key in PEM"
        )
        raise ConfigurationError(
            f"{prefix}CLIENT_CERTIFICATE_FILE and _KEY_FILE {fault}: correct them"
        ) from None
    return context


def _readable(setting: str, file: Path) -> None:
    try:
        with file.open("rb"):
            return
    except OSError as error:
        raise ConfigurationError(f"{setting}: {file} cannot be read ({error.strerror})") from None


def _no_passphrase(prefix: str) -> str:
    """Refuse to ask the terminal for a passphrase, which OpenSSL would do."""
    raise ConfigurationError(
        f"the key of {prefix}CLIENT_CERTIFICATE_FILE has a passphrase: give one without, in a file that "
        "only this user can read"
    )


def _proxy(url: str, prefix: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        raise ConfigurationError(f"{prefix}PROXY_URL must be http:// or https://, a host and a port")
    return url


def _on_refusal(prefix: str, status: int, body: str) -> str:
    """Say which setting an answer of this status asks for."""
    said = body.lower()
    # Mimir and Cortex say "no org id", with 401; Thanos' receivers name a tenant.
    if "org id" in said or "tenant" in said:
        return f"give the tenant as {prefix}TENANT, and its header's name as _TENANT_HEADER"
    if status == 400 and "certificate" in said:
        return f"give {prefix}CLIENT_CERTIFICATE_FILE and _KEY_FILE"
    return {
        301: "it is somewhere else: correct its URL",
        302: f"it sends people to a page to sign in: set {prefix}BEARER_TOKEN, or ask behind that page",
        307: "it is somewhere else: correct its URL",
        308: "it is somewhere else: correct its URL",
        401: f"set {prefix}BEARER_TOKEN, or {prefix}USERNAME and _PASSWORD, or correct them",
        403: f"what {prefix}BEARER_TOKEN or _USERNAME stands for may not ask this: let it, or set another",
        404: "is the path in its URL right? Mimir's ends in /prometheus",
        407: f"give the proxy's user and password in {prefix}PROXY_URL",
    }.get(status, "")


def _on_tls_fault(prefix: str) -> Mapping[TlsFault, str]:
    return {
        "no TLS there": "write http:// in its URL",
        "another name": "ask it by a name that its certificate is for",
        "expired": "its certificate must be renewed",
        "unknown authority": f"give the PEM of its authority as {prefix}CA_FILE",
        "it asks for a client's certificate": f"give {prefix}CLIENT_CERTIFICATE_FILE and _KEY_FILE",
        "it refuses our certificate": f"is {prefix}CLIENT_CERTIFICATE_FILE of an authority that it trusts?",
    }
