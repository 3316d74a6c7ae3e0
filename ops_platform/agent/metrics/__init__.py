"""The metrics that the agent exports, one module for each duty.

Each module holds the definitions of its metrics, the SQL that they are read with, the facts that it
keeps and the samples made of them: a new metric is written in one of them, then gets its alert rule
in ``dashboards``, its row in ``docs/metrics.md`` and its test. ``registry`` puts the duties together.
Not here: the loops that look at repositories, servers and Dagster (``agent.loops``), how long a fact stays
known (``agent.state``), the endpoint itself (``agent.http``), and the metrics of the HTTP API
(``api.metrics``).
"""

from ops_platform.agent.metrics.archiving import ArchivingState
from ops_platform.agent.metrics.audit import AuditMetrics, BucketState, LedgerState, VerificationState
from ops_platform.agent.metrics.backup import (
    BackupMetrics,
    KindReport,
    SetSummary,
    StanzaState,
    Targets,
    summarise_sets,
)
from ops_platform.agent.metrics.definition import Metric, Sample
from ops_platform.agent.metrics.dr import DrMetrics, ExerciseState
from ops_platform.agent.metrics.gdpr import GdprMetrics, RequestState
from ops_platform.agent.metrics.index import IndexState
from ops_platform.agent.metrics.registry import (
    METRICS,
    OpsDatabaseReader,
    SampleCollector,
    Source,
    begin_snapshot,
    read_in_one_snapshot,
)
from ops_platform.agent.metrics.retention import RetentionMetrics
from ops_platform.agent.metrics.slo import FigureState, ObjectiveState, SloMetrics
from ops_platform.agent.metrics.synthetic import SyntheticMetrics
from ops_platform.agent.metrics.system import Deliveries, LoopMetrics, SystemMetrics
from ops_platform.agent.metrics.upkeep import DutyMetrics, JobFailureMetrics
from ops_platform.agent.metrics.window import WindowState

__all__ = [
    "METRICS",
    "ArchivingState",
    "AuditMetrics",
    "BackupMetrics",
    "BucketState",
    "Deliveries",
    "DrMetrics",
    "DutyMetrics",
    "ExerciseState",
    "FigureState",
    "GdprMetrics",
    "IndexState",
    "JobFailureMetrics",
    "KindReport",
    "LedgerState",
    "LoopMetrics",
    "Metric",
    "ObjectiveState",
    "OpsDatabaseReader",
    "RequestState",
    "RetentionMetrics",
    "Sample",
    "SampleCollector",
    "SetSummary",
    "SloMetrics",
    "Source",
    "StanzaState",
    "SyntheticMetrics",
    "SystemMetrics",
    "Targets",
    "VerificationState",
    "WindowState",
    "begin_snapshot",
    "read_in_one_snapshot",
    "summarise_sets",
]
