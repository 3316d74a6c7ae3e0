"""Counts of windows for indicators of every kind: events of counters, samples of gauges, slices of time.

Not here: how events of counters are counted (``counting.window``), and reading samples.
"""

__all__ = ["measure"]
