"""The dashboard of backups and disaster recovery: what would be lost now, and how long it would take."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel, ValueMapping

from ops_platform.grafana import backups, exercises
from ops_platform.grafana.page import Page
from ops_platform.grafana.panels import About, graph, value
from ops_platform.grafana.stanza_queries import CHOSEN, age, known, of_its
from ops_platform.grafana.style import GREEN, RED, YELLOW, Query, Steps, names

UP = names({0: ("down", RED), 1: ("up", GREEN)})


def page() -> Page:
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
            About(
                "Data loss if the cluster died (RPO)",
                "Measured with heartbeats, against the promise of backups.yaml. It grows while the archive "
                "cannot be seen; a gap is not known, never zero.",
                "s",
                ("backups.md#rpocritical", "backups.md#rpounknown"),
            ),
            Query(known("backup_rpo_seconds"), "{{stanza}}"),
            Query(known("backup_rpo_target_seconds", how="min"), "{{stanza}} target"),
        ),
        graph(
            About(
                "WAL archive gap",
                "Segments missing between the oldest set and the newest archived segment, timeline by "
                "timeline.",
                "none",
                ("backups.md#walarchivegap",),
            ),
            Query(known("backup_wal_gap_segments"), "{{stanza}}"),
        ),
        graph(
            About(
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
            About(
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
    def one(
        title: str,
        text: str,
        expr: str,
        runbook: str,
        *,
        unit: str = "none",
        steps: Steps = (),
        mapped: list[ValueMapping] | None = None,
    ) -> Panel:
        about = About(title, text, unit, (f"backups.md#{runbook}",), 3, 5)
        return value(about, Query(expr, "{{stanza}}"), mapped=mapped, steps=steps)

    return [
        one(
            "Would be lost now",
            "Age of the newest heartbeat that the contiguous archive covers: the RPO as it is now.",
            known("backup_rpo_seconds"),
            "rpocritical",
            unit="s",
        ),
        one(
            "Of the promised RPO",
            "A third of what backups.yaml promises is a warning; all of it, and the promise is broken.",
            of_its("backup_rpo_target_seconds", known("backup_rpo_seconds")),
            "rpowarning",
            unit="percentunit",
            steps=((1 / 3, YELLOW), (1.0, RED)),
        ),
        one(
            "Database",
            "Whether the stanza's server answers the agent.",
            known("backup_database_up", how="min"),
            "backupdatabasedown",
            mapped=UP,
        ),
        one(
            "Repository",
            "Whether the repository could be listed.",
            known("backup_repository_up", how="min"),
            "repositoryunreachable",
            mapped=UP,
        ),
        one(
            "Archiving",
            "failed: the server's newest archive attempt did. It keeps the WAL, so its disk fills.",
            known("backup_archive_failing"),
            "walarchivefailing",
            mapped=names({0: ("works", GREEN), 1: ("failed", RED)}),
        ),
        one(
            "Missing WAL segments",
            "Segments missing from the archive since the oldest set: recovery cannot go past a gap.",
            known("backup_wal_gap_segments"),
            "walarchivegap",
            steps=((1.0, RED),),
        ),
        one(
            "Damaged sets",
            "Sets in which pgBackRest found page checksum errors: the cluster itself has damaged pages.",
            known("backup_damaged_sets"),
            "backupsetdamaged",
            steps=((1.0, RED),),
        ),
        one(
            "Encryption",
            "Whether the repository reports a cipher.",
            known("backup_repository_encrypted", how="min"),
            "repositorynotencrypted",
            mapped=names({0: ("none", RED), 1: ("on", GREEN)}),
        ),
    ]
