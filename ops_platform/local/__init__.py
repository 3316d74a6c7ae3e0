"""The embedded stack: every server that the platform needs, for real, on one machine.

Only the command line and the tests use it; an installation brings its own servers. The demo product is in
``demo``.
"""

__all__ = ["demo", "servers", "stack"]
