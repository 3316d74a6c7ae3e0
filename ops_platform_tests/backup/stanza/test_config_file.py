"""``backups.yaml``: the defaults are the promised ones, and every mistake is one line that names the key."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops_platform import files
from ops_platform.backup.stanza import model as stanzas
from ops_platform.backup.stanza.config_file import load, load_backups
from ops_platform.backup.stanza.model import BackupConfig, Compression
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings

DEFAULT = files.default_config_dir() / "backups.yaml"


def config_of(text: str, folder: Path) -> BackupConfig:
    path = folder / "backups.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[str], str]:
    def message(text: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            config_of(text, tmp_path)
        said = str(caught.value)
        assert "\n" not in said
        place = re.compile(re.escape(str(tmp_path / "backups.yaml")) + r"(:[0-9]+)?: ")
        assert place.match(said)
        return place.sub("", said, count=1)

    return message


def test_the_defaults_need_no_environment() -> None:
    config = load_backups(load_settings({}))
    assert list(config.stanzas) == ["product", "ops"]
    product = config.stanzas["product"]
    assert product.schedules == {
        "full": "0 2 * * 0",
        "differential": "0 2 * * 1-6",
        "incremental": "30 * * * *",
    }
    assert (product.retention_days, product.process_max, product.bundle) == (35, 4, True)
    assert product.compression == Compression("lz4", 6)
    assert product.encryption == "aes-256-cbc"
    assert (product.archive_timeout_seconds, product.rpo_target_seconds, product.rto_target_seconds) == (
        60,
        900,
        1800,
    )
    assert config.repository.bucket == "${PGBACKREST_REPO1_S3_BUCKET}"


@functools.cache
def default_document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    return document


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    document = copy.deepcopy(default_document())
    change(document)
    return yaml.safe_dump(document)


def product(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["stanzas"]["product"]
    return found


MISTAKES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown key": (
        lambda d: product(d).update(retention=3),
        "stanzas.product.retention: unknown key; remove it or correct its spelling",
    ),
    "unknown section": (lambda d: d.update(more=1), "more: unknown key; remove it or correct its spelling"),
    "unknown schedule": (
        lambda d: d["defaults"]["schedules"].update(monthly="0 0 1 * *"),
        "defaults.schedules.monthly: unknown key; remove it or correct its spelling",
    ),
    "missing key": (lambda d: d["defaults"].pop("bundle"), "defaults.bundle: missing; add it"),
    "missing connection": (
        lambda d: product(d).pop("connection"),
        "stanzas.product.connection: missing; add it",
    ),
    "missing section": (lambda d: d.pop("repository"), "repository: missing; add it"),
    "text for a number": (
        lambda d: d["defaults"].update(retention_days="35"),
        "defaults.retention_days: must be a whole number, not '35'; correct it",
    ),
    "number for a boolean": (
        lambda d: product(d).update(bundle=1),
        "stanzas.product.bundle: must be true or false, not 1; correct it",
    ),
    "number for text": (
        lambda d: product(d).update(data_path=7),
        "stanzas.product.data_path: must be text, not 7; correct it",
    ),
    "text for a mapping": (
        lambda d: d["stanzas"].update(product="x"),
        "stanzas.product: must be a mapping of keys, not 'x'; correct it",
    ),
    "zero": (
        lambda d: d["defaults"].update(process_max=0),
        "defaults.process_max: 0 is too small; give a number greater than 0",
    ),
    "zero in a stanza": (
        lambda d: product(d).update(rpo_target_seconds=0),
        "stanzas.product.rpo_target_seconds: 0 is too small; give a number greater than 0",
    ),
    "too many": (
        lambda d: product(d).update(process_max=1000),
        "stanzas.product.process_max: 1000 is too large; give at most 999",
    ),
    "unknown codec": (
        lambda d: d["defaults"]["compression"].update(type="zip"),
        "defaults.compression.type: 'zip' is not known; use 'none', 'lz4', 'zst', 'gz' or 'bz2'",
    ),
    "level of another codec": (
        lambda d: product(d).update(compression={"type": "gz", "level": 12}),
        "stanzas.product.compression: gz has no level 12; its levels are -1 to 9",
    ),
    "bad cron": (
        lambda d: product(d).update(schedules={"full": "0 25 * * *"}),
        "stanzas.product.schedules.full: bad hour; correct '0 25 * * *'",
    ),
    "colliding": (
        lambda d: product(d).update(schedules={"differential": "0 2 * * *"}),
        "stanzas.product.schedules: full (0 2 * * 0) and differential (0 2 * * *) are due in the same "
        "minute, for example on 07 January 2001; move one of them",
    ),
    "bad name": (
        lambda d: d["stanzas"].update({"Prod uct": product(d)}),
        "stanzas: 'Prod uct' cannot be a stanza's name",
    ),
    "reserved name": (
        lambda d: d["stanzas"].update({"global": product(d)}),
        "stanzas: 'global' cannot be",
    ),
    "no stanza": (lambda d: d["stanzas"].clear(), "stanzas: is empty; declare at least one stanza"),
    "line break": (
        lambda d: d["repository"].update(path="/a\nrepo1-s3-key=x"),
        "repository.path: must be one line of text; remove line breaks and control characters",
    ),
    "relative path": (
        lambda d: d["repository"].update(path="backups"),
        "repository.path: must begin with a slash",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(refused: Callable[[str], str], mistake: str) -> None:
    change, said = MISTAKES[mistake]
    assert refused(changed(change)).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "a is there twice: remove one"),
        ("a: [1\n", "is not YAML"),
        ("", "holds 0 documents: it must hold one"),
        ("- 1\n", "the file: must be a mapping of keys"),
        ("a: 1\n---\na: 2\n", "holds 2 documents: it must hold one"),
        ("a: !!python/object/apply:os.getcwd []\n", "!!python/object/apply:os.getcwd is not read"),
        ("a: !secret b\n", "the tag !secret is not read here: remove it"),
        ("a: &a {b: 1}\nc: {<<: *a}\n", "keys must be plain words"),
        ("? [1, 2]\n: 3\n", "keys must be plain words"),
    ],
)
def test_what_is_no_configuration(refused: Callable[[str], str], text: str, said: str) -> None:
    assert said in refused(text)


LINES = """\
repository:
  bucket: backups
  path: /pgbackrest
defaults: &defaults
  schedules:
    full: "0 2 * * 0"
    differential: off
    incremental: "30 * * * *"
  retention_days: 35
  compression: {type: lz4, level: 6}
  process_max: 4
  bundle: true
  encryption: none
  archive_timeout_seconds: 60
  rpo_target_seconds: 900
  rto_target_seconds: 1800
  production_size_bytes: 107_374_182_400
stanzas:
  product:
    connection: postgresql://db/product
    data_path: /data
    socket_path: /run
    port: 5432
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("    port: 5432", "    port: 5432\n    retention: 3", 24, "stanzas.product.retention: unknown key"),
        ("  bundle: true\n", "", 4, "defaults.bundle: missing"),
        ("  process_max: 4", "  process_max: 0", 11, "defaults.process_max: 0 is too small"),
        ("    port: 5432", "    port: 5432\n    process_max: 0", 24, "stanzas.product.process_max: 0 is"),
        ("    port: 5432", "    port: [5432]", 23, "stanzas.product.port: must be"),
        ("  rpo_target_seconds: 900", "  rpo_target_seconds: 0.5", 15, "must be a whole number, not 0.5;"),
        ("level: 6", "level: 60", 10, "defaults.compression: lz4 has no level 60"),
        ("  path: /pgbackrest", "  path: pgbackrest", 3, "repository.path: must begin with a slash"),
        ("  path: /pgbackrest", "  path: /a\n  path: /b", 4, "path is there twice"),
        ("  path: /pgbackrest", "  path: !!binary YQ==", 3, "!!binary is not read"),
        ("  product:", "  all:", 18, "stanzas: 'all' cannot be a stanza's name"),
        (
            "    port: 5432",
            "    port: 5432\n    schedules:\n      differential: 0 2 * * *",
            24,
            "stanzas.product.schedules: full (0 2 * * 0) and differential",
        ),
    ],
)
def test_a_mistake_names_its_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in LINES
    with pytest.raises(ConfigurationError) as caught:
        config_of(LINES.replace(old, new), tmp_path)
    assert f"{tmp_path / 'backups.yaml'}:{line}: " in str(caught.value)
    assert says in str(caught.value)


def test_stanzas_whose_schedules_would_share_a_name_are_refused(tmp_path: Path) -> None:
    stanza = LINES[LINES.index("  product:") :].removeprefix("  product:")
    both = LINES.replace("  product:", "  my-shop:") + "  my_shop:" + stanza
    with pytest.raises(ConfigurationError, match="'my-shop' and 'my_shop' differ by - and _ only"):
        config_of(both, tmp_path)


def test_what_yaml_offers_is_read(tmp_path: Path) -> None:
    assert config_of(LINES, tmp_path).stanzas["product"].production_size_bytes == 100 << 30
    shared = """\
  other:
    connection: &url postgresql://db/other
    data_path: /data/other
    socket_path: /run
    port: 5433
    compression: &gz {type: gz, level: 1}
  third:
    connection: *url
    data_path: /data/third
    socket_path: /run
    port: 5434
    compression: *gz
"""
    third = config_of(LINES + shared, tmp_path).stanzas["third"]
    assert (third.connection, third.compression) == ("postgresql://db/other", Compression("gz", 1))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read .*create it or set OPS_CONFIG_DIR"):
        load(tmp_path / "none.yaml")


def test_a_stanza_overrides_what_it_mentions_only(tmp_path: Path) -> None:
    text = changed(lambda d: product(d).update(schedules={"incremental": False}, compression={"type": "zst"}))
    found = config_of(text, tmp_path).stanzas["product"]
    assert found.schedules == {"full": "0 2 * * 0", "differential": "0 2 * * 1-6", "incremental": None}
    assert found.compression == Compression("zst", None)
    assert found.retention_days == 35


@pytest.mark.parametrize("off", ["off", '"off"', "false", "null"])
def test_a_kind_is_switched_off(tmp_path: Path, off: str) -> None:
    text = DEFAULT.read_text(encoding="utf-8").replace('"30 * * * *"', off)
    assert config_of(text, tmp_path).stanzas["product"].schedules["incremental"] is None


def test_variables_are_expanded_when_they_are_needed() -> None:
    empty = load_settings({"OPS_STATE_DIR": "/nowhere"})
    found = load_backups(empty).stanzas["product"]
    with pytest.raises(
        ConfigurationError, match=r"stanzas.product.connection: environment variable OPS_PRODUCT_"
    ):
        found.database_url(empty)
    given = load_settings({"OPS_PRODUCT_PORT": "x", "OPS_DATABASE_URL": "postgresql://h/ops"})
    with pytest.raises(ConfigurationError, match=r"stanzas.product.port: 'x' is no port"):
        found.socket_port(given)


def test_a_stanza_is_chosen() -> None:
    config = load_backups(load_settings({}))
    assert stanzas.choose_stanza(config, "ops") == "ops"
    with pytest.raises(ConfigurationError, match="several stanzas: choose one of product, ops"):
        stanzas.choose_stanza(config, None)
    with pytest.raises(ConfigurationError, match="no stanza 'x': choose one of product, ops"):
        stanzas.choose_stanza(config, "x")
    with pytest.raises(ConfigurationError, match="unknown kind of backup 'x'"):
        stanzas.parse_kind("x")
    assert stanzas.parse_kind("diff") == "differential"


SECOND = """\
repositories:
  - name: primary
    bucket: ${PGBACKREST_REPO1_S3_BUCKET}
    path: /pgbackrest
  - name: offsite
    bucket: ${PGBACKREST_REPO2_S3_BUCKET}
    path: /pgbackrest
    retention_days: 90
    schedules: {full: "0 12 * * 0", differential: "0 12 * * 1-6", incremental: off}
"""


def with_repositories(text: str) -> str:
    """The default file with ``text`` in the place of its repository."""
    default = DEFAULT.read_text(encoding="utf-8")
    begin, end = default.index("repository:"), default.index("# Every stanza starts from these")
    return default[:begin] + text + default[end:]


def test_a_second_repository_has_each_stanza_again(tmp_path: Path) -> None:
    config = config_of(with_repositories(SECOND), tmp_path)
    assert list(config.stanzas) == ["product", "ops", "product@offsite", "ops@offsite"]
    assert list(config.clusters) == ["product", "ops"]
    first, second = config.stanzas["product"], config.stanzas["product@offsite"]
    assert (first.cluster, second.cluster) == ("product", "product")
    assert (first.retention_days, second.retention_days) == (35, 90)
    assert second.schedules == {"full": "0 12 * * 0", "differential": "0 12 * * 1-6", "incremental": None}
    assert [repository.name for repository in config.repositories] == ["primary", "offsite"]
    assert config.repository_of(second).bucket == "${PGBACKREST_REPO2_S3_BUCKET}"
    only = config.of_repository(config.repository_of(second))
    assert (list(only.stanzas), only.repositories) == (["product@offsite", "ops@offsite"], (only.repository,))


def test_a_list_of_one_is_the_one_repository(tmp_path: Path) -> None:
    config = config_of(with_repositories(SECOND.partition("  - name: offsite")[0]), tmp_path)
    plain = load(DEFAULT)
    assert list(config.stanzas) == list(plain.stanzas)
    assert config.repositories[0] == replace(plain.repository, source=str(tmp_path / "backups.yaml"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("repositories:", "repository: {bucket: b, path: /p}\nrepositories:"),
            "repositories: repos",
        ),
        (("name: offsite", "name: primary"), "repositories.1.name: 'primary' is there twice"),
        (("name: offsite", "name: Far"), "repositories.1.name: 'Far' cannot be a repository's name"),
        (("    schedules: {full", "    x: {full"), "repositories.1.x: unknown key"),
        (('"0 12 * * 0"', "off"), "repositories.1.schedules.full: is off"),
        (("incremental: off}", 'incremental: "30 * * * *"}'), "stanzas.product.schedules: incremental"),
        ((", incremental: off}", "}"), "repositories.1.schedules.incremental: missing"),
        (
            ("path: /pgbackrest\n  - name: o", "path: /p\n    retention_days: 7\n  - name: o"),
            "repositories.0",
        ),
        (("repositories:\n", "repositories: []\nx:\n"), "x: unknown key"),
    ],
)
def test_what_is_ambiguous_between_repositories_is_refused(
    refused: Callable[[str], str], change: tuple[str, str], message: str
) -> None:
    text = with_repositories(SECOND)
    assert change[0] in text
    assert refused(text.replace(*change, 1)).startswith(message)


def test_a_second_repository_without_schedules_is_refused(refused: Callable[[str], str]) -> None:
    text = SECOND.partition("    schedules:")[0]
    assert refused(with_repositories(text)).startswith("repositories.1: schedules: missing; add when")


def test_a_third_repository_is_refused(refused: Callable[[str], str]) -> None:
    third = SECOND.partition("  - name: offsite")[2].replace("12 * *", "13 * *")
    assert refused(with_repositories(f"{SECOND}  - name: third{third}")).startswith("repositories.2: there")


def test_a_stanza_named_like_one_in_the_second_repository_is_refused(refused: Callable[[str], str]) -> None:
    text = with_repositories(SECOND).replace("  ops:\n", "  product_offsite:\n")
    assert refused(text).startswith("stanzas: 'product_offsite' and 'product@offsite' differ by -, _ and @")


@pytest.mark.parametrize(
    ("name", "repository", "chosen"),
    [
        ("product", None, "product"),
        ("product", "offsite", "product@offsite"),
        ("product", "2", "product@offsite"),
        ("product@offsite", None, "product@offsite"),
        ("product@offsite", "offsite", "product@offsite"),
        ("product", "1", "product"),
    ],
)
def test_a_stanza_is_chosen_in_a_repository(
    tmp_path: Path, name: str, repository: str | None, chosen: str
) -> None:
    config = config_of(with_repositories(SECOND), tmp_path)
    assert stanzas.choose_stanza(config, name, repository) == chosen


@pytest.mark.parametrize(
    ("name", "repository", "message"),
    [
        ("product@offsite", "primary", "product@offsite is not in the repository primary"),
        ("product", "third", "no repository 'third': choose one of primary, offsite"),
        ("product@third", None, "no stanza 'product@third'"),
        (None, "offsite", "there are several stanzas"),
    ],
)
def test_a_wrong_choice_names_what_there_is(
    tmp_path: Path, name: str | None, repository: str, message: str
) -> None:
    config = config_of(with_repositories(SECOND), tmp_path)
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        stanzas.choose_stanza(config, name, repository)
