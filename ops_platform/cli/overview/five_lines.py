"""The five lines, or what to do where nothing is set up."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import click

from ops_platform.cli import output
from ops_platform.cli.overview.duty_lines import Line, Samples, duty_lines
from ops_platform.errors import OpsError
from ops_platform.settings import Settings, load_settings

TIMEOUT_SECONDS = 5.0
DUTIES = ("backup", "recovery", "objectives", "requests")
COLOURS = {"ok": "green", "WRONG": "red", "unknown": "yellow"}
NOTHING_HERE = """Nothing is set up here: there is no stack in {state}, and OPS_METRICS_URL is not set.

  ops-platform up        start the embedded stack with a demo product
  ops-platform --help    all commands

For a cluster of your own load the OPS_... variables of your services: docs/production.md says which."""


def show() -> None:
    """Print the state of the four duties; exit 1 unless all is well, 2 where there is nothing to ask."""
    settings = load_settings()
    if settings.metrics_url is None:
        click.echo(NOTHING_HERE.format(state=settings.state_dir), err=True)
        output.end(2)
    lines = [*_duties(settings.metrics_url), _alerts(settings)]
    for line in lines:
        verdict = click.style(f"{line.verdict:8}", fg=COLOURS[line.verdict])
        click.echo(f"{line.duty:11} {verdict} {line.text}")
    if any(line.verdict != "ok" for line in lines):
        output.end(1)


def _duties(url: str) -> list[Line]:
    from prometheus_client.parser import text_string_to_metric_families

    from ops_platform.clients.json_http import JsonService

    parts = urlsplit(url)
    try:
        with JsonService(
            "the agent", f"{parts.scheme}://{parts.netloc}", timeout_seconds=TIMEOUT_SECONDS
        ) as service:
            text = service.text(parts.path or "/metrics")
    except OpsError as error:
        return [
            Line(duty, "unknown", str(error) if duty == DUTIES[0] else "the agent tells nothing")
            for duty in DUTIES
        ]
    samples = [
        (sample.name, sample.labels, float(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    return duty_lines(Samples(samples), time.time())


def _alerts(settings: Settings) -> Line:
    from ops_platform.clients.alertmanager import Alertmanager

    if settings.alertmanager_url is None:
        return Line("alerts", "unknown", "OPS_ALERTMANAGER_URL is not set")
    asked = Alertmanager(settings.alertmanager_url, ca_file=settings.ca_file, timeout_seconds=TIMEOUT_SECONDS)
    try:
        held = asked.alerts()
    except OpsError as error:
        return Line("alerts", "unknown", str(error))
    finally:
        asked.close()
    names = sorted({one.labels["alertname"] for one in held if one.state == "active"})
    # It fires always: without it no alert would arrive.
    if "Watchdog" not in names:
        return Line(
            "alerts", "unknown", "the Watchdog does not arrive: Prometheus may not reach Alertmanager"
        )
    firing = [name for name in names if name != "Watchdog"]
    return Line("alerts", "WRONG" if firing else "ok", ", ".join(firing) or "none fires")
