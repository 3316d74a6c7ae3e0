"""Assets of backups: each stanza's sets by kind, and its WAL archive.

They are external assets: jobs report the sets in the repository; nothing here computes.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from ops_platform.backup.stanza import KINDS, BackupConfig
from ops_platform.backup.taking import BackupReport
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.stanza_jobs import key_parts

GROUP = "backup"

_DESCRIPTIONS = {
    "full": "Full backup sets of stanza `{0}` in the repository. Each event is one set.",
    "differential": "Differential sets of stanza `{0}`: what changed since the last full.",
    "incremental": "Incremental sets of stanza `{0}`: what changed since the last set of any kind.",
    "wal": "The WAL archive of stanza `{0}`; its checks say whether it is contiguous and how old its end is.",
}


def set_key(stanza: str, kind: str) -> dg.AssetKey:
    """Make the asset key of a stanza's sets of one kind."""
    return dg.AssetKey(["backup", *key_parts(stanza), kind])


def wal_key(stanza: str) -> dg.AssetKey:
    """Make the asset key of a stanza's WAL archive."""
    return dg.AssetKey(["backup", *key_parts(stanza), "wal"])


def cluster_key(stanza: str) -> dg.AssetKey:
    """Make the asset key of the PostgreSQL cluster that a stanza holds; its repositories share it."""
    return dg.AssetKey(["cluster", key_parts(stanza)[0]])


def backup_assets(config: BackupConfig) -> Sequence[dg.AssetSpec]:
    """Specify the assets of every stanza, and the clusters that they are taken from."""
    specs = [_cluster(name) for name in config.clusters]
    for stanza in config.stanzas:
        specs.append(_spec(wal_key(stanza), "wal", stanza, deps=[cluster_key(stanza)]))
        for kind in KINDS:
            deps = [cluster_key(stanza) if kind == "full" else set_key(stanza, "full")]
            specs.append(_spec(set_key(stanza, kind), kind, stanza, deps=deps))
    return specs


def _cluster(name: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        cluster_key(name),
        group_name=GROUP,
        tags=duty_tag(GROUP),
        owners=owners(GROUP),
        kinds={"postgres"},
        description=f"The PostgreSQL cluster of stanza `{name}`, which serves its applications.",
    )


def _spec(key: dg.AssetKey, kind: str, stanza: str, deps: Sequence[dg.AssetKey]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=deps,
        group_name=GROUP,
        tags=duty_tag(GROUP),
        owners=owners(GROUP),
        kinds={"postgres", "s3"},
        description=_DESCRIPTIONS[kind].format(stanza),
    )


def materialization(report: BackupReport) -> dg.AssetMaterialization:
    """Make the asset event of one recorded set; its times are the set's own, not the run's."""
    backup = report.backup_set
    metadata: dict[str, dg.MetadataValue] = {
        "label": dg.MetadataValue.text(backup.label),
        "prior": dg.MetadataValue.text(backup.prior or "none"),
        "requested_kind": dg.MetadataValue.text(report.requested_kind),
        "actual_kind": dg.MetadataValue.text(backup.kind),
        "adopted": dg.MetadataValue.bool(report.adopted),
        "started_at": dg.MetadataValue.timestamp(backup.started_at),
        "completed_at": dg.MetadataValue.timestamp(backup.completed_at),
        "duration_seconds": dg.MetadataValue.float((backup.completed_at - backup.started_at).total_seconds()),
        "size_bytes": dg.MetadataValue.int(backup.size_bytes),
        "delta_bytes": dg.MetadataValue.int(backup.delta_bytes),
        "repository_bytes": dg.MetadataValue.int(backup.repo_size_bytes),
        "lsn_start": dg.MetadataValue.text(backup.lsn_start),
        "lsn_stop": dg.MetadataValue.text(backup.lsn_stop),
        "wal_start": dg.MetadataValue.text(backup.wal_start),
        "wal_stop": dg.MetadataValue.text(backup.wal_stop),
        "repository_uri": dg.MetadataValue.text(report.repository_uri),
    }
    if report.throughput_bytes_per_second is not None:
        metadata["throughput_mb_per_second"] = dg.MetadataValue.float(
            round(report.throughput_bytes_per_second / 1e6, 2)
        )
    return dg.AssetMaterialization(
        asset_key=set_key(report.stanza, backup.kind),
        description=f"{backup.kind} set {backup.label}" + (" (adopted)" if report.adopted else ""),
        metadata=metadata,
    )
