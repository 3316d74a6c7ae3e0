"""Benchmarks: ratios side by side, measured in one run on this machine. ``make bench`` runs them."""
