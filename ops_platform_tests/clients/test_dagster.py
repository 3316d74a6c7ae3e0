"""Each GraphQL document is valid against the schema of the Dagster that is installed."""

import pytest
from graphql import GraphQLSchema, parse, validate

from ops_platform.agent.probes import dagster_health
from ops_platform.clients import dagster
from ops_platform_tests import dagster_ui

DOCUMENTS = {
    name: text
    for module in (dagster, dagster_health, dagster_ui)
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str) and "{" in text
}


def test_there_are_documents() -> None:
    assert {"_LAUNCH", "_REEXECUTE", "_TERMINATE", "_RUN", "_RUNS", "_EVENTS", "_DRY_RUN", "_QUERY"} <= set(
        DOCUMENTS
    )


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    # Takes 3 s to import: not in every process that collects.
    from dagster_graphql.schema import create_schema

    return create_schema().graphql_schema


@pytest.mark.processes
@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_the_document_fits_the_installed_schema(schema: GraphQLSchema, name: str) -> None:
    errors = validate(schema, parse(DOCUMENTS[name]))

    assert not errors, "\n".join(error.message for error in errors)
