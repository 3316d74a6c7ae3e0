"""Upkeep of the platform itself: retention of its own records, and the test that alerts arrive."""

from ops_platform.housekeeping.alert_delivery import DeliveryTest

__all__ = ["DeliveryTest", "retention"]
