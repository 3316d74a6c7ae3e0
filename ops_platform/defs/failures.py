"""How whatever goes wrong in an op, asset, check, sensor or schedule is told to Dagster.

Dagster stores the text of an exception that leaves one, of its causes and of its context, for ever. So
nothing leaves but a ``dg.Failure`` that ``safe_errors`` worded.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ops_platform.clients import safe_errors
from ops_platform.errors import OpsError


@contextmanager
def told(*, allow_retries: bool = False) -> Iterator[None]:
    """Fail with one line that quotes no value, without a cause; what nobody foresaw brings its frames.

    Interruptions and Dagster's own signals (``Failure``, ``RetryRequested``) pass.
    """
    try:
        yield
    except (dg.Failure, dg.RetryRequested):
        raise
    except Exception as error:
        raise failure(error, allow_retries=allow_retries) from None


def failure(error: Exception, *, allow_retries: bool = False) -> dg.Failure:
    """Make the failure that tells of ``error``; raise it ``from None``."""
    metadata = {}
    if not isinstance(error, OpsError):
        metadata["frames"] = dg.MetadataValue.text(safe_errors.frames(error))
    return dg.Failure(description=safe_errors.describe(error), metadata=metadata, allow_retries=allow_retries)
