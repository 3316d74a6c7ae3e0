"""Sessions, passwords, tokens, attempts: with a clock of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.datastructures import Headers

from ops_platform.errors import ConfigurationError
from ops_platform.guard.accounts import Accounts, Identity, fits, hash_password, hash_token
from ops_platform.guard.identity import Doorkeeper
from ops_platform.guard.login.attempts import OF_ADDRESS, OF_NAME, SECONDS, Attempts
from ops_platform.guard.refusal import Refusal
from ops_platform.guard.sessions import MOST_SESSIONS, Sessions
from ops_platform_tests.guard.house import RIGHT

OTTO = Identity("person:otto", "operator")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(clock, session_seconds=100, idle_seconds=10)


def test_a_session_lives_while_it_is_used_and_not_for_ever(clock: Clock, sessions: Sessions) -> None:
    token, idle = sessions.begin(OTTO), sessions.begin(OTTO)
    for _ in range(10):
        clock.now += 9.9
        assert sessions.find(token) is not None
    assert sessions.find(idle) is None
    clock.now += 1.1
    assert sessions.find(token) is None
    assert sessions.find("made-up") is None


def test_a_session_that_was_ended_is_over_for_what_still_goes_on(sessions: Sessions) -> None:
    token = sessions.begin(OTTO)
    session = sessions.find(token)
    assert session is not None
    assert sessions.is_live(session)
    sessions.end(token)
    assert not sessions.is_live(session)
    assert sessions.find(token) is None


def test_there_are_not_more_sessions_than_memory_is_meant_for(sessions: Sessions) -> None:
    first = sessions.begin(OTTO)
    tokens = [sessions.begin(OTTO) for _ in range(MOST_SESSIONS)]
    assert sessions.find(first) is None
    assert sessions.find(tokens[0]) is not None
    assert len(set(tokens)) == MOST_SESSIONS


def test_a_reason_counts_for_its_time(clock: Clock, sessions: Sessions) -> None:
    session = sessions.find(sessions.begin(OTTO))
    assert session is not None
    assert sessions.reason(session) is None
    sessions.give_reason(session, "ticket 7", 60)
    clock.now += 59
    assert sessions.reason(session) == "ticket 7"
    clock.now += 1
    assert sessions.reason(session) is None


def test_wrong_passwords_are_counted_for_address_and_name(clock: Clock) -> None:
    attempts = Attempts(clock)
    for number in range(OF_ADDRESS):
        attempts.begin("10.0.0.1", f"name-{number}")
    with pytest.raises(Refusal, match="15 minutes") as refused:
        attempts.begin("10.0.0.1", "otto")
    assert refused.value.status == 429
    attempts.begin("10.0.0.2", "otto")
    clock.now += SECONDS
    attempts.begin("10.0.0.1", "otto")
    for number in range(OF_NAME - 1):
        attempts.begin(f"10.0.1.{number}", "otto")
    with pytest.raises(Refusal):
        attempts.begin("10.0.2.1", "otto")


def test_a_right_password_is_no_wrong_one(clock: Clock) -> None:
    attempts = Attempts(clock)
    for _ in range(3 * OF_NAME):
        attempts.begin("10.0.0.1", "otto")
        attempts.succeeded("10.0.0.1", "otto")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.yaml"
    path.write_text(
        f"people:\n  otto: {{role: operator, password: '{RIGHT}'}}\n"
        "  oidc: {role: admin}\n"
        f"programs:\n  console: {{role: operator, token: '{hash_token('t' * 43)}', reason: standing}}\n",
        encoding="utf-8",
    )
    return path


def test_a_password_fits_its_hash_only() -> None:
    stored = hash_password("Rosebud")
    assert stored.startswith("scrypt$32768$8$3$")
    assert (fits("Rosebud", stored), fits("rosebud", stored)) == (True, False)
    assert stored != hash_password("Rosebud")


def test_who_is_in_the_file_is_known_and_nobody_else(file: Path) -> None:
    accounts = Accounts(file)
    assert accounts.person("otto", "right") == OTTO
    for name, password in (("otto", "Right"), ("otto", ""), ("oidc", ""), ("nobody", "right"), ("", "")):
        assert accounts.person(name, password) is None
    assert accounts.program("t" * 43) == Identity("program:console", "operator", "standing")
    for token in ("", "t" * 42, hash_token("t" * 43)):
        assert accounts.program(token) is None
    assert "right" not in file.read_text(encoding="utf-8")


def test_a_change_of_the_file_counts_at_once(file: Path, sessions: Sessions) -> None:
    accounts = Accounts(file)
    doorkeeper = Doorkeeper(accounts, sessions, file, False)
    token = sessions.begin(OTTO)
    headers = Headers({"cookie": f"a=b; {doorkeeper.cookie}={token}"})
    caller = doorkeeper.recognise(headers)
    assert caller.identity == OTTO
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("role: operator, password", "role: viewer, password"), encoding="utf-8")
    assert doorkeeper.recognise(headers).identity.role == "viewer"
    file.write_text("people: {}\n", encoding="utf-8")
    assert not doorkeeper.stands(caller)
    with pytest.raises(Refusal, match="Sign in"):
        doorkeeper.recognise(headers)


def test_what_is_shown_is_all_right_or_refused(file: Path, sessions: Sessions) -> None:
    doorkeeper = Doorkeeper(Accounts(file), sessions, file, True)
    good = f"Bearer {'t' * 43}"
    assert doorkeeper.recognise(Headers({"authorization": good})).session is None
    cookie = f"{doorkeeper.cookie}={sessions.begin(OTTO)}"
    for shown in ("Bearer x", "Basic dDp0", "Bearer", ""):
        with pytest.raises(Refusal):
            # A wrong token is not made up for by a right cookie.
            doorkeeper.recognise(Headers({"authorization": shown, "cookie": cookie}))
    with pytest.raises(Refusal):
        doorkeeper.recognise(Headers(raw=[(b"authorization", good.encode())] * 2))
    header = doorkeeper.set_cookie("abc")
    assert header.startswith("__Host-")
    assert all(part in header for part in ("; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"))


@pytest.mark.parametrize(
    "text",
    [
        "people: {otto: {role: root}}",
        "people: {otto: {role: viewer, password: plain}}",
        "people: {otto: {role: viewer, password: scrypt$1024$8$1$AAAA$AAAA}}",
        "people: {otto: {role: viewer, passwort: x}}",
        "people: {'a b': {role: viewer}}",
        "programs: {x: {role: viewer, token: secret}}",
        "programs: {x: {role: viewer}}",
        "person: {}",
    ],
)
def test_a_file_that_is_not_understood_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "accounts.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError):
        Accounts(path)
    with pytest.raises(ConfigurationError, match="OPS_GUARD_ACCOUNTS"):
        Accounts(tmp_path / "missing.yaml")
