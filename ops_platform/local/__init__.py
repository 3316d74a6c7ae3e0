"""The embedded stack: every part that the platform needs, for real, on one machine.

Imported by the command line and by tests only; a production installation brings its own parts.
"""
