"""However the theft ends, no copy of the repository stays current in the drill bucket."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.dr.exercise import knowledge, theft
from ops_platform.dr.plan import scenario
from ops_platform.dr.restore import scratch_cluster
from ops_platform.dr.stolen_key import attack, repository_copy
from ops_platform.errors import Unavailable
from ops_platform_tests.backup.site import silent


@pytest.mark.parametrize("fails", ["make", "carry_out", "judge"])
def test_the_copy_goes_whatever_fails(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def act(name: str) -> Any:
        told.append(name)
        if name == fails:
            raise Unavailable("away")
        if name == "clear":
            return 0
        return SimpleNamespace(originals=(), size_bytes=0, bucket="drill")

    monkeypatch.setattr(scratch_cluster, "scratch", lambda *_: nullcontext())
    monkeypatch.setattr(theft, "LIVE", SimpleNamespace(open_reader=lambda ctx, here: None))
    monkeypatch.setattr(knowledge, "settled", lambda reader: None)
    monkeypatch.setattr(scenario, "choose", lambda *_: None)
    for module, name in ((repository_copy, "make"), (attack, "carry_out"), (attack, "judge")):
        monkeypatch.setattr(module, name, lambda *_, name=name: act(name))
    monkeypatch.setattr(repository_copy, "clear_away", lambda ctx: act("clear"))
    ctx = SimpleNamespace(settings=None)
    request = SimpleNamespace(exercise_id="e", run_id="01234567-8")
    with pytest.raises(Unavailable):
        theft.perform(cast(Any, ctx), cast(Any, request), silent)
    steps = ["make", "carry_out", "judge"]
    assert told == ["clear", *steps[: steps.index(fails) + 1], "clear"]
