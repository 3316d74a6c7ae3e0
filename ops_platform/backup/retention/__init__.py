"""Retention of backup sets: the lifetime that schedules and policy give, and the cleanup that ends it."""

__all__ = ["cleanup", "set_lifetime"]
