"""Settings: defaults, secrets from files, the stack's environment file, what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ops_platform
from ops_platform.errors import ConfigurationError
from ops_platform.settings import S3_ROLES, load_settings
from ops_platform.settings.host import SECRETS


def test_an_empty_environment_is_enough(tmp_path: Path) -> None:
    settings = load_settings({"OPS_STATE_DIR": str(tmp_path)})

    assert settings.database_url is None
    assert settings.agent.heartbeat_seconds == 10.0
    assert (settings.config_dir / "backups.yaml").is_file()
    assert set(settings.s3.identities) == set(S3_ROLES)


def test_a_missing_setting_is_named_with_what_to_do(tmp_path: Path) -> None:
    settings = load_settings({"OPS_STATE_DIR": str(tmp_path)})

    with pytest.raises(ConfigurationError, match=r"OPS_DATABASE_URL is not set: .*ops-platform up"):
        settings.require("database_url")
    with pytest.raises(ConfigurationError, match="OPS_S3_LEDGER_BUCKET"):
        settings.s3.identity("ledger")


def test_a_secret_comes_from_its_file_and_is_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush-hush\n", encoding="utf-8")
    settings = load_settings(
        {
            "OPS_STATE_DIR": str(tmp_path),
            "OPS_PGBACKREST_CIPHER_PASS_FILE": str(secret),
            "OPS_S3_BACKUP_SECRET_ACCESS_KEY": "quiet",
        }
    )

    assert settings.pgbackrest.cipher_pass is not None
    assert settings.pgbackrest.cipher_pass.get_secret_value() == "hush-hush"
    shown = repr(settings) + str(settings) + settings.model_dump_json()
    assert "hush-hush" not in shown
    assert "quiet" not in shown


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"OPS_REDIS_PASSWORD": "a", "OPS_REDIS_PASSWORD_FILE": "/etc/hostname"}, "both set"),
        ({"OPS_REDIS_PASSWORD_FILE": "/no/such/file"}, "OPS_REDIS_PASSWORD_FILE: cannot read /no/such/file"),
        ({"OPS_SMTP_PORT": "mail"}, "OPS_SMTP_PORT must be a number"),
        ({"OPS_SEAL_SECONDS": "1m"}, "OPS_SEAL_SECONDS must be a number"),
        (
            {"OPS_SMTP_PORT": "25.5"},
            "OPS_SMTP_PORT: input should be a valid integer, got a number with a fractional part, not 25.5",
        ),
        ({"OPS_SMTP_PORT": "nan"}, "OPS_SMTP_PORT: input should be a finite number, not nan"),
        (
            {"OPS_SMTP_SECURITY": "ssl"},
            "OPS_SMTP_SECURITY: input should be 'none', 'starttls' or 'tls', not 'ssl'",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(environ: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings({"OPS_STATE_DIR": str(tmp_path), **environ})

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_running_stack_supplies_defaults_only_when_nothing_is_exported(tmp_path: Path) -> None:
    (tmp_path / "environment").write_text(
        "# written by up\nOPS_DATABASE_URL=postgresql://stack/ops\n", encoding="utf-8"
    )

    beside = load_settings({"OPS_STATE_DIR": str(tmp_path)})
    own = load_settings({"OPS_STATE_DIR": str(tmp_path), "OPS_DATABASE_URL": "postgresql://mine/ops"})

    assert beside.database_url == "postgresql://stack/ops"
    assert own.database_url == "postgresql://mine/ops"


def test_whoever_names_a_product_database_means_it_in_every_role(tmp_path: Path) -> None:
    names = [f"OPS_PRODUCT_{role}DATABASE_URL" for role in ("", "OWNER_", "ERASER_")]
    lines = [f"{name}=postgresql://stack/product\n" for name in names]
    (tmp_path / "environment").write_text("".join(lines), encoding="utf-8")

    beside = load_settings({"OPS_STATE_DIR": str(tmp_path)})
    other = load_settings({"OPS_STATE_DIR": str(tmp_path), names[0]: "postgresql://mine/shop"})

    assert beside.product_eraser_database_url == "postgresql://stack/product"
    assert (other.product_owner_database_url, other.product_eraser_database_url) == (None, None)


@pytest.mark.parametrize("variable", ["PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE"])
def test_what_libpqs_variables_name_wins_over_a_stack_that_happens_to_run(
    variable: str, tmp_path: Path
) -> None:
    names = [f"OPS_PRODUCT_{role}DATABASE_URL" for role in ("", "OWNER_", "ERASER_")]
    lines = [f"{name}=postgresql://stack/product\n" for name in (*names, "OPS_DATABASE_URL")]
    (tmp_path / "environment").write_text("".join(lines), encoding="utf-8")

    beside = load_settings({"OPS_STATE_DIR": str(tmp_path), variable: "5432"})
    said = load_settings(
        {"OPS_STATE_DIR": str(tmp_path), variable: "5432", names[0]: "postgresql://mine/shop"}
    )

    assert (
        beside.product_database_url,
        beside.product_owner_database_url,
        beside.product_eraser_database_url,
    ) == (None, None, None)
    assert beside.database_url is not None
    # The stanzas of the stack keep their connections.
    assert beside.expand("${OPS_PRODUCT_DATABASE_URL}", "backups.yaml") == "postgresql://stack/product"
    with pytest.raises(
        ConfigurationError, match=f"OPS_PRODUCT_DATABASE_URL is not set, and {variable} names"
    ):
        beside.require("product_database_url")
    assert said.product_database_url == "postgresql://mine/shop"


def test_references_are_expanded_or_refused_by_place_and_name(tmp_path: Path) -> None:
    settings = load_settings({"OPS_STATE_DIR": str(tmp_path), "WHERE": "/data"})

    assert settings.expand("${WHERE}/pg", "backups.yaml: x") == "/data/pg"
    with pytest.raises(
        ConfigurationError, match=r"backups\.yaml: x: environment variable NOWHERE is not set"
    ):
        settings.expand("${NOWHERE}", "backups.yaml: x")


def test_pgbackrests_own_bucket_variable_names_the_backup_bucket(tmp_path: Path) -> None:
    settings = load_settings({"OPS_STATE_DIR": str(tmp_path), "PGBACKREST_REPO1_S3_BUCKET": "sets"})

    assert settings.s3.identity("backup").bucket == "sets"
    assert settings.s3.identity("backup_reader").bucket == "sets"


def test_a_host_may_lack_the_files_of_secrets_that_only_others_need(tmp_path: Path) -> None:
    missing = {"OPS_GDPR_SIGNING_KEY_FILE": "/nonexistent/key", "OPS_STATE_DIR": str(tmp_path)}
    assert load_settings({**missing, "OPS_DUTIES": "backup,slo"}).gdpr.signing_key is None
    for duties in ("", "gdpr", "backup,gdpr"):
        with pytest.raises(ConfigurationError, match="OPS_GDPR_SIGNING_KEY_FILE: cannot read /nonexistent"):
            load_settings({**missing, "OPS_DUTIES": duties})


def test_the_secrets_of_each_duty_are_listed() -> None:
    text = (Path(ops_platform.__file__).parent.parent / "docs" / "settings.md").read_text("utf-8")
    section = text.partition("## Duties of a host")[2].partition("\n## ")[0].partition("| secret |")[2]
    rows = re.findall(r"^\| `(OPS_\w+)` \| ([a-z, ]+) \|$", section, flags=re.MULTILINE)
    assert {name: tuple(duties.split(", ")) for name, duties in rows} == SECRETS


def test_each_variable_is_explained_and_no_other() -> None:
    package = Path(ops_platform.__file__).parent
    repository = package.parent
    written = [
        name
        for module in (package / "settings").glob("*.py")
        for name in re.findall(r'"((?:OPS|PGBACKREST)_[A-Z0-9_]+)"', module.read_text("utf-8"))
    ]
    read = {name for name in written if name != "OPS_"}
    for file in (repository / "dagster.yaml", repository / "workspace.yaml"):
        read |= set(re.findall(r"env: (OPS_[A-Z0-9_]+)", file.read_text("utf-8")))
    text = (repository / "docs" / "settings.md").read_text("utf-8")
    roles = {f"OPS_S3_{role.upper()}_BUCKET" for role in S3_ROLES}
    assert roles <= {f"OPS_S3_{role}_BUCKET" for role in re.findall(r"`([A-Z_]+)`", text)}
    explained = set(re.findall(r"`((?:OPS|PGBACKREST)_[A-Z0-9_]+)`", text))
    theirs = {"OPS_PRODUCT_DATA_DIR", "OPS_PRODUCT_SOCKET_DIR", "OPS_PRODUCT_PORT", "OPS_PORT_BASE"}
    assert explained - theirs == read - roles
