"""The row of backups: each kind's newest set, its runs, size and duration."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from ops_platform.grafana.panels import Column, PanelSpec, current_table, graph
from ops_platform.grafana.stanza_queries import age, by_kind, limit_used, runs, success_share
from ops_platform.grafana.style import GREEN, RED, YELLOW, Query, value_mappings

KIND = "{{stanza}} {{kind}}"
LAST = "backup_last_success_timestamp_seconds"


def panels() -> list[Panel]:
    """Build the panels of the row."""
    return [
        current_table(
            PanelSpec(
                "Every kind",
                "The newest set of each kind as the repository has it, and how its runs ended in the time "
                "shown.",
                "none",
                ("backups.md#backupstale", "backups.md#backupfailed", "backups.md#backupmissing"),
                24,
                8,
            ),
            {"stanza": "Stanza", "kind": "Kind"},
            *_kinds(),
        ),
        graph(
            PanelSpec(
                "Age of the newest set against its limit",
                "Of each kind alone; the limit comes from its schedule. An incremental may grow older "
                "than its limit while a stronger kind is newer: see the share of the limit.",
                "s",
                ("backups.md#backupstale",),
            ),
            Query(age(LAST, "stanza, kind"), KIND),
            Query(by_kind("backup_freshness_limit_seconds", "min"), f"{KIND} limit"),
        ),
        graph(
            PanelSpec(
                "Share of the limit that is used",
                "As the alert BackupStale counts: a full counts as a differential, both as an incremental.",
                "percentunit",
                ("backups.md#backupstale",),
            ),
            Query(limit_used("full", "full"), "{{stanza}} full"),
            Query(limit_used("differential", "full|differential"), "{{stanza}} differential"),
            Query(limit_used("incremental", "full|differential|incremental"), "{{stanza}} incremental"),
            lines=((1.0, RED),),
        ),
        graph(
            PanelSpec(
                "Runs by how they ended",
                "Counted in the ops database, so that no restart loses one.",
                "none",
                ("backups.md#backupfailed",),
            ),
            Query(runs(), KIND + " {{status}}"),
            bars=True,
        ),
        graph(
            PanelSpec(
                "Running for",
                "The backup that runs now. While it runs, no other of the stanza is taken.",
                "s",
                ("backups.md#backuprunninglong",),
            ),
            Query(age("backup_running_since_timestamp_seconds", "stanza, kind"), KIND),
            lines=((12 * 3600.0, RED),),
        ),
        graph(
            PanelSpec(
                "Size of the cluster",
                "As each kind's newest backup saw it. A sudden drop means lost data: look before the old "
                "sets expire.",
                "bytes",
            ),
            Query(by_kind("backup_size_bytes"), KIND),
        ),
        graph(
            PanelSpec(
                "Duration of the newest backup",
                "A jump means a slower disk or network, or a larger cluster.",
                "ms",
                ("backups.md#backuprunninglong",),
            ),
            Query(by_kind("backup_duration_ms"), KIND),
        ),
    ]


def _kinds() -> list[Column]:
    return [
        Column("Age of the newest set", age(LAST, "stanza, kind"), "dtdurations"),
        Column("Limit", by_kind("backup_freshness_limit_seconds", "min"), "dtdurations"),
        Column("Sets", by_kind("backup_sets"), "none", 0),
        Column("Size", by_kind("backup_size_bytes"), "bytes"),
        Column("Duration", by_kind("backup_duration_ms"), "ms"),
        Column(
            "Runs that succeeded",
            success_share(),
            "percentunit",
            0,
            steps=((0.8, YELLOW), (1.0, GREEN)),
            start=RED,
        ),
        Column(
            "Newest run",
            by_kind("backup_last_run_failed"),
            "none",
            mappings=value_mappings({0: ("completed", GREEN), 1: ("failed", RED)}),
        ),
    ]
