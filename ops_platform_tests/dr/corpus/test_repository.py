"""A copy of the repository is damaged: the verification that names it does not pass, the original stays."""

from __future__ import annotations

import pytest

from ops_platform_tests.dr.corpus.damage import DAMAGES
from ops_platform_tests.dr.corpus.lab import Lab, wrong

pytestmark = pytest.mark.full


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(lab: Lab, name: str) -> None:
    damage = DAMAGES[name]
    with lab.copied() as (copy, ctx), lab.source_untouched():
        damage.inflict(copy)
        before = copy.etags()
        outcome = lab.exercise(ctx)
        assert outcome.result == "failed"
        assert set(wrong(outcome)) - {"rpo_within_target", "rto_within_target"} == {damage.caught_by}, outcome
        assert copy.etags() == before


def test_an_undamaged_copy_passes(lab: Lab) -> None:
    with lab.copied() as (_, ctx), lab.source_untouched():
        outcome = lab.exercise(ctx)
        assert outcome.result == "success", outcome.reason
