"""The stack's second object store: there when backups.yaml has a second repository, with keys of its own."""

from __future__ import annotations

from pathlib import Path

from ops_platform import files
from ops_platform.backup.stanza import open_context, pgbackrest_conf
from ops_platform.local import components, environment
from ops_platform.local.components import Components
from ops_platform.local.host import Layout, account, ports
from ops_platform.local.start_order import services
from ops_platform.settings import BACKUP_ROLES, load_settings
from ops_platform_tests.backup.shapes import write_two_repositories


def build(state: Path, config_dir: Path) -> Components:
    numbers = ports.assign(components.port_names(config_dir), 20_000)
    built = components.build(Layout(state, account(None)), numbers, config_dir)
    built.secrets.prepare()
    return built


def test_two_repositories_have_two_stores(tmp_path: Path) -> None:
    write_two_repositories(tmp_path)
    built = build(tmp_path / "state", tmp_path)
    stores = [service for service in services(built, {}) if service.name.endswith("object-store")]
    assert [service.name for service in stores] == ["object-store", "second-object-store"]
    numbers = [number for service in stores for number in service.ports.values()]
    assert len(set(numbers)) == len(numbers)
    assert built.second_store is not None
    store, second = built.object_store, built.second_store
    assert store.data_dir != second.data_dir
    for role in BACKUP_ROLES:
        assert store.secret_access_key(role) != second.secret_access_key(role)

    chosen = {"OPS_CONFIG_DIR": str(tmp_path)}
    for values in (
        environment.operator(built, chosen),
        environment.agent(built, chosen),
        environment.dagster(built, chosen),
    ):
        for name, value in values.items():
            if name.endswith("_FILE") and not Path(value).exists():
                Path(value).write_text(name, encoding="utf-8")  # secrets that only a start makes
        context = open_context(load_settings(values), "product@offsite")
        both = (context, *context.in_other_repositories())
        places = {pgbackrest_conf.place_of(one.settings, one.config) for one in both}
        assert len(places) == 2
        identity = context.settings.s3.identity("backup")
        assert identity.access_key_id == second.access_key_id("backup")
        assert context.settings.s3_place("backup").endpoint_url == second.endpoint_url
        assert context.settings.s3.drill_bucket is not None
        # All that an archiving server needs is there.
        assert f"repo2-s3-endpoint={second.endpoint_url}" in str(context.configuration)


def test_one_repository_has_one(tmp_path: Path) -> None:
    config_dir = files.default_config_dir()
    assert components.port_names(config_dir) == components.PORT_NAMES
    built = build(tmp_path / "state", config_dir)
    assert built.second_store is None
    assert not [name for name in environment.operator(built, {}) if "REPO2" in name]
