"""How to sign in to the Prometheus that objectives are counted from. Its URL is in ``settings.process``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import Field, SecretStr

from ops_platform.environment import Environment, Group
from ops_platform.errors import ConfigurationError

_SIGN_IN = ("BEARER_TOKEN", "USERNAME", "PASSWORD", "CLIENT_CERTIFICATE_FILE", "CLIENT_KEY_FILE", "TENANT")
_WAYS = ("CA_FILE", "TENANT_HEADER", "PROXY_URL", "CREDENTIALS_WITHOUT_TLS")
_OF_FIRST = "_".join(("OPS", "PROMETHEUS", ""))
_BY_NAME = re.compile(f"{_OF_FIRST}.+?_({'|'.join((*_SIGN_IN, *_WAYS))})(_FILE)?")
"""What may be set for each server of OPS_PROMETHEUS_URLS, with its name before it."""


class PrometheusSettings(Group):
    """Credentials, certificate, tenant and proxy for Prometheus or what speaks its API."""

    urls: str | None = Field(None, validation_alias="OPS_PROMETHEUS_URLS")
    """Others beside OPS_PROMETHEUS_URL, as ``name=URL``: a document's ``metricSourceRef`` names one."""
    bearer_token: SecretStr | None = Field(None, validation_alias="OPS_PROMETHEUS_BEARER_TOKEN")
    username: str | None = Field(None, validation_alias="OPS_PROMETHEUS_USERNAME")
    password: SecretStr | None = Field(None, validation_alias="OPS_PROMETHEUS_PASSWORD")
    credentials_without_tls: bool = Field(False, validation_alias="OPS_PROMETHEUS_CREDENTIALS_WITHOUT_TLS")
    """Send token or password over HTTP, too; to this machine they always are."""
    credentials_for_all: bool = Field(False, validation_alias="OPS_PROMETHEUS_CREDENTIALS_FOR_ALL")
    """Sign in with the same to those of OPS_PROMETHEUS_URLS that are other hosts."""
    ca_file: Path | None = Field(None, validation_alias="OPS_PROMETHEUS_CA_FILE")
    """PEM of the authority that signed its certificate; None: OPS_CA_FILE."""
    client_certificate_file: Path | None = Field(
        None, validation_alias="OPS_PROMETHEUS_CLIENT_CERTIFICATE_FILE"
    )
    client_key_file: Path | None = Field(None, validation_alias="OPS_PROMETHEUS_CLIENT_KEY_FILE")
    """PEM of the certificate's key; None: it stands in the file of the certificate."""
    tenant: str | None = Field(None, validation_alias="OPS_PROMETHEUS_TENANT")
    tenant_header: str = Field("X-Scope-OrgID", validation_alias="OPS_PROMETHEUS_TENANT_HEADER")
    """Mimir's and Cortex's; Thanos takes ``THANOS-TENANT``."""
    proxy_url: SecretStr | None = Field(None, validation_alias="OPS_PROMETHEUS_PROXY_URL")
    """An HTTP proxy that requests go through; it may hold a password."""


def source_prefix(name: str | None = None) -> str:
    """Begin the variables of the server of this name in OPS_PROMETHEUS_URLS; None: of the first one."""
    return _OF_FIRST if name is None else f"{_OF_FIRST}{name.upper().replace('-', '_')}_"


def of_source(name: str, environ: Mapping[str, SecretStr]) -> PrometheusSettings | None:
    """Read what is set to ask one server with; None: nothing is.

    Authority and proxy that are not set for it are the first one's; nothing that signs in is. Raises
    ConfigurationError.
    """
    own = source_prefix(name)
    given = {
        f"{_OF_FIRST}{variable.removeprefix(own)}": value.get_secret_value()
        for variable, value in environ.items()
        if variable.startswith(own) and _BY_NAME.fullmatch(variable) and value.get_secret_value()
    }
    if not given:
        return None
    shared = {
        variable: environ[variable].get_secret_value()
        for way in (f"{_OF_FIRST}CA_FILE", f"{_OF_FIRST}PROXY_URL")
        for variable in (way, f"{way}_FILE")
        if variable in environ and not {way, f"{way}_FILE"} & given.keys()
    }
    try:
        return Environment({**shared, **given}).group(PrometheusSettings)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace(_OF_FIRST, own)) from None


def of_no_source(names: Collection[str], environ: Mapping[str, SecretStr]) -> str | None:
    """Find a variable that is set for a server which is none of ``names``."""
    known = tuple(source_prefix(name) for name in names)
    return next(
        (
            variable
            for variable in sorted(environ)
            if _BY_NAME.fullmatch(variable) and environ[variable].get_secret_value()
            if not any(variable.startswith(own) for own in known)
        ),
        None,
    )
