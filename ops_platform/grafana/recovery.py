"""The dashboard of backups and disaster recovery: the loss if a cluster died now, and the time to recover."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel, ValueMapping

from ops_platform.grafana import backups, exercises
from ops_platform.grafana.page import Page
from ops_platform.grafana.panels import PanelSpec, current_value, graph
from ops_platform.grafana.stanza_queries import CHOSEN, age, by_stanza, lacking, share_of_target, share_used
from ops_platform.grafana.style import GREEN, RED, YELLOW, Query, Steps, value_mappings

_WINDOW_SLACK_SECONDS = 300.0
_READING_SLACK_SECONDS = 2 * 86400.0
"""From these on the alerts fire, too."""
UP = value_mappings({0: ("down", RED), 1: ("up", GREEN)})


def page() -> Page:
    """Lay out the dashboard."""
    return Page(
        uid="ops-recovery",
        title="Backups and disaster recovery",
        text="What would be lost if a cluster died now, whether backups are whole and recent, and what "
        "exercises proved.",
        since="now-24h",
        choices={"stanza": "label_values(backup_rpo_target_seconds, stanza)"},
        pages={
            "Runbooks: backups": "runbooks/backups.md",
            "Runbooks: exercises": "runbooks/exercises.md",
            "Disaster recovery": "runbooks/disaster-recovery.md",
            "Metrics": "metrics.md",
        },
        rows={
            "Now": _now(),
            "Recovery point": _recovery_point(),
            "Backups": backups.panels(),
            "Exercises": exercises.panels(),
        },
    )


def _recovery_point() -> list[Panel]:
    return [
        graph(
            PanelSpec(
                "Data loss if the cluster died (RPO)",
                "Measured with heartbeats, against the promise of backups.yaml. It grows while the archive "
                "cannot be seen; a gap is not known, never zero.",
                "s",
                ("backups.md#rpocritical", "backups.md#rpounknown"),
            ),
            Query(by_stanza("backup_rpo_seconds"), "{{stanza}}"),
            Query(by_stanza("backup_rpo_target_seconds", how="min"), "{{stanza}} target"),
        ),
        graph(
            PanelSpec(
                "WAL archive gap",
                "Segments missing between the oldest set and the newest archived segment, timeline by "
                "timeline.",
                "none",
                ("backups.md#walarchivegap",),
            ),
            Query(by_stanza("backup_wal_gap_segments"), "{{stanza}}"),
        ),
        graph(
            PanelSpec(
                "Failed archive attempts",
                "Per second, as PostgreSQL counted them.",
                "cps",
                ("backups.md#walarchivefailing",),
            ),
            Query(
                f"max by (stanza) (rate(backup_archive_failed_total{{{CHOSEN}}}[$__rate_interval]))",
                "{{stanza}}",
            ),
        ),
        graph(
            PanelSpec(
                "Age of the newest heartbeat",
                "Without heartbeats the recovery point cannot be measured and only grows.",
                "s",
                ("backups.md#backupheartbeatstopped",),
            ),
            Query(age("backup_heartbeat_timestamp_seconds"), "{{stanza}}"),
            lines=((60.0, RED),),
        ),
    ]


def _now() -> list[Panel]:
    def stanza_value(
        title: str,
        text: str,
        expr: str,
        runbook: str,
        *,
        unit: str = "none",
        steps: Steps = (),
        mappings: list[ValueMapping] | None = None,
    ) -> Panel:
        spec = PanelSpec(title, text, unit, (f"backups.md#{runbook}",), 3, 5)
        return current_value(spec, Query(expr, "{{stanza}}"), mappings=mappings, steps=steps)

    return [
        stanza_value(
            "Would be lost now",
            "Age of the newest heartbeat that the contiguous archive covers: the RPO as it is now.",
            by_stanza("backup_rpo_seconds"),
            "rpocritical",
            unit="s",
        ),
        stanza_value(
            "Of the promised RPO",
            "A third of what backups.yaml promises is a warning; all of it, and the promise is broken.",
            share_of_target("backup_rpo_target_seconds", by_stanza("backup_rpo_seconds")),
            "rpowarning",
            unit="percentunit",
            steps=((1 / 3, YELLOW), (1.0, RED)),
        ),
        stanza_value(
            "Database",
            "Whether the stanza's server answers the agent.",
            by_stanza("backup_database_up", how="min"),
            "backupdatabasedown",
            mappings=UP,
        ),
        stanza_value(
            "Repository",
            "Whether the repository could be listed.",
            by_stanza("backup_repository_up", how="min"),
            "repositoryunreachable",
            mappings=UP,
        ),
        stanza_value(
            "Archiving",
            "failed: the server's newest archive attempt did. It keeps the WAL, so its disk fills.",
            by_stanza("backup_archive_failing"),
            "walarchivefailing",
            mappings=value_mappings({0: ("works", GREEN), 1: ("failed", RED)}),
        ),
        stanza_value(
            "Missing WAL segments",
            "Segments missing from the archive since the oldest set: recovery cannot go past a gap.",
            by_stanza("backup_wal_gap_segments"),
            "walarchivegap",
            steps=((1.0, RED),),
        ),
        stanza_value(
            "Damaged sets",
            "Sets in which pgBackRest found page checksum errors: the cluster itself has damaged pages.",
            by_stanza("backup_damaged_sets"),
            "backupsetdamaged",
            steps=((1.0, RED),),
        ),
        stanza_value(
            "Encryption",
            "Whether the repository reports a cipher.",
            by_stanza("backup_repository_encrypted", how="min"),
            "repositorynotencrypted",
            mappings=value_mappings({0: ("none", RED), 1: ("on", GREEN)}),
        ),
        stanza_value(
            "Object lock",
            "Whether whoever steals the key of the backups could delete them.",
            by_stanza("backup_repository_locked", how="min"),
            "repositorynotlocked",
            mappings=value_mappings({0: ("none", RED), 1: ("on", GREEN)}),
        ),
        stanza_value(
            "Recoverable window",
            "How far back every moment can be restored, up to the newest that can.",
            by_stanza("backup_recoverable_seconds", how="min"),
            "backupwindowshort",
            unit="dtdurations",
        ),
        stanza_value(
            "Window falls short by",
            "What the recoverable window lacks of the promise, or of the stanza's age.",
            lacking("backup_recoverable_seconds", "backup_recoverable_expected_seconds"),
            "backupwindowshort",
            unit="dtdurations",
            steps=((_WINDOW_SLACK_SECONDS, RED),),
        ),
        stanza_value(
            "Sets without their files",
            "Sets that lack stored files or hold damaged ones, and that no newer whole full makes up for.",
            by_stanza("backup_incomplete_sets"),
            "backupfilesmissing",
            steps=((1.0, RED),),
        ),
        stanza_value(
            "Vanished sets",
            "Recorded sets that are not in the repository, and that no cleanup removed.",
            by_stanza("backup_lost_sets"),
            "backupsetslost",
            steps=((1.0, RED),),
        ),
        stanza_value(
            "Index",
            "lost: backup.info or archive.info cannot be read, nor its copy. Nothing can be restored then.",
            by_stanza("backup_index_lost"),
            "repositoryindexlost",
            mappings=value_mappings({0: ("readable", GREEN), 1: ("lost", RED)}),
        ),
        stanza_value(
            "What the server calls archived",
            "untrue: the server's settings lose WAL, the repository does not hold what was archived, or "
            "another cluster archives into it.",
            by_stanza("backup_archive_fault"),
            "walarchiveruntrue",
            mappings=value_mappings({0: ("is there", GREEN), 1: ("untrue", RED)}),
        ),
        stanza_value(
            "WAL disk used",
            "Of the disk of pg_wal; full, it stops the server. Unknown where the agent cannot see that disk.",
            share_used("backup_wal_disk_free_bytes", "backup_wal_disk_bytes"),
            "waldiskfilling",
            unit="percentunit",
            steps=((0.8, YELLOW), (0.9, RED)),
        ),
        stanza_value(
            "Damaged WAL segments",
            "Archived segments whose bytes are not those that were written: recovery ends there.",
            by_stanza("backup_damaged_segments"),
            "walsegmentdamaged",
            steps=((1.0, RED),),
        ),
        stanza_value(
            "Reading is late by",
            "Every stored byte is read against its checksum; two days late is an alert.",
            f"clamp_min({age('backup_verification_due_timestamp_seconds')}, 0)",
            "backupverificationoverdue",
            unit="dtdurations",
            steps=((1.0, YELLOW), (_READING_SLACK_SECONDS, RED)),
        ),
    ]
