"""Whose tombstones a restore replays, and whose backups keep them, also where the map is broken."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ops_platform import files
from ops_platform.dr.verification import replay_places
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.connections.database_urls import Living
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.gdpr.data_map.test_databases import document, parse

URLS = {
    "OPS_DATABASE_URL": "postgresql://db/ops",
    "OPS_PRODUCT_DATABASE_URL": "postgresql://db/product",
    "BILLING_DATABASE_URL": "postgresql://db/billing",
}
STANZAS = ("product", "ops", "billing")


def settings_of(directory: Path, data_map: str | None, urls: dict[str, str] | None = None) -> Settings:
    """Three stanzas: the product's, the platform's own, and that of a further database."""
    backups = yaml.safe_load((files.default_config_dir() / "backups.yaml").read_text(encoding="utf-8"))
    backups["stanzas"]["billing"] = {
        **backups["stanzas"]["ops"],
        "connection": "${BILLING_DATABASE_URL}",
        "data_path": "/pg/billing",
    }
    (directory / "backups.yaml").write_text(yaml.safe_dump(backups), encoding="utf-8")
    if data_map is not None:
        (directory / "data_map.yaml").write_text(data_map, encoding="utf-8")
    here = {"OPS_STATE_DIR": str(directory), "OPS_CONFIG_DIR": str(directory)}
    return load_settings({**here, **(URLS if urls is None else urls)})


def test_a_further_database_holds_subjects_of_the_product(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, yaml.safe_dump(document(stanza="billing")))
    told = {stanza: replay_places.subjects_stanza(settings, stanza) for stanza in STANZAS}
    assert told == {"product": "product", "ops": "ops", "billing": "product"}
    further = {stanza: replay_places.further_stanzas(settings, stanza) for stanza in STANZAS}
    assert further == {"product": {"billing"}, "ops": set(), "billing": set()}


DATABASES = {1: "postgres", 2: "product", 3: "billing"}


@pytest.mark.parametrize(
    ("living", "there", "found"),
    [
        (Living("billing"), DATABASES, ("billing", True)),
        # The URL's name is a pooler's, or the database was renamed since.
        (Living("invoices", 3, "7"), DATABASES, ("billing", True)),
        # Made since, or restored from a dump under its name.
        (Living("billing", 4, "7"), {1: "postgres", 2: "product", 3: "other"}, ("billing", False)),
        (Living("billing", 4, "7"), DATABASES, ("billing", True)),
        # By the OID alone no database of another cluster is known.
        (Living("billing", 2, "8"), DATABASES, ("billing", True)),
        (Living("billing"), {1: "postgres", 2: "product"}, ("billing", False)),
    ],
)
def test_the_name_of_a_database_in_the_restored_moment(
    tmp_path: Path, living: Living, there: dict[int, str], found: tuple[str, bool]
) -> None:
    [part] = parse(tmp_path, document()).databases
    assert replay_places.names_then([(part, living)], "7", there, "product") == [(part, *found)]


@pytest.mark.parametrize("living", [Living("billing_rw"), Living("invoices", 3, "8")])
def test_nobody_can_tell_which_database_it_was(tmp_path: Path, living: Living) -> None:
    [part] = parse(tmp_path, document()).databases
    with pytest.raises(CheckFailed, match="but billing, and by the URL of the data map's billing no"):
        replay_places.names_then([(part, living)], "7", DATABASES, "product")


def test_a_stanza_that_no_map_names_is_its_own(tmp_path: Path) -> None:
    home = {key: value for key, value in document().items() if key != "databases"}
    settings = settings_of(tmp_path, yaml.safe_dump(home))
    assert [replay_places.subjects_stanza(settings, stanza) for stanza in STANZAS] == [*STANZAS]
    assert replay_places.further_stanzas(settings, "product") == set()


@pytest.mark.parametrize("broken", ["subject: {kind: user", "", "[]", "databasses: {}"])
def test_what_a_broken_map_may_name_is_neither_restored_as_its_own_nor_forgotten(
    tmp_path: Path, broken: str
) -> None:
    settings = settings_of(tmp_path, broken)
    assert [replay_places.subjects_stanza(settings, stanza) for stanza in STANZAS[:2]] == [*STANZAS[:2]]
    with pytest.raises(ConfigurationError, match=r"data_map\.yaml"):
        replay_places.subjects_stanza(settings, "billing")
    with pytest.raises(ConfigurationError, match=r"data_map\.yaml"):
        replay_places.further_stanzas(settings, "product")
    assert replay_places.further_stanzas(settings, "ops") == set()


@pytest.mark.parametrize("urls", [URLS, {"BILLING_DATABASE_URL": URLS["BILLING_DATABASE_URL"]}])
def test_without_a_map_the_tombstones_of_the_product_tell(tmp_path: Path, urls: dict[str, str]) -> None:
    """Those of a further database cannot be replayed then, and where there are none, nobody was erased."""
    settings = settings_of(tmp_path, None, urls)
    told = [replay_places.subjects_stanza(settings, stanza) for stanza in STANZAS]
    assert told == ["product", "ops", "product"]
    with pytest.raises(ConfigurationError, match=r"data_map\.yaml"):
        replay_places.further_stanzas(settings, "product")
