"""The steps of an erasure, one or a few that belong together in each module; ``base`` defines a step.

A step knows its name and its work. The order of the steps is not here, but in ``pipeline``.
"""

from ops_platform.gdpr.erasure.steps.base import (
    EndRequest,
    ErasureState,
    JointResults,
    RecordedErasure,
    Result,
    State,
    Step,
)
from ops_platform.gdpr.erasure.steps.completion import Certify, Finish
from ops_platform.gdpr.erasure.steps.destruction import (
    EraseCache,
    EraseObjects,
    EraseObjectsAndExports,
    EraseRows,
)
from ops_platform.gdpr.erasure.steps.notification import NotifyProcessors
from ops_platform.gdpr.erasure.steps.preflight import Preflight, refuse_uncovered
from ops_platform.gdpr.erasure.steps.safeguards import TakeInventory, WriteTombstone
from ops_platform.gdpr.erasure.steps.verification import Verify, VerifyAndAwaitLetters

__all__ = [
    "Certify",
    "EndRequest",
    "EraseCache",
    "EraseObjects",
    "EraseObjectsAndExports",
    "EraseRows",
    "ErasureState",
    "Finish",
    "JointResults",
    "NotifyProcessors",
    "Preflight",
    "RecordedErasure",
    "Result",
    "State",
    "Step",
    "TakeInventory",
    "Verify",
    "VerifyAndAwaitLetters",
    "WriteTombstone",
    "refuse_uncovered",
]
