"""Failures of ops, assets, checks, sensors and schedules, as they are reported to Dagster.

Dagster stores the text of an exception that leaves one of them, of its causes and of its context, for ever.
So only a ``dg.Failure`` with a text by ``safe_errors`` may leave.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ops_platform.clients import safe_errors
from ops_platform.errors import OpsError


@contextmanager
def reported_failures(*, allow_retries: bool = False) -> Iterator[None]:
    """Turn an exception of the block into a ``dg.Failure`` of one line that quotes no value, without a cause.

    An unforeseen exception brings its frames along. Interruptions and Dagster's own signals (``Failure``,
    ``RetryRequested``) pass.
    """
    try:
        yield
    except BaseException as error:
        is_signal = isinstance(error, dg.Failure | dg.RetryRequested)
        if isinstance(error, Exception | BaseExceptionGroup) and not is_signal:
            raise failure(error, allow_retries=allow_retries) from None
        # Dagster stores what was being handled when an interruption or a signal came.
        error.__cause__ = error.__context__ = None
        raise


def failure(error: BaseException, *, allow_retries: bool = False) -> dg.Failure:
    """Make the failure that reports ``error``; raise it ``from None``."""
    metadata = {}
    if not isinstance(error, OpsError):
        metadata["frames"] = dg.MetadataValue.text(safe_errors.frames(error))
    return dg.Failure(description=safe_errors.describe(error), metadata=metadata, allow_retries=allow_retries)
