"""What looks odd and is sound: none of it is refused, and all of it is in the restored copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from ops_platform_tests.backup.site import Site
from ops_platform_tests.dr.corpus.menagerie import ODDITIES, make_menagerie
from ops_platform_tests.dr.corpus.restored_copy import Copy, RestoredOnce, restore_once

pytestmark = pytest.mark.full


@dataclass
class Judged:
    """What the checks said of the restored menagerie, and its answers to the questions."""

    once: RestoredOnce
    wrong: dict[str, str] = field(default_factory=dict)
    answers: dict[str, object] = field(default_factory=dict)


@pytest.fixture(scope="module")
def judged(make_site: Callable[..., Site]) -> Judged:
    made = Judged(restore_once(make_menagerie(make_site)))

    def ask(copy: Copy) -> None:
        for name, oddity in ODDITIES.items():
            with copy.server.connect(oddity.database) as connection:
                connection.execute("SET search_path = public")
                row = connection.execute(oddity.asked.encode()).fetchone()
            assert row is not None
            (made.answers[name],) = row.values()

    made.wrong = made.once.judge(ask)
    return made


@pytest.mark.parametrize("name", ODDITIES)
def test_is_not_refused(judged: Judged, name: str) -> None:
    assert judged.answers[name] == ODDITIES[name].answer
    assert judged.wrong == {}
