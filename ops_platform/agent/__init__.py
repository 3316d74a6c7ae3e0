"""The one long-running helper: heartbeats, archive watch, sealer, alert receiver and ``/metrics``.

State lives in the databases and the repository, never here: the process may be killed and
started at any moment. The duties themselves are in ``backup`` and ``audit``; this package only
keeps them going and tells what they know.
"""
