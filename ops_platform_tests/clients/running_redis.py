"""A Redis over TLS for the tests of one module."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ops_platform.clients.waiting import wait_until
from ops_platform.local.host.accounts import account
from ops_platform.local.host.secrets import SecretStore
from ops_platform.local.servers.redis_server import RedisServer
from ops_platform_tests.ports import free_ports
from ops_platform_tests.services import Services


@dataclass(frozen=True)
class RunningRedis:
    server: RedisServer

    @property
    def environ(self) -> dict[str, str]:
        """Variables that point the settings at it."""
        return {**self.server.settings_environment(), "OPS_CA_FILE": str(self.server.ca_file)}


@contextmanager
def running_redis(services: Services) -> Iterator[RunningRedis]:
    port = free_ports(1)[0]
    server = RedisServer(
        services.root / f"redis-{port}",
        port,
        services.certificates.server("redis", account(None)),
        services.certificates.ca_file,
        SecretStore(services.root / f"redis-{port}-secrets"),
    )
    server.prepare()
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL)
    try:
        wait_until(server.is_ready, 20, "Redis answers")
        yield RunningRedis(server)
    finally:
        process.kill()
        process.wait()
