"""Tests of the Dagster definitions of housekeeping."""
