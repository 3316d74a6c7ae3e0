"""What the status says to a person, by what is known and what is not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ops_platform.backup.monitoring.accounts import Accounts
from ops_platform.backup.monitoring.observation import Observation
from ops_platform.backup.monitoring.status import notes_on
from ops_platform.backup.monitoring.window import Window
from ops_platform_tests.backup.shapes import repository


@pytest.mark.parametrize(("lost", "told"), [((), True), (("20261101-000000F",), False), (None, False)])
def test_a_repository_without_sets_is_a_new_one_only_if_none_was_recorded(
    lost: tuple[str, ...] | None, told: bool
) -> None:
    empty = Observation(repository(), None, None, None)
    unknown = "the ops database is away" if lost is None else None
    notes = notes_on(Accounts(empty, Window(), timedelta(days=35), lost, None, unknown), set())
    assert any("there is no backup yet" in note for note in notes) == told
    assert any("is unknown: the ops database is away" in note for note in notes) == (lost is None)
