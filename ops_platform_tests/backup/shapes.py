"""Repositories and archives of any shape, as pgBackRest's own JSON would describe them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from ops_platform import files
from ops_platform.backup.repository.backup_sets import Repository
from ops_platform.backup.repository.segment_folders import ArchivedSegment
from ops_platform.backup.repository.wal_archive import Archive
from ops_platform.backup.wal import Geometry, History, Segment, format_lsn
from ops_platform.clients.pgbackrest import StanzaInfo
from ops_platform.settings import Settings, load_settings

GEOMETRY = Geometry()
EPOCH = datetime(2026, 11, 1, tzinfo=UTC)
PGBACKREST = {"full": "F", "diff": "D", "incr": "I"}


def entry(
    number: int,
    kind: str = "full",
    *,
    prior: str | None = None,
    segments: tuple[int, int] = (3, 3),
    timeline: int = 1,
    completed_at: datetime | None = None,
    error: bool = False,
    database_id: int = 1,
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    """One element of ``backup`` in info; ``number`` makes its label."""
    own = f"{EPOCH + timedelta(minutes=number):%Y%m%d-%H%M%S}{PGBACKREST[kind]}"
    label = own if prior is None else f"{prior.split('_')[0]}_{own}"
    stop = completed_at or EPOCH + timedelta(minutes=number, seconds=30)
    first, last = segments
    made: dict[str, Any] = {
        "archive": {
            "start": GEOMETRY.name(Segment(timeline, first)),
            "stop": GEOMETRY.name(Segment(timeline, last)),
        },
        "database": {"id": database_id, "repo-key": 1},
        "error": error,
        "info": {"delta": 10, "size": 100, "repository": {"delta": 4, "size": 40}},
        "label": label,
        "lsn": {
            "start": format_lsn(GEOMETRY.start(first) + 40),
            "stop": format_lsn(GEOMETRY.start(last) + 400),
        },
        "prior": prior,
        "reference": None if prior is None else [prior],
        "timestamp": {"start": int(stop.timestamp()) - 20, "stop": int(stop.timestamp())},
        "type": kind,
    }
    if annotations:
        made["annotation"] = annotations
    return made


def info(backups: Sequence[dict[str, Any]], *, code: int = 0, databases: int = 1) -> dict[str, Any]:
    """What ``info`` says of a stanza with these sets."""
    return {
        "name": "product",
        "backup": list(backups),
        "cipher": "aes-256-cbc",
        "db": [
            {"id": n, "repo-key": 1, "system-id": 7000 + n, "version": "15"} for n in range(1, databases + 1)
        ],
        "status": {"code": code, "lock": {"backup": {"held": False}}, "message": "ok"},
    }


def repository(*backups: dict[str, Any], databases: int = 1) -> Repository:
    return Repository.parse("product", StanzaInfo.parse(info(backups, databases=databases)))


def archive(
    *numbers: int,
    timeline: int = 1,
    histories: dict[int, History] | None = None,
    more: Sequence[Segment] = (),
) -> Archive:
    """An archive of these segments of one timeline, and ``more``."""
    segments = [*(Segment(timeline, number) for number in numbers), *more]
    return Archive(
        GEOMETRY,
        tuple(ArchivedSegment(one, 1000, EPOCH + timedelta(minutes=one.number)) for one in segments),
        histories or {},
    )


def with_second_repository(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The contents of a backups.yaml with one repository, and another one besides: ``offsite``."""
    first = document["repository"]
    schedules = {"full": "0 12 * * 0", "differential": "0 12 * * 1-6", "incremental": "off"}
    second = {**first, "name": "offsite", "bucket": "${PGBACKREST_REPO2_S3_BUCKET}", "schedules": schedules}
    others = {key: value for key, value in document.items() if key != "repository"}
    return {"repositories": [{**first, "name": "primary"}, {**second, **changes}], **others}


def write_two_repositories(directory: Path, **changes: Any) -> None:
    """Write the default backups.yaml with a second repository into ``directory``."""
    (directory / "backups.yaml").write_text(_two_repositories(tuple(changes.items())), encoding="utf-8")


@functools.cache
def _two_repositories(changes: tuple[tuple[str, Any], ...]) -> str:
    default = yaml.safe_load((files.default_config_dir() / "backups.yaml").read_text(encoding="utf-8"))
    return yaml.safe_dump(with_second_repository(default, **dict(changes)), sort_keys=False)


ENVIRON = {
    "OPS_STATE_DIR": "/state",
    "OPS_S3_ENDPOINT_URL": "https://s3.example:9000",
    "OPS_S3_REGION": "eu-central-1",
    "OPS_S3_BACKUP_ACCESS_KEY_ID": "key",
    "OPS_S3_BACKUP_SECRET_ACCESS_KEY": "secret",
    "OPS_S3_BACKUP_READER_ACCESS_KEY_ID": "reader",
    "OPS_S3_BACKUP_READER_SECRET_ACCESS_KEY": "reader-secret",
    "PGBACKREST_REPO1_S3_BUCKET": "backups",
    "OPS_PGBACKREST_CIPHER_PASS": "pass",
    "OPS_CA_FILE": "/state/tls/ca.pem",
    "OPS_PRODUCT_DATA_DIR": "/pg/product",
    "OPS_PRODUCT_SOCKET_DIR": "/run/product",
    "OPS_PRODUCT_PORT": "5433",
    "OPS_OPS_DATA_DIR": "/pg/ops",
    "OPS_OPS_SOCKET_DIR": "/run/ops",
    "OPS_OPS_PORT": "5434",
}
SECOND = {
    "PGBACKREST_REPO2_S3_BUCKET": "far",
    "OPS_REPO2_S3_REGION": "eu-north-1",
    "OPS_REPO2_PGBACKREST_CIPHER_PASS": "pass-2",
    "OPS_REPO2_S3_BACKUP_ACCESS_KEY_ID": "key-2",
    "OPS_REPO2_S3_BACKUP_SECRET_ACCESS_KEY": "secret-2",
}


def two_repositories(directory: Path, **changes: str) -> Settings:
    """Settings of two stanzas in two repositories; a change to nothing unsets a variable."""
    write_two_repositories(directory, retention_days=90)
    own = {"OPS_STATE_DIR": str(directory), "OPS_CONFIG_DIR": str(directory)}
    values = {**ENVIRON, **own, **SECOND, **changes}
    return load_settings({name: value for name, value in values.items() if value})
