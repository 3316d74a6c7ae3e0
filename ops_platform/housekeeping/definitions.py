"""The Definitions of housekeeping."""

import dagster as dg

from ops_platform.housekeeping.sensors import run_failures


def housekeeping_definitions() -> dg.Definitions:
    return dg.Definitions(sensors=[run_failures])
