"""Sign-in at a real OpenID Connect provider (npm's oidc-provider), and at a proxy that has asked already."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx
import pytest
from pydantic import SecretStr

from ops_platform.clients.waiting import wait_until
from ops_platform.guard.app import Guard
from ops_platform.guard.login import Provider, TrustedProxy
from ops_platform.guard.login.provider import ATTEMPT_SECONDS, CALLBACK, ProviderSettings
from ops_platform_tests.guard.house import HERE, QUERY, House, refused
from ops_platform_tests.ports import free_block

CLIENT, SECRET = "guard", "a-secret-of-the-test"
PACKAGE = "oidc-provider@9.13.3"
GROUPS = '{"olga": ["dba", "staff"], "vic": ["staff"], "nina": []}'


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory, port = tmp_path_factory.mktemp("provider"), free_block(1)
    npm = shutil.which("npm")
    assert npm is not None, "npm is missing: run 'make test-full', which installs it"
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", PACKAGE]
    subprocess.run(install, cwd=directory, check=True, timeout=180, stdout=subprocess.DEVNULL)
    shutil.copy(Path(__file__).parent / "provider.mjs", directory)
    log = (directory / "log").open("w")
    command = ["node", "provider.mjs", str(port), HERE + CALLBACK, CLIENT, SECRET, GROUPS]
    process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        wait_until(
            lambda: "ready" in (directory / "log").read_text(), 60, "the provider answers", interval=0.2
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        log.close()


def with_provider(house: House, issuer: str, secret: str = SECRET) -> None:
    text = house.file.read_text(encoding="utf-8")
    if "@dba" not in text:
        people = "people:\n  '@dba': {role: operator}\n  '@staff': {role: viewer}\n"
        house.file.write_text(text.replace("people:\n", people), encoding="utf-8")
    settings = ProviderSettings(
        issuer, CLIENT, SecretStr(secret), "openid profile", "preferred_username", "groups"
    )
    house.provider = Provider(settings, HERE, lambda: house.now)


async def at_the_provider(guard: httpx.AsyncClient, name: str) -> str:
    """Walk through the provider's own pages as ``name``; return the URL that it sends the browser back to."""
    begun = await guard.get("/guard/login/start?next=/runs")
    assert begun.status_code == 302
    url = begun.headers["location"]
    asked = parse_qs(urlsplit(url).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [HERE + CALLBACK]
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    async with httpx.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(url)
        for _ in range(12):
            if answer.is_redirect:
                url = str(httpx.URL(url).join(answer.headers["location"]))
                if url.startswith(HERE):
                    return url
                answer = await browser.get(url)
                continue
            form = re.search(r'action="([^"]+)"', answer.text)
            assert form is not None, answer.text
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            fields = {"prompt": prompt.group(1) if prompt else "consent", "login": name, "password": "any"}
            url = str(httpx.URL(url).join(form.group(1)))
            answer = await browser.post(url, data=fields)
    raise AssertionError("the provider's pages never end")


def changed(url: str, **values: str) -> str:
    parts = urlsplit(url)
    query = {name: found[0] for name, found in parse_qs(parts.query).items()}
    return urlunsplit(parts._replace(query=urlencode({**query, **values})))


@pytest.mark.full
@pytest.mark.timeout(300)
def test_people_of_a_provider_come_in_with_the_role_of_their_groups(house: House, issuer: str) -> None:
    with_provider(house, issuer)

    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        for name, role in (("olga", "operator"), ("vic", "viewer"), ("otto", "operator")):
            client.cookies.clear()
            back = await at_the_provider(client, name)
            done = await client.get(back)
            assert (done.status_code, done.headers.get("location")) == (303, "/runs"), done.text
            page = (await client.get("/guard")).text
            assert f"<strong>{name}</strong>, {role}" in page
            # Once: the code, the state and the attempt are used up.
            assert (await client.get(back)).status_code == 403
        client.cookies.clear()
        nobody = await client.get(await at_the_provider(client, "nina"))
        assert nobody.status_code == 403
        assert "no role" in nobody.text

    house.run(visit)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_an_answer_that_is_not_to_this_browser_s_question_lets_nobody_in(house: House, issuer: str) -> None:
    with_provider(house, issuer)

    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        async def is_refused(url: str) -> None:
            assert await refused(client.get(url)) == "signed-out"
            assert await refused(client.post("/graphql", json=QUERY)) == "signed-out"

        for change in ({"state": "x"}, {"code": "x"}, {"iss": "http://127.0.0.1:1"}):
            await is_refused(changed(await at_the_provider(client, "olga"), **change))
        # Login CSRF: somebody else's answer, in a browser that began nothing, or began something else.
        stolen = await at_the_provider(client, "olga")
        client.cookies.clear()
        await is_refused(stolen)
        await at_the_provider(client, "vic")
        await is_refused(stolen)
        late = await at_the_provider(client, "olga")
        house.now += ATTEMPT_SECONDS
        await is_refused(late)

    house.run(visit)
    with_provider(house, issuer, secret="another")
    house.run(lambda client, _: _wrong_secret(client))
    with_provider(house, f"{issuer}/")
    house.run(lambda client, _: _wrong_issuer(client))


async def _wrong_secret(client: httpx.AsyncClient) -> None:
    assert await refused(client.get(await at_the_provider(client, "olga"))) == "signed-out"


async def _wrong_issuer(client: httpx.AsyncClient) -> None:
    assert await refused(client.get("/guard/login/start")) == "provider-away"


def test_a_provider_that_is_away_is_said_to_be(house: House) -> None:
    with_provider(house, "http://127.0.0.1:9")
    began = time.monotonic()

    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        assert "/guard/login/start" in (await client.get("/guard/login")).text
        assert await refused(client.get("/guard/login/start")) == "provider-away"
        assert await refused(client.get(f"{CALLBACK}?code=a&state=b")) == "signed-out"

    house.run(visit)
    assert time.monotonic() - began < 30


def test_a_proxy_s_headers_are_believed_from_its_address_alone(house: House) -> None:
    named = {"X-User": "olga", "X-Groups": "staff, dba"}
    text = house.file.read_text(encoding="utf-8")
    house.file.write_text(
        text.replace("people:\n", "people:\n  '@dba': {role: operator}\n"), encoding="utf-8"
    )

    async def believed(client: httpx.AsyncClient, _: Guard) -> None:
        done = await client.get("/guard/login?next=/runs", headers=named)
        assert (done.status_code, done.headers["location"]) == (303, "/runs")
        assert "<strong>olga</strong>, operator" in (await client.get("/guard")).text
        client.cookies.clear()
        twice = [("x-user", "olga"), ("x-user", "ada")]
        assert (await client.get("/guard/login", headers=twice)).status_code == 200
        assert (await client.get("/guard/login", headers={"X-User": "@dba"})).status_code == 403
        assert (await client.get("/guard/login", headers={"X-User": "nobody"})).status_code == 403
        assert not client.cookies

    async def not_believed(client: httpx.AsyncClient, _: Guard) -> None:
        assert (await client.get("/guard/login", headers=named)).status_code == 200
        assert await refused(client.post("/graphql", json=QUERY, headers=named)) == "signed-out"

    house.run(not_believed)
    house.proxy = TrustedProxy((ip_network("127.0.0.0/8"),), "X-User", "X-Groups")
    house.run(believed)
