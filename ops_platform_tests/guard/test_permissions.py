"""Each mutation of the installed Dagster has its role, or is refused on purpose."""

from __future__ import annotations

import pytest

from ops_platform.guard.permissions import MUTATIONS, NEVER


@pytest.mark.processes
def test_every_mutation_that_dagster_has_is_decided_on() -> None:
    from dagster_graphql.schema.roots.mutation import GrapheneMutation
    from graphql.pyutils import snake_to_camel

    there = {snake_to_camel(name, upper=False) for name in GrapheneMutation._meta.fields}
    assert len(there) > 30
    assert set(MUTATIONS) | NEVER == there
    assert not set(MUTATIONS) & NEVER
