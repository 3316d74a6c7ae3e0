"""``ops-platform gdpr erase``, with the ops database and on a database of which nothing else is known."""

from __future__ import annotations

import json
import os
import re
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from ops_platform.cli import cli
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.certificates import document as certificate
from ops_platform_tests.gdpr.erasure_scene import Scene

pytestmark = pytest.mark.services


def run(place: Scene, keys: str, *arguments: str) -> Result:
    environment = {name: value.get_secret_value() for name, value in place.settings.environ.items()}
    for name in os.environ:
        if name.startswith("OPS_"):
            environment.setdefault(name, "")
    asked = ["gdpr", "erase", "--subject-file", "-", *arguments]
    return CliRunner().invoke(cli, asked, input=keys, env=environment)


def test_each_gets_a_certificate_and_nobody_is_named(place: Scene) -> None:
    before = place.others()
    done = run(place, f"{place.who}\n{uuid4()}\n", "--json")
    assert done.exit_code == 1, done.exception
    first, second = json.loads(done.stdout)
    assert second == {"subject": 2, "found": False}
    assert str(place.who) not in done.stdout + done.stderr
    announced = re.findall("^about to change the (ops|product) database .+:[0-9]+/.+$", done.stderr, re.M)
    assert announced == ["product", "ops"]
    assert place.residue() == []
    assert (place.rows_of(), place.objects(place.who), place.keys(place.who)) == (0, 0, 0)
    assert place.others() == before
    text = place.ledger.get(f"certificates/{first['request_id']}.json")
    said = certificate.verify(text, certificate.public_keys(place.settings))
    assert said["certificate_id"] == first["certificate_id"]
    assert place.tombstones() == (1, 1)
    # A second time there is nobody.
    assert json.loads(run(place, str(place.who), "--json").stdout) == [{"subject": 1, "found": False}]
    assert place.ops_count("gdpr_certificates") == 1


def test_who_is_erased_is_told_though_a_later_key_is_wrong(place: Scene) -> None:
    done = run(place, f"{place.who}\nno-key\n", "--json")
    assert isinstance(done.exception, ConfigurationError | CheckFailed)
    [first] = json.loads(done.stdout)
    assert first["certificate_id"]
    assert place.ops_count("gdpr_certificates") == 1


def test_what_failed_goes_on_under_the_same_tombstone(place: Scene) -> None:
    with place.requests.database.superuser() as superuser:
        superuser.execute("ALTER TRIGGER letters_leave ON mail_outbox RENAME TO waiting")
        superuser.execute("ALTER TABLE mail_outbox DISABLE TRIGGER waiting")
        superuser.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RAISE EXCEPTION ''no letters today''; END'"
        )
        superuser.execute(
            "CREATE TRIGGER refused BEFORE INSERT ON mail_outbox FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    assert run(place, str(place.who)).exit_code == 1
    assert place.rows_of() == 0
    with place.requests.database.superuser() as superuser:
        superuser.execute("DROP TRIGGER refused ON mail_outbox")
        superuser.execute("ALTER TABLE mail_outbox ENABLE TRIGGER waiting")
    done = run(place, str(place.who), "--json")
    assert done.exit_code == 0, done.exception
    assert place.tombstones() == (1, 1)
    assert place.keys(place.who) == 0
    assert sum(1 for _ in place.cache.keys("handle:")) == 0


def test_what_a_request_has_begun_is_left_to_its_job(place: Scene) -> None:
    request_id = place.request()
    assert place.worker(request_id, "rows", "before") == "KILLED"
    refused = run(place, str(place.who))
    assert isinstance(refused.exception, CheckFailed)
    assert "launch the job gdpr_erasure for it" in str(refused.exception)
    assert place.rows_of() == 1


def test_without_a_tombstone_only_when_told_so(place: Scene) -> None:
    environ = place.settings.environ
    for name in ("OPS_DATABASE_URL", "OPS_GDPR_ENCRYPTION_KEY", "OPS_GDPR_SIGNING_KEY_FILE"):
        environ.pop(name, None)
    refused = run(place, str(place.who))
    assert "OPS_DATABASE_URL" in str(refused.exception)
    assert place.untouched()
    before = place.others()
    done = run(place, str(place.who), "--no-tombstone", "--json")
    assert done.exit_code == 0, done.exception
    [one] = json.loads(done.stdout)
    assert "certificate_id" not in one
    assert place.residue() == []
    assert (place.rows_of(), place.objects(place.who), place.keys(place.who)) == (0, 0, 0)
    assert place.others() == before
    assert place.tombstones() == (0, 0)
    with place.product.eraser() as product:
        assert product.execute("SELECT FROM ops_platform.erasures").fetchall() == []
