"""What the data map says of the clusters of its databases, held against the servers that run them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from unittest.mock import Mock

import pytest

from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr import schema
from ops_platform.gdpr.connections import open_database, server_stanzas
from ops_platform.gdpr.connections.open_database import OpenDatabase
from ops_platform.gdpr.data_map.parts.database import Database
from ops_platform_tests.gdpr.catalogues import CATALOGUE, data_map

HOME = OpenDatabase(data_map(), Mock(), CATALOGUE, server="1 100")


def part(name: str, server: str, stanza: str | None) -> OpenDatabase:
    said = replace(data_map(), database=Database(name, f"{name.upper()}_URL", stanza))
    return OpenDatabase(said, Mock(), CATALOGUE, HOME, server)


@pytest.mark.parametrize(
    "others",
    [
        [part("billing", "1 100", "product"), part("crm", "2 100", "crm"), part("log", "2 100", "crm")],
        [part("billing", "2 100", None), part("crm", "3 100", None)],
        # Split off by promoting a standby: the system identifier is still the product's.
        [part("billing", "1 200", "billing")],
    ],
)
def test_what_the_map_says_truly(others: list[OpenDatabase]) -> None:
    server_stanzas.refuse_untrue([HOME, *others], "product")


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (
            [part("billing", "1 100", None)],
            "is in the product .* of it no stanza: correct databases.b",
        ),
        ([part("billing", "1 100", "billing")], "is in the product database's cluster, .* product,"),
        ([part("billing", "2 100", "product")], "is not in the product database's cluster"),
        ([part("billing", "1 200", "product")], "is not in the product database's cluster"),
        (
            [part("billing", "2 100", "billing"), part("crm", "2 100", "crm")],
            "crm is in .* billing's cluster, .* billing, .* stanza crm: correct .*crm.* or .*billing",
        ),
        ([part("billing", "2 100", None), part("crm", "2 100", "crm")], "whose stanza is not said"),
        (
            [part("billing", "2 100", "crm"), part("crm", "3 100", "crm")],
            "crm is not in .* billing's",
        ),
    ],
)
def test_what_the_map_says_untruly(others: list[OpenDatabase], said: str) -> None:
    with pytest.raises(CheckFailed, match=said):
        server_stanzas.refuse_untrue([HOME, *others], "product")


@pytest.mark.parametrize(
    ("servers", "refused", "warned"),
    [
        ({"product": "1 100", "billing": "2 100"}, "", 0),
        ({"product": "1 100"}, "", 1),
        ({}, "", 2),
        (
            {"product": "1 100", "billing": "3 100"},
            r"the database billing is in another server than the one that stanza billing backs up: correct "
            r"its URL or stanzas\.billing\.connection .* or databases\.billing\.stanza in the data map",
            0,
        ),
        # Split off by promoting a standby, which has the same system identifier.
        ({"product": "1 200"}, "the product database is in another server than .* stanza product", 0),
    ],
)
def test_a_database_is_in_the_server_that_its_stanza_backs_up(
    servers: dict[str, str], refused: str, warned: int
) -> None:
    said: list[str] = []
    databases = [HOME, part("billing", "2 100", "billing"), part("crm", "4 100", None)]
    with pytest.raises(CheckFailed, match=refused) if refused else nullcontext():
        server_stanzas.refuse_elsewhere(databases, "product", servers.get, said.append)
    assert len(said) == warned
    assert all("could not be asked" in line for line in said)


@pytest.mark.parametrize(
    ("server", "standby", "same"),
    [("1 100", False, True), ("1 200", False, False), ("1 200", True, True), ("2 100", False, False)],
)
def test_databases_of_one_name(
    server: str, standby: bool, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one server, or in a standby of it, they are one; not where both clusters were one before."""
    rows = [("1 100", False), (server, standby)]
    read = iter(
        {"server": one, "cluster": one.split()[0], "database": "shop", "standby": follows}
        for one, follows in rows
    )
    monkeypatch.setattr(open_database, "one_row", lambda connection, query: next(read))
    monkeypatch.setattr(schema, "read", lambda connection: CATALOGUE)
    of_shop = part("billing", "", None).data_map
    home = replace(HOME, data_map=replace(HOME.data_map, databases=(of_shop,)))
    if same:
        with pytest.raises(ConfigurationError, match="billing is the same as the product database"):
            open_database.read(home, {"billing": Mock()})
    else:
        assert [one.server for one in open_database.read(home, {"billing": Mock()})] == ["1 100", server]
