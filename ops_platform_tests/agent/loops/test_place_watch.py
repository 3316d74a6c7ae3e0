"""What nobody could compare is told as not proved, and is compared again at every step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.agent.loops.place_watch import PlaceWatch
from ops_platform.agent.state import LOCK_SECONDS
from ops_platform.backup.repository import place_token
from ops_platform.backup.stanza import BackupContext
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform_tests.agent.metrics.scraping import PRODUCT, empty, scrape

CONTEXT = cast(BackupContext, None)
PLACE = ("backup_place_own", PRODUCT)


@pytest.mark.parametrize("error", [Unavailable("it is away"), ConfigurationError("denied: correct the key")])
def test_a_place_that_does_not_tell_is_not_proved(monkeypatch: pytest.MonkeyPatch, error: OpsError) -> None:
    known, asked, clock = empty(), list[bool](), 0.0
    answers: list[OpsError | None] = [error, error, None]
    observed: list[Any] = [None]

    def require_own(_ctx: BackupContext, *, is_in_use: bool, log: object) -> bool:
        asked.append(is_in_use)
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return True

    monkeypatch.setattr(place_token, "require_own", require_own)
    monkeypatch.setattr("time.monotonic", lambda: clock)
    watch = PlaceWatch(lambda: CONTEXT, known.backup.stanzas["product"], lambda: observed[0])
    watch.step()
    assert (asked, PLACE in scrape(known)) == ([], False), "without a set there is nothing to lose"
    observed[0] = SimpleNamespace(best=object())
    for _ in range(2):
        clock += 60
        with pytest.raises(type(error)):
            watch.step()
        assert scrape(known)[PLACE] == 0
    for seconds, looks in ((60, 3), (LOCK_SECONDS - 1, 3)):
        clock += seconds
        watch.step()
        assert (scrape(known)[PLACE], len(asked)) == (1, looks)
    assert asked == [False] * 3, "a backup goes on where nobody can tell; this is no backup"
