"""The sensor that asks for references: of each stanza whose catalogue changed, whatever the others do."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import dagster as dg
import pytest

from ops_platform.defs.dr.sensors import dr_catalogue_changes
from ops_platform.defs.resources import PlatformResource
from ops_platform.dr.reference import change_watch
from ops_platform.errors import Unavailable


class TwoStanzas(PlatformResource):
    """A platform whose stanzas are known by their names alone."""

    def stanzas(self) -> list[str]:
        return ["product", "ops"]

    def backup(self, stanza: str) -> Any:
        return stanza


def asked(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance, due: dict[str, str | Exception | None]
) -> dg.SensorExecutionData:
    def look(stanza: object, now: datetime) -> str | None:
        found = due[str(stanza)]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(change_watch, "due", look)
    context = dg.build_sensor_context(instance, resources={"platform": TwoStanzas()})
    return cast("dg.SensorExecutionData", dr_catalogue_changes.evaluate_tick(context))


def test_each_changed_stanza_gets_a_run_and_another_change_another_key(
    monkeypatch: pytest.MonkeyPatch, empty_instance: dg.DagsterInstance
) -> None:
    keys = []
    for change in ("a", "b"):
        tick = asked(monkeypatch, empty_instance, {"product": change, "ops": None})
        [request] = list(tick.run_requests or [])
        assert request.run_config == {"stanza": "product"}
        keys.append(request.run_key)
    assert len(set(keys)) == 2


def test_a_server_that_is_away_keeps_no_other_from_its_reference(
    monkeypatch: pytest.MonkeyPatch, empty_instance: dg.DagsterInstance
) -> None:
    away = Unavailable("cannot connect to PostgreSQL at db:5432/product")
    tick = asked(monkeypatch, empty_instance, {"product": away, "ops": "a"})
    [request] = list(tick.run_requests or [])
    assert request.run_config == {"stanza": "ops"}
    skipped = asked(monkeypatch, empty_instance, {"product": away, "ops": None})
    assert "cannot connect to PostgreSQL at db:5432/product" in str(skipped.skip_message)


def test_nothing_changed_is_said(monkeypatch: pytest.MonkeyPatch, empty_instance: dg.DagsterInstance) -> None:
    skipped = asked(monkeypatch, empty_instance, {"product": None, "ops": None})
    assert "no catalogue has changed" in str(skipped.skip_message)
