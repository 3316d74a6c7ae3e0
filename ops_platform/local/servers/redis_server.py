"""Redis over TLS: configuration, command line, readiness."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ops_platform.local.host import SecretStore, ServerCertificate, programs, write_private

PASSWORD = "redis-password"  # noqa: S105 - the name of the secret


@dataclass(frozen=True)
class RedisServer:
    """One Redis that listens with TLS only and keeps an append-only file."""

    data_dir: Path
    port: int
    certificate: ServerCertificate
    ca_file: Path
    secrets: SecretStore

    @property
    def url(self) -> str:
        """URL over TLS, without the password."""
        return f"rediss://127.0.0.1:{self.port}/0"

    @property
    def config_file(self) -> Path:
        """Configuration, which holds the password."""
        return self.data_dir / "redis.conf"

    @property
    def password_file(self) -> Path:
        """File of the password, made the first time."""
        self.secrets.token(PASSWORD)
        return self.secrets.path(PASSWORD)

    def prepare(self) -> None:
        """Write directory, password and configuration."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir.chmod(0o700)
        lines = {
            "bind": "127.0.0.1",
            "port": "0",
            "tls-port": str(self.port),
            "tls-cert-file": f'"{self.certificate.certificate}"',
            "tls-key-file": f'"{self.certificate.key}"',
            "tls-ca-cert-file": f'"{self.ca_file}"',
            "tls-auth-clients": "no",
            "requirepass": self.secrets.token(PASSWORD),
            "dir": f'"{self.data_dir}"',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "daemonize": "no",
            "supervised": "no",
            # A rewritten title overwrites the environment, by which leftovers are recognised.
            "set-proc-title": "no",
        }
        write_private(self.config_file, "".join(f"{name} {value}\n" for name, value in lines.items()))

    def command(self) -> list[str]:
        """Make the command line. Raises ConfigurationError when the program is missing."""
        return [programs.find("redis-server"), str(self.config_file)]

    def is_ready(self) -> bool:
        """Tell whether it answers PING over verified TLS with its data loaded."""
        import redis  # its asynchronous half is loaded too, which takes long

        client = redis.Redis.from_url(
            self.url,
            password=self.secrets.token(PASSWORD),
            ssl_ca_certs=str(self.ca_file),
            socket_timeout=3,
            socket_connect_timeout=3,
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def settings_environment(self) -> dict[str, str]:
        """Make the variables of ``ops_platform.settings`` for this Redis."""
        return {"OPS_REDIS_URL": self.url, "OPS_REDIS_PASSWORD_FILE": str(self.password_file)}
