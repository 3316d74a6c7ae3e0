"""How to sign in to the Prometheus that objectives are counted from. Its URL is in ``settings.process``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from ops_platform.environment import Group


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
