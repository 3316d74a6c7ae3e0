"""The object model of OpenSLO v1 as written: keys and types. Their meaning is in ``written_slo``."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_KEY = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(max_length=1050)]
Operator = Literal["lt", "lte", "gt", "gte"]


class Strict(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class Metadata(Strict):
    """Name, labels and annotations of an object."""

    name: Name
    displayName: str | None = None
    labels: dict[Annotated[str, Field(pattern=_KEY)], Any] = Field(default_factory=dict)
    annotations: dict[Annotated[str, Field(pattern=_KEY)], str] = Field(default_factory=dict)


class Source(Strict):
    """Where a metric is, and the query for it."""

    metricSourceRef: Name | None = None
    type: str | None = None
    spec: dict[str, Any]


class Metric(Strict):
    """One query."""

    metricSource: Source


class Ratio(Strict):
    """Good or bad events of all, or a ratio computed by the source."""

    counter: bool | None = None
    good: Metric | None = None
    bad: Metric | None = None
    total: Metric | None = None
    rawType: Literal["success", "failure"] | None = None
    raw: Metric | None = None


class SliSpec(Strict):
    """What is measured."""

    description: Text = ""
    ratioMetric: Ratio | None = None
    thresholdMetric: Metric | None = None


class InlineSli(Strict):
    """An SLI inside an SLO."""

    metadata: Metadata | None = None
    spec: SliSpec


class CalendarStart(Strict):
    """When a calendar's first period began."""

    startTime: str
    timeZone: str


class Window(Strict):
    """The period of a budget."""

    duration: str
    isRolling: bool | None = None
    calendar: CalendarStart | None = None


class Target(Strict):
    """One of an SLO's objectives."""

    displayName: str | None = None
    op: Operator | None = None
    value: Decimal | None = None
    target: Annotated[Decimal, Field(gt=0, lt=1)] | None = None
    targetPercent: Annotated[Decimal, Field(gt=0, lt=100)] | None = None
    timeSliceTarget: Annotated[Decimal, Field(gt=0, le=1)] | None = None
    timeSliceWindow: str | int | None = None
    indicator: InlineSli | None = None
    indicatorRef: Name | None = None
    compositeWeight: Annotated[Decimal, Field(gt=0)] | None = None


class BurnCondition(Strict):
    """When an alert fires."""

    kind: Literal["burnrate"] = "burnrate"
    op: Operator
    threshold: Decimal
    lookbackWindow: str
    alertAfter: str = "0m"


class ConditionSpec(Strict):
    """An alert's severity and condition."""

    description: Text = ""
    severity: str
    condition: BurnCondition


class ConditionEntry(Strict):
    """A condition in a policy: written there, or referred to."""

    conditionRef: Name | None = None
    kind: Literal["AlertCondition"] | None = None
    metadata: Metadata | None = None
    spec: ConditionSpec | None = None


class NotificationSpec(Strict):
    """Whom an alert is sent to."""

    description: Text = ""
    target: str


class NotificationEntry(Strict):
    """A notification target in a policy: written there, or referred to."""

    targetRef: Name | None = None
    kind: Literal["AlertNotificationTarget"] | None = None
    metadata: Metadata | None = None
    spec: NotificationSpec | None = None


class PolicySpec(Strict):
    """When and to whom alerts go."""

    description: Text = ""
    alertWhenNoData: bool = False
    alertWhenResolved: bool = False
    alertWhenBreaching: bool = False
    conditions: Annotated[list[ConditionEntry], Field(min_length=1, max_length=1)]
    notificationTargets: list[NotificationEntry]


class PolicyEntry(Strict):
    """A policy in an SLO: written there, or referred to."""

    alertPolicyRef: Name | None = None
    kind: Literal["AlertPolicy"] | None = None
    metadata: Metadata | None = None
    spec: PolicySpec | None = None


class SloSpec(Strict):
    """A promise."""

    description: Text = ""
    service: Name
    indicator: InlineSli | None = None
    indicatorRef: Name | None = None
    timeWindow: Annotated[list[Window], Field(min_length=1, max_length=1)] | None = None
    budgetingMethod: Literal["Occurrences", "Timeslices", "RatioTimeslices"]
    objectives: Annotated[list[Target], Field(min_length=1)]
    alertPolicies: list[PolicyEntry] | None = None


class DescribedSpec(Strict):
    """A description."""

    description: Text = ""


class DataSourceSpec(Strict):
    """A source of metrics."""

    description: Text = ""
    type: str
    connectionDetails: Any = None


class Slo(Strict):
    """A document of kind SLO."""

    apiVersion: Literal["openslo/v1"]
    kind: Literal["SLO"]
    metadata: Metadata
    spec: SloSpec


class Sli(Strict):
    """A document of kind SLI."""

    apiVersion: Literal["openslo/v1"]
    kind: Literal["SLI"]
    metadata: Metadata
    spec: SliSpec


class Service(Strict):
    """A document of kind Service."""

    apiVersion: Literal["openslo/v1"]
    kind: Literal["Service"]
    metadata: Metadata
    spec: DescribedSpec = Field(default_factory=DescribedSpec)


class DataSource(Strict):
    """A document of kind DataSource."""

    apiVersion: Literal["openslo/v1"]
    kind: Literal["DataSource"]
    metadata: Metadata
    spec: DataSourceSpec


class Policy(Strict):
    """A document of kind AlertPolicy."""

    apiVersion: Literal["openslo/v1"]
    kind: Literal["AlertPolicy"]
    metadata: Metadata
    spec: PolicySpec


class Condition(Strict):
    """A document of kind AlertCondition."""

    apiVersion: Literal["openslo/v1"]
    kind: Literal["AlertCondition"]
    metadata: Metadata
    spec: ConditionSpec


class Notification(Strict):
    """A document of kind AlertNotificationTarget."""

    apiVersion: Literal["openslo/v1"]
    kind: Literal["AlertNotificationTarget"]
    metadata: Metadata
    spec: NotificationSpec


AnyObject = Slo | Sli | Service | DataSource | Policy | Condition | Notification
KINDS: dict[str, type[AnyObject]] = {
    "SLO": Slo,
    "SLI": Sli,
    "Service": Service,
    "DataSource": DataSource,
    "AlertPolicy": Policy,
    "AlertCondition": Condition,
    "AlertNotificationTarget": Notification,
}
