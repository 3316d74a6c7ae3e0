"""SeaweedFS as the stack's S3: command line, identities, buckets."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable
from ops_platform.local.host import SecretStore, ServerCertificate, programs, write_private
from ops_platform.local.servers import bucket_lock
from ops_platform.settings import S3_ROLES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PORTS = ("s3", "s3-http", "s3-grpc", "s3-master", "s3-master-grpc", "s3-volume", "s3-volume-grpc",
         "s3-filer", "s3-filer-grpc", "s3-metrics")  # fmt: skip
REGION = "us-east-1"
SSE_KEY = "s3-sse-key"
JWT_KEY = "s3-jwt-key"
_JWT_KEYS = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
_PROBE = ".ops-platform/ready"
START_SECONDS = 90
DRILL = "drill"
"""The key of the bucket in which exercises delete a copy of the repository; not a role."""
DRILL_LOCK_DAYS = 1
STOP_SECONDS = 45
"""SeaweedFS takes up to 27 s to end after SIGTERM and keeps its ports until then."""

DEFAULT_BUCKETS = {
    "backup": "ops-backups",
    DRILL: "ops-backups-drill",
    "media": "ops-media",
    "exports": "ops-exports",
    "ledger": "ops-ledger",
    "logs": "ops-logs",
}
_READ_LOCK = ("GetObjectRetention", "GetBucketObjectLockConfiguration")
_ACTIONS = {
    "backup_reader": ("Read", "List", *_READ_LOCK),
    "backup_pruner": ("Read", "List", "Write", *_READ_LOCK),
    # A put under object lock needs more than Write.
    "ledger": (
        "Read",
        "Write",
        "List",
        "GetObjectRetention",
        "PutObjectRetention",
        "GetBucketObjectLockConfiguration",
    ),
}
_FULL = ("Read", "Write", "List", "Tagging")


@dataclass(frozen=True)
class ObjectStoreServer:
    """One SeaweedFS process. ``buckets`` maps S3 roles to buckets; the other backup roles share backup's.

    ``lock_days``: term of the object lock on each object of the repository.
    """

    data_dir: Path
    ports: Mapping[str, int]
    certificate: ServerCertificate
    ca_file: Path
    secrets: SecretStore
    log_file: Path
    buckets: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_BUCKETS))
    environment: Mapping[str, str] = field(default_factory=dict)
    lock_days: int = 49

    @property
    def endpoint_url(self) -> str:
        """URL of S3 on loopback."""
        return f"https://127.0.0.1:{self.ports['s3']}"

    def bucket(self, role: str) -> str:
        """Name the bucket of a role, or that of DRILL."""
        return self.buckets["backup" if role.startswith("backup") else role]

    def access_key_id(self, role: str) -> str:
        """Read the role's access key id; made the first time."""
        return self.secrets.access_key(f"s3-{role}-access-key-id")

    def secret_access_key(self, role: str) -> str:
        """Read the role's secret access key; made the first time."""
        return self.secrets.token(f"s3-{role}-secret-access-key", 30)

    def secret_file(self, role: str) -> Path:
        """Name the file of the role's secret access key, which exists then."""
        self.secret_access_key(role)
        return self.secrets.path(f"s3-{role}-secret-access-key")

    @property
    def identities_file(self) -> Path:
        """Configuration of the identities and their rights."""
        return self.secrets.path("s3-identities.json")

    @property
    def port_names(self) -> tuple[str, ...]:
        """Names of all its ports."""
        return PORTS

    # --- files ------------------------------------------------------------------------------------

    def prepare(self) -> bool:
        """Write directories, identities and the encryption key; True when the identities changed."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir.chmod(0o700)
        self.secrets.hexadecimal(SSE_KEY)
        return write_private(self.identities_file, json.dumps(self._identities(), indent=1))

    def _identities(self) -> dict[str, Any]:
        identities = [self._identity("admin", ["Admin"])]
        for role in S3_ROLES:
            buckets = [self.bucket(role), *([self.buckets[DRILL]] if role.startswith("backup") else [])]
            actions = _ACTIONS.get(role, _FULL)
            identities.append(
                self._identity(role, [f"{action}:{bucket}" for bucket in buckets for action in actions])
            )
        return {"identities": identities}

    def _identity(self, role: str, actions: Iterable[str]) -> dict[str, Any]:
        key = {"accessKey": self.access_key_id(role), "secretKey": self.secret_access_key(role)}
        return {"name": role, "credentials": [key], "actions": list(actions)}

    # --- the process ------------------------------------------------------------------------------

    def command(self) -> list[str]:
        """Make the command line. Raises ConfigurationError when the program is missing."""
        port = self.ports
        return [
            programs.find("weed"),
            "server",
            f"-dir={self.data_dir}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={port['s3-master']}",
            f"-master.port.grpc={port['s3-master-grpc']}",
            "-master.telemetry=false",
            # There is one master: with the default of 10 s a restart waits that long to elect itself.
            "-master.electionTimeout=1s",
            "-master.heartbeatInterval=200ms",
            # Each bucket begins with seven volumes, and as many fit as the free space holds at their full
            # size: with large ones a small disk has none left for the last bucket.
            "-master.volumeSizeLimitMB=128",
            # Unlimited: when volumes run out every put answers 500 and pgBackRest retries for minutes.
            "-volume.max=0",
            "-volume.preStopSeconds=1",
            f"-volume.port={port['s3-volume']}",
            f"-volume.port.grpc={port['s3-volume-grpc']}",
            "-filer",
            f"-filer.port={port['s3-filer']}",
            f"-filer.port.grpc={port['s3-filer-grpc']}",
            "-s3",
            f"-s3.port={port['s3-http']}",
            f"-s3.port.https={port['s3']}",
            f"-s3.port.grpc={port['s3-grpc']}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.cert.file={self.certificate.certificate}",
            f"-s3.key.file={self.certificate.key}",
            f"-s3.config={self.identities_file}",
            f"-metricsPort={port['s3-metrics']}",
            "-metricsIp=127.0.0.1",
        ]

    def process_environment(self) -> dict[str, str]:
        """Make the environment of the process, with its keys."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.data_dir),
            "LANG": "C.UTF-8",
            # Without a key every put with server-side encryption gets InternalError.
            "WEED_S3_SSE_KEY": self.secrets.hexadecimal(SSE_KEY),
            # Without these anybody on the machine reads and writes past S3, over filer and volume ports.
            **{f"WEED_JWT_{name}_KEY": self.secrets.hexadecimal(JWT_KEY) for name in _JWT_KEYS},
            **self.environment,
        }

    def start(self) -> subprocess.Popen[bytes]:
        """Start it as a child of this process and wait until S3 answers. The caller ends the process.

        Raises Unavailable.
        """
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.process_environment(),
                start_new_session=True,
                cwd=self.data_dir,
            )

        def up() -> bool:
            if process.poll() is not None:
                raise Unavailable(f"SeaweedFS ended with code {process.returncode}: see {self.log_file}")
            return self.is_ready()

        wait_until(up, START_SECONDS, "SeaweedFS answers", hint=f"see {self.log_file}")
        return process

    def is_ready(self) -> bool:
        """Tell whether S3 answers over TLS and reads an object, which needs master, filer and volumes."""
        import httpx  # here and below: both take long to load, and most commands ask no S3
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            with httpx.Client(verify=context, timeout=3, trust_env=False) as client:
                if client.get(f"{self.endpoint_url}/status").status_code != 200:
                    return False
            self.client("admin").get_object(Bucket=self.bucket("logs"), Key=_PROBE)["Body"].read()
        except ClientError as error:
            # Before the first setup neither exists.
            return error.response.get("Error", {}).get("Code") in ("NoSuchBucket", "NoSuchKey")
        except (httpx.HTTPError, BotoCoreError, OSError):
            return False
        return True

    # --- buckets ----------------------------------------------------------------------------------

    def client(self, role: str) -> S3Client:
        """Make a boto3 client with the role's identity; only the stack uses ``admin``, to create buckets."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.access_key_id(role),
            aws_secret_access_key=self.secret_access_key(role),
            verify=str(self.ca_file),
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=3,
                read_timeout=10,
                retries={"total_max_attempts": 1, "mode": "standard"},
            ),
        )

    def create_buckets(self) -> list[str]:
        """Create the missing buckets, encrypted; lock the repository's, also one that exists already.

        Return the names of those created.
        """
        admin = self.client("admin")
        existing = {bucket["Name"] for bucket in admin.list_buckets()["Buckets"]}
        created = []
        for role, bucket in self.buckets.items():
            if bucket not in existing:
                locked = role in ("ledger", "backup", DRILL)
                admin.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=locked)
                created.append(bucket)
            if role in ("backup", DRILL):
                bucket_lock.lock(admin, bucket, self.lock_days if role == "backup" else DRILL_LOCK_DAYS)
            if role == "media":
                # As a product's bucket would be: an erasure must reach every version.
                admin.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            admin.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={
                    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
                },
            )
            if role == "logs" and bucket in created:
                admin.put_object(Bucket=bucket, Key=_PROBE, Body=b"ready")
        return created

    def settings_environment(self) -> dict[str, str]:
        """Make the variables of ``ops_platform.settings`` for this store and all its identities."""
        values = self.endpoint_environment()
        for role in S3_ROLES:
            values |= self.identity_environment(role)
        return values

    def endpoint_environment(self) -> dict[str, str]:
        """Make the variables of the store without any identity."""
        return {
            "OPS_S3_ENDPOINT_URL": self.endpoint_url,
            "OPS_S3_REGION": REGION,
            "OPS_S3_URI_STYLE": "path",
            "PGBACKREST_REPO1_S3_BUCKET": self.bucket("backup"),
            "OPS_S3_DRILL_BUCKET": self.buckets[DRILL],
        }

    def identity_environment(self, role: str) -> dict[str, str]:
        """Make the variables of one role's identity."""
        prefix = f"OPS_S3_{role.upper()}"
        return {
            f"{prefix}_BUCKET": self.bucket(role),
            f"{prefix}_ACCESS_KEY_ID": self.access_key_id(role),
            f"{prefix}_SECRET_ACCESS_KEY_FILE": str(self.secret_file(role)),
        }
