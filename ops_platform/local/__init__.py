"""The embedded stack: every part that the platform needs, for real, on one machine.

Only the command line and the tests use it; an installation brings its own parts. The demo product is in
``demo``.
"""

__all__ = ["servers", "stack"]
