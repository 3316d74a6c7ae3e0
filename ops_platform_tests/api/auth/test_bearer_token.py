"""Bearer tokens: what is believed, and every way to forge one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from ops_platform.api.auth import bearer_token as identity
from ops_platform.api.auth.bearer_token import Identity
from ops_platform.api.auth.jwks import AGAIN_SECONDS, FRESH_SECONDS, STALE_SECONDS, KeySet, parse
from ops_platform.api.problems import Problem
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.settings import JwtSettings
from ops_platform_tests.api.house import AUDIENCE, ISSUER, Provider

ALGORITHMS = ("RS256", "ES256", "EdDSA")


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """An identity checker over a provider's file; counts how often the file is read."""

    def __init__(self, directory: Path) -> None:
        self.provider = Provider(directory / "jwks.json")
        self.provider.rotate("first")
        self.time, self.reads, self.away = Time(), 0, False
        settings = JwtSettings(issuer=ISSUER, audience=AUDIENCE)
        self.identity: Identity = identity.from_settings(settings, KeySet(self.read, self.time))

    def read(self) -> str:
        self.reads += 1
        if self.away:
            raise Unavailable("away")
        return self.provider.file.read_text()

    def refuses(self, *headers: str) -> Problem:
        with pytest.raises(Problem) as refused:
            self.identity.subject(headers)
        assert refused.value.status == 401
        assert refused.value.headers["WWW-Authenticate"].startswith("Bearer")
        return refused.value

    def accepts(self, token: str) -> bool:
        return bool(self.identity.subject([f"Bearer {token}"]))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_names_its_subject(desk: Desk, algorithm: str) -> None:
    desk.provider.rotate("other", algorithm)
    subject = uuid4()
    assert desk.identity.subject([f"bearer {desk.provider.token(subject, 'other')}"]) == subject
    assert desk.accepts(desk.provider.token(str(subject).upper(), "other"))
    assert desk.accepts(desk.provider.token(subject, "other", aud=["x", AUDIENCE]))


CHANGES: list[dict[str, Any]] = [
    {"aud": "another"}, {"aud": None}, {"iss": "https://evil.example.org"}, {"iss": None},
    {"exp": 1}, {"exp": None}, {"exp": "soon"}, {"exp": 1e400}, {"nbf": 4e9}, {"iat": 4e9},
    {"sub": None}, {"sub": ""}, {"sub": "anna"}, {"sub": "1"},
    {"sub": "{6f1c9f0e-0000-4000-8000-000000000001}"},
    {"sub": "urn:uuid:6f1c9f0e-0000-4000-8000-000000000001"}, {"sub": "6f1c9f0e000040008000000000000001"},
    {"sub": "6f1c9f0e-0000-4000-8000-000000000001\n"},
]  # fmt: skip


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_claims_that_do_not_fit(desk: Desk, changes: dict[str, Any]) -> None:
    token = desk.provider.token(uuid4(), **changes)
    assert desk.refuses(f"Bearer {token}").detail == desk.refuses("Bearer x.y.z").detail


def forgeries(desk: Desk) -> dict[str, str]:
    good = desk.provider.token(uuid4())
    header, claims, signature = good.split(".")
    _, key = desk.provider.keys["first"]
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    public_x = json.loads(desk.provider.file.read_text())["keys"][0]["x"]

    def hs256(secret: bytes) -> str:
        signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'first'})}.{claims}"
        return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"

    stranger = ed25519.Ed25519PrivateKey.generate()
    payload = jwt.decode(good, options={"verify_signature": False})
    own = jwt.get_algorithm_by_name("EdDSA").to_jwk(stranger.public_key(), as_dict=True)
    return {
        "alg none": f"{part({'alg': 'none', 'kid': 'first'})}.{claims}.",
        "alg NoNe": f"{part({'alg': 'NoNe', 'kid': 'first'})}.{claims}.",
        "no alg": f"{part({'kid': 'first'})}.{claims}.{signature}",
        "HS256 with the public key": hs256(pem),
        "HS256 with the public number": hs256(base64.urlsafe_b64decode(public_x + "=")),
        "another algorithm's name": f"{part({'alg': 'ES256', 'kid': 'first'})}.{claims}.{signature}",
        "another subject": f"{header}.{part({**payload, 'sub': str(uuid4())})}.{signature}",
        "no signature": f"{header}.{claims}.",
        "a stranger's key": jwt.encode(payload, stranger, "EdDSA", headers={"kid": "first"}),
        "its own key along": jwt.encode(payload, stranger, "EdDSA", headers={"kid": "first", "jwk": own}),
        "a logout token": jwt.encode(payload, key, "EdDSA", headers={"kid": "first", "typ": "logout+jwt"}),
        "a type that is no text": jwt.encode(payload, key, "EdDSA", headers={"kid": "first", "typ": ["JWT"]}),
        "an unknown key": jwt.encode(payload, stranger, "EdDSA", headers={"kid": "x"}),
        "a list as key id": f"{part({'alg': 'EdDSA', 'kid': ['first']})}.{claims}.{'A' * 86}",
        "critical": jwt.encode(payload, desk.provider.keys["first"][1], "EdDSA",
                               headers={"kid": "first", "crit": ["exp2"], "exp2": 1}),
        "no JSON": f"{part(b'{')}.{part(b'{')}.x",
        "deep": f"{part(b'[' * 5000)}.{claims}.{signature}",
        "nothing": "..",
        "too long": good + "A" * 10_000,
        "not ASCII": "é.é.é",
    }  # fmt: skip


def test_forgeries(desk: Desk) -> None:
    for name, token in forgeries(desk).items():
        assert desk.refuses(f"Bearer {token}"), name


def test_the_types_of_access_tokens(desk: Desk) -> None:
    claims = jwt.decode(desk.provider.token(uuid4()), options={"verify_signature": False})
    _, key = desk.provider.keys["first"]
    for kind in ("JWT", "jwt", "at+jwt", "application/at+jwt", None):
        assert desk.accepts(jwt.encode(claims, key, "EdDSA", headers={"kid": "first", "typ": kind}))


def test_two_keys_of_one_id_are_not_chosen_from(desk: Desk) -> None:
    token = desk.provider.token(uuid4())
    assert desk.accepts(token)
    first, *_ = json.loads(desk.provider.file.read_text())["keys"]
    other = {**first, "x": part(b"x" * 32)}
    for keys in ([first, other], [other, first], [{**first, "kid": None}, {**other, "kid": None}]):
        with pytest.raises(Unavailable, match="two keys of one id"):
            parse(json.dumps({"keys": keys}))
    # What was known before goes on for a while.
    desk.provider.file.write_text(json.dumps({"keys": [other, first]}))
    desk.time.now += FRESH_SECONDS
    assert desk.accepts(token)
    desk.time.now += STALE_SECONDS
    with pytest.raises(Unavailable):
        desk.accepts(token)


def test_headers_that_are_no_bearer_token(desk: Desk) -> None:
    good = desk.provider.token(uuid4())
    for headers in ([], [""], ["Bearer"], ["Bearer "], [good], [f"Basic {good}"], [f"Bearer {good}"] * 2):
        desk.refuses(*headers)


def test_a_new_key_is_found_and_a_withdrawn_one_forgotten(desk: Desk) -> None:
    assert desk.accepts(desk.provider.token(uuid4()))
    desk.provider.rotate("second", "ES256")
    desk.time.now += AGAIN_SECONDS
    assert desk.accepts(desk.provider.token(uuid4(), "second"))
    desk.provider.publish("second")
    desk.time.now += FRESH_SECONDS
    desk.refuses(f"Bearer {desk.provider.token(uuid4(), 'first')}")


def test_made_up_key_ids_do_not_hammer_the_provider(desk: Desk) -> None:
    desk.provider.rotate("unpublished")
    desk.provider.publish("first")
    for _ in range(50):
        desk.refuses(f"Bearer {desk.provider.token(uuid4(), 'unpublished')}")
    assert desk.reads == 1
    desk.time.now += AGAIN_SECONDS
    desk.refuses(f"Bearer {desk.provider.token(uuid4(), 'unpublished')}")
    assert desk.reads == 2


def test_a_provider_that_is_away_signs_nobody_out_for_a_while(desk: Desk) -> None:
    token = desk.provider.token(uuid4(), exp=time.time() + 10_000)
    assert desk.accepts(token)
    desk.away = True
    desk.time.now += STALE_SECONDS - 1
    assert desk.accepts(token)
    desk.time.now += 1
    with pytest.raises(Unavailable):
        desk.accepts(token)
    with pytest.raises(Unavailable):
        desk.accepts(token)
    desk.away = False
    desk.time.now += AGAIN_SECONDS
    assert desk.accepts(token)


@pytest.mark.parametrize(
    "document", ["", "{}", "[]", '{"keys": {}}', '{"keys": [5]}', '{"keys": [{"kty": "oct", "k": "AAAA"}]}']
)
def test_documents_without_a_usable_key(document: str) -> None:
    with pytest.raises(Unavailable):
        KeySet(lambda: document).check()


@pytest.mark.parametrize(
    "changes",
    [{"issuer": None}, {"audience": None}, {"algorithms": ("HS256",)}, {"algorithms": ("RS256", "none")}],
)
def test_unsafe_settings_are_refused(desk: Desk, changes: dict[str, Any]) -> None:
    build: Callable[..., JwtSettings] = JwtSettings
    with pytest.raises(ConfigurationError):
        identity.from_settings(
            build(**{"issuer": ISSUER, "audience": AUDIENCE, **changes}), desk.identity.keys
        )
