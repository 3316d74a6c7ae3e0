"""A budget that burns, from the broken product to the mail: nothing is posted to Alertmanager by hand.

The stack is the module's own: of one objective the alerts' windows and its period are a fifth as long,
with the same share of the budget for each. The tests are one story and run in this order.
"""

from __future__ import annotations

import mailbox
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

import httpx
import pytest
import yaml

from ops_platform.clients.alertmanager import Alertmanager
from ops_platform.clients.waiting import wait_until
from ops_platform.local.components import PORT_NAMES
from ops_platform.local.demo.activity import requests
from ops_platform.local.demo.failure_modes import FailureModes
from ops_platform.slo.objectives.alert_rules import FAST, SLOW
from ops_platform_tests.e2e.operator import ops_rows
from ops_platform_tests.running_stack import RunningStack

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

SERVICE, SLO = "api", "availability"
RUN_SECONDS = 240.0
CALM = 400
"""Requests, at four a second: until the Watchdog has come and more."""


def is_calm(seed: int) -> bool:
    """Whether the first minutes' requests are all well: among so few, one bad one would burn a budget."""
    modes = FailureModes()
    return not any(
        one.fails(modes)
        or not one.published(modes)
        or (one.route == "/posts" and one.slow_draw < modes.publishing_slow_ratio)
        or (one.route == "/media" and one.slow_draw < modes.transcoding_slow_ratio)
        for one in islice(requests(seed), CALM)
    )


@pytest.fixture(scope="module")
def own() -> Iterator[RunningStack]:
    running = RunningStack()
    try:
        running.environment()  # writes the configuration
        file = running.state_dir / "config" / "objectives" / "api-availability.yaml"
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        document["metadata"]["annotations"] = {"ops-platform/burn-window-scale": "0.2"}
        document["spec"]["timeWindow"][0]["duration"] = "6d"
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        # Without a past, so that minutes of errors weigh what hours of them would.
        chosen = {"OPS_DEMO_HISTORY_DAYS": "0", "OPS_TRAFFIC_SEED": str(next(filter(is_calm, count(1))))}
        done = running.run("up", extra=chosen)
        assert done.returncode == 0, done.stdout + done.stderr
        yield running
    finally:
        running.close()


def deliveries(own: RunningStack, alertname: str) -> list[dict[str, Any]]:
    return ops_rows(
        own,
        "SELECT receiver, status, severity FROM alert_deliveries"
        " WHERE alertname = %s AND service = %s AND slo = %s ORDER BY received_at",
        alertname,
        SERVICE,
        SLO,
    )


def delivered(own: RunningStack, alertname: str) -> set[tuple[str, str]]:
    return {(row["receiver"], row["status"]) for row in deliveries(own, alertname)}


def mails(own: RunningStack, pattern: str) -> bool:
    assert own.settings.mail_dir is not None
    box = mailbox.Maildir(own.settings.mail_dir, create=False)
    return any(re.search(pattern, str(message["Subject"])) for message in box)


def newest_fired(own: RunningStack) -> dict[tuple[str, str], bool]:
    """``alert_fired`` of every objective's newest figures, of all windows."""
    rows = ops_rows(
        own,
        "SELECT service_name, metric_name, bool_and(alert_fired) AS fired FROM ("
        " SELECT DISTINCT ON (service_name, metric_name, slo_window) service_name, metric_name, alert_fired"
        " FROM slo_metrics ORDER BY service_name, metric_name, slo_window, measured_at DESC) AS newest"
        " GROUP BY service_name, metric_name",
    )
    return {(row["service_name"], row["metric_name"]): row["fired"] for row in rows}


def alerted(own: RunningStack) -> set[tuple[str, str]]:
    """The objectives of which a burn alert was delivered."""
    rows = ops_rows(
        own,
        "SELECT DISTINCT service, slo FROM alert_deliveries WHERE alertname IN (%s, %s)",
        FAST,
        SLOW,
    )
    return {(row["service"], row["slo"]) for row in rows}


def set_modes(own: RunningStack, **modes: float) -> None:
    port = own.base + PORT_NAMES.index("traffic")
    httpx.post(f"http://127.0.0.1:{port}/control", json=modes, timeout=5).raise_for_status()


def repair_product(own: RunningStack) -> None:
    port = own.base + PORT_NAMES.index("traffic")
    httpx.delete(f"http://127.0.0.1:{port}/control", timeout=5).raise_for_status()


def test_the_pipe_is_up_and_nothing_burns(own: RunningStack) -> None:
    wait_until(
        lambda: ops_rows(own, "SELECT FROM alert_deliveries WHERE alertname = 'Watchdog' LIMIT 1"),
        180,
        "the Watchdog arrives",
        interval=1,
    )
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if datetime.now(UTC) - end < timedelta(minutes=11):
        end -= timedelta(hours=1)
    run = own.dagster.launch(
        "slo_windows", {}, {"dagster/partition": (end - timedelta(hours=1)).strftime("%Y-%m-%d-%H:%M")}
    )
    assert own.dagster.wait(run, RUN_SECONDS).status == "SUCCESS", own.dagster.failure(run)
    fired = newest_fired(own)
    assert len(fired) == 5
    assert set(fired.values()) == {False}
    assert (deliveries(own, FAST), deliveries(own, SLOW)) == ([], [])


def test_a_broken_product_pages_by_webhook_and_mail_and_the_ticket_is_silenced(own: RunningStack) -> None:
    set_modes(own, api_error_ratio=0.1)
    wait_until(lambda: ("on-call", "firing") in delivered(own, FAST), 180, "the page arrives", interval=1)
    wait_until(lambda: mails(own, rf"FIRING.*{FAST}"), 60, "and the mail", interval=1)
    client = Alertmanager(own.settings.require("alertmanager_url"))
    try:

        def silenced() -> bool:
            held = client.alerts([f'alertname="{SLOW}"', f'slo="{SLO}"'])
            return any(one.state == "suppressed" and one.inhibited_by for one in held)

        wait_until(silenced, 240, "the ticket is there, and inhibited", interval=1)
    finally:
        client.close()
    assert delivered(own, SLOW) == set()
    assert {row["severity"] for row in deliveries(own, FAST)} == {"critical"}


def test_the_figures_say_which_alerts_were_delivered(own: RunningStack) -> None:
    def fired() -> set[tuple[str, str]]:
        return {one for one, fired in newest_fired(own).items() if fired}

    # A broken API breaks publishing too.
    wait_until(lambda: (SERVICE, SLO) in fired() and fired() == alerted(own), 30, "alert_fired", interval=1)
    assert ("webhooks", "signatures") not in fired()


def test_a_repair_resolves_it(own: RunningStack) -> None:
    repair_product(own)
    # Everybody comes back at once: the good requests outweigh the bad ones within two minutes, not six.
    set_modes(own, traffic_factor=20.0)
    wait_until(lambda: ("on-call", "resolved") in delivered(own, FAST), 300, "the page's end", interval=1)
    wait_until(lambda: mails(own, rf"RESOLVED.*{FAST}"), 60, "and by mail", interval=1)
