"""What goes wrong with S3 and its keys during an exercise: the line says so, and blames no backup."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from ops_platform.backup.stanza import pgbackrest_conf
from ops_platform.backup.stanza.context import open_context
from ops_platform.dr.exercise import knowledge
from ops_platform.dr.exercise.drill import rehearse
from ops_platform.dr.restore import scratch_cluster as scratch
from ops_platform.dr.verification import suite as questions
from ops_platform.local.host.accounts import account
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.backup.site import hasty, silent
from ops_platform_tests.dr.corpus.lab import Lab, at_restore, failing, pointed, wrong
from ops_platform_tests.relay import Relay
from ops_platform_tests.services import Services

pytestmark = pytest.mark.full

NEVER_UP = {"rto_within_target", "rpo_within_target"}
"""Cannot be measured when it never took traffic."""


def test_a_wrong_passphrase(lab: Lab) -> None:
    environ = {name: value.get_secret_value() for name, value in lab.site.settings.environ.items()}
    del environ["OPS_PGBACKREST_CIPHER_PASS_FILE"]
    settings = load_settings({**environ, "OPS_PGBACKREST_CIPHER_PASS": "not the one it was written with"})
    with lab.copied() as (copy, _), lab.source_untouched():
        ctx = pointed(hasty(open_context(settings, lab.site.name)), copy.prefix)
        outcome = lab.exercise(ctx)
        assert outcome.result == "failed"
        assert set(wrong(outcome)) - NEVER_UP == {"backup_selected"}, wrong(outcome)


@pytest.fixture
def relayed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Relay, Settings]]:
    """A relay to S3, and the settings with which it is S3."""
    # Each of pgBackRest's tries takes up to twice this long.
    monkeypatch.setattr(pgbackrest_conf, "READER_IO_SECONDS", 3)
    environ = {name: value.get_secret_value() for name, value in lab.site.settings.environ.items()}
    endpoint = urlsplit(environ["OPS_S3_ENDPOINT_URL"])
    assert endpoint.hostname
    assert endpoint.port
    relay = Relay((endpoint.hostname, endpoint.port))
    yield relay, load_settings({**environ, "OPS_S3_ENDPOINT_URL": f"https://127.0.0.1:{relay.port}"})
    relay.stop()


def busy(services: Services, relay: Relay) -> None:
    certificate = services.certificates.server("s3", account(None))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    relay.answer(context)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda relay, services: relay.stop(), r"unknown: .*127\.0\.0\.1:\d+ cannot be reached"),
        (lambda relay, services: busy(services, relay), r"unknown: .*S3 answers with error 503"),
    ],
    ids=["gone", "busy"],
)
def test_s3_fails_during_the_restore(
    lab: Lab,
    relayed: tuple[Relay, Settings],
    services: Services,
    fault: Callable[[Relay, Services], None],
    said: str,
) -> None:
    relay, settings = relayed
    with lab.copied() as (copy, _), lab.source_untouched():
        ctx = pointed(hasty(open_context(settings, lab.site.name)), copy.prefix)
        outcome = lab.exercise(ctx, log=at_restore(lambda: fault(relay, services)))
        assert outcome.result == "failed"
        found = wrong(outcome)
        assert set(found) - NEVER_UP == {"restored"}, found
        # Of the backup it says nothing.
        assert re.match(said, found["restored"]), found


def test_s3_at_a_byte_a_second(lab: Lab, relayed: tuple[Relay, Settings]) -> None:
    relay, settings = relayed
    environ = {name: value.get_secret_value() for name, value in settings.environ.items()}
    settings = load_settings({**environ, "OPS_PGBACKREST_ANSWER_SECONDS": "4"})
    with lab.copied() as (copy, _), lab.source_untouched():
        ctx = pointed(hasty(open_context(settings, lab.site.name)), copy.prefix)
        asked = questions.prepare(ctx, "latest", silent)
        relay.slow_down(1)
        known = knowledge.gather(ctx, "latest", datetime.now(UTC), asked)
        with scratch.scratch(ctx.settings, "test:corpus", "slow") as here:
            done = rehearse(ctx, here, "latest", known, datetime.now(UTC), silent, silent)
        found = failing(done.results)
        assert found == {"backup_selected": "unknown"}, done.results
        assert "had no answer within 4 s and was stopped: S3 or the way to it is too slow" in (
            done.results[0].summary
        )


def test_s3_slows_down_to_a_byte_a_second_during_the_restore(
    lab: Lab, relayed: tuple[Relay, Settings]
) -> None:
    relay, settings = relayed
    environ = {name: value.get_secret_value() for name, value in settings.environ.items()}
    settings = load_settings({**environ, "OPS_PGBACKREST_STALL_SECONDS": "5"})
    with lab.copied() as (copy, _), lab.source_untouched():
        ctx = pointed(hasty(open_context(settings, lab.site.name)), copy.prefix)
        outcome = lab.exercise(ctx, log=at_restore(lambda: relay.slow_down(1)))
        assert outcome.result == "failed"
        found = wrong(outcome)
        assert set(found) - NEVER_UP == {"restored"}, found
        assert found["restored"].startswith("unknown: "), found
        assert "made no progress for 5 s" in found["restored"], found
        assert "OPS_PGBACKREST_STALL_SECONDS" in found["restored"], found


def test_s3_slows_down_to_a_byte_a_second_during_the_recovery(
    lab: Lab, relayed: tuple[Relay, Settings]
) -> None:
    relay, settings = relayed
    environ = {name: value.get_secret_value() for name, value in settings.environ.items()}
    settings = load_settings({**environ, "OPS_PGBACKREST_STALL_SECONDS": "5"})

    def at_end(line: str) -> None:
        if "restore command end: completed successfully" in line:
            relay.slow_down(1)

    with lab.copied() as (copy, _), lab.source_untouched():
        ctx = pointed(hasty(open_context(settings, lab.site.name)), copy.prefix)
        outcome = lab.exercise(ctx, log=at_end)
        assert outcome.result == "failed"
        found = wrong(outcome)
        assert set(found) - NEVER_UP == {"recovered_and_promoted"}, found
        assert found["recovered_and_promoted"].startswith("unknown: "), found
        assert "less than 1 MiB of 0000000" in found["recovered_and_promoted"], found


def test_a_rotated_key_of_s3(lab: Lab) -> None:
    """The reader's: the line names the setting that is wrong, and no other."""
    environ = {name: value.get_secret_value() for name, value in lab.site.settings.environ.items()}
    (variable,) = [name for name in environ if "BACKUP_READER_SECRET" in name]
    environ = {name: value for name, value in environ.items() if name != variable}
    environ["OPS_S3_BACKUP_READER_SECRET_ACCESS_KEY"] = "the one before the rotation"
    with lab.copied() as (copy, _), lab.source_untouched():
        ctx = pointed(hasty(open_context(load_settings(environ), lab.site.name)), copy.prefix)
        outcome = lab.exercise(ctx)
        assert outcome.result == "failed"
        found = wrong(outcome)
        assert set(found) - NEVER_UP == {"backup_selected"}, found
        assert found["backup_selected"].startswith("unknown: could not run: "), found
        assert "OPS_S3_BACKUP_READER_SECRET_ACCESS_KEY" in found["backup_selected"], found
