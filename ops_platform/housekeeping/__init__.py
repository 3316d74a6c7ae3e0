"""Upkeep of the platform itself: retention of its own records, and the test that alerts arrive."""

__all__ = ["alert_delivery", "retention"]
