"""Other people's Prometheus: each way to sign in, each mistake in it, and its twin that is right."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from ops_platform.clients import prometheus_access
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.clients.guarded import Guard

SECRET = "hush-hush-9f2"
BASIC = f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}"
TOKEN = {"OPS_PROMETHEUS_BEARER_TOKEN": SECRET}
LOGIN = {"OPS_PROMETHEUS_USERNAME": "me", "OPS_PROMETHEUS_PASSWORD": SECRET}
ELSEWHERE = "http://prometheus.example:9090"


@pytest.fixture(scope="module")
def small_ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The system's authorities take a fifth of a second to load."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return str(path)


def settings_of(tmp_path: Path, environ: dict[str, str]) -> Settings:
    given = {f"OPS_PROMETHEUS_{name}" if name.isupper() and not name.startswith("OPS_") else name: value
             for name, value in environ.items()}  # fmt: skip
    return load_settings({"OPS_STATE_DIR": str(tmp_path), **given})


def ask(settings: Settings, url: str) -> None:
    client = prometheus_access.connect(settings, url=url, timeout_seconds=5)
    try:
        client.query("up")
    finally:
        client.close()


def refusal(settings: Settings, url: str, kind: type[OpsError] = Unavailable) -> str:
    with pytest.raises(kind) as caught:
        ask(settings, url)
    said = str(caught.value)
    assert "\n" not in said
    assert SECRET not in said
    return said


BEARER = {"Authorization": f"Bearer {SECRET}"}
YOU = LOGIN | {"OPS_PROMETHEUS_USERNAME": "you"}
GUARDS = [
    # (demanded, refusal, settings that open it, settings that do not, what is said then)
    (BEARER, (401, "no"), TOKEN, {}, "set OPS_PROMETHEUS_BEARER_TOKEN"),
    (BEARER, (403, "no"), TOKEN, {"BEARER_TOKEN": "other"}, "may not ask this"),
    ({"Authorization": BASIC}, (401, "no"), LOGIN, YOU, "or correct them"),
    ({"X-Scope-OrgID": "shop"}, (401, "no org id"), {"TENANT": "shop"}, {}, "as OPS_PROMETHEUS_TENANT"),
    (
        {"THANOS-TENANT": "shop"},
        (404, "no matching tenant"),
        {"TENANT": "shop", "TENANT_HEADER": "THANOS-TENANT"},
        {"TENANT": "shop"},
        "_TENANT_HEADER",
    ),
    (BEARER, (302, ""), TOKEN, {}, "a page to sign in"),
    (BEARER, (404, "page not found"), TOKEN, {}, "ends in /prometheus"),
]  # fmt: skip


@pytest.mark.parametrize(("demanded", "refused", "right", "wrong", "word"), GUARDS)
def test_each_way_to_sign_in_opens_and_its_mistake_names_the_setting(
    demanded: dict[str, str],
    refused: tuple[int, str],
    right: dict[str, str],
    wrong: dict[str, str],
    word: str,
    tmp_path: Path,
) -> None:
    with Guard(demanded, refused).running() as url:
        ask(settings_of(tmp_path, right), url)
        said = refusal(settings_of(tmp_path, wrong), url)
    assert word in said
    assert str(refused[0]) in said


def test_secrets_come_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    with Guard(BEARER).running() as url:
        ask(settings_of(tmp_path, {"BEARER_TOKEN_FILE": str(tmp_path / "token")}), url)


CONTRADICTIONS = [
    # (settings, URL, what is said; the twin that is taken)
    (TOKEN | LOGIN, "https://p:9090", "keep one of the two ways", TOKEN),
    ({"USERNAME": "me"}, "https://p:9090", "OPS_PROMETHEUS_PASSWORD is not set", LOGIN),
    ({"PASSWORD": SECRET}, "https://p:9090", "OPS_PROMETHEUS_USERNAME is not set", LOGIN),
    (LOGIN | {"OPS_PROMETHEUS_USERNAME": "m:e"}, "https://p:9090", "holds a colon", LOGIN),
    (TOKEN, ELSEWHERE, "readable on the way", TOKEN | {"CREDENTIALS_WITHOUT_TLS": "true"}),
    (LOGIN, ELSEWHERE, "readable on the way", LOGIN | {"CREDENTIALS_WITHOUT_TLS": "true"}),
    ({"BEARER_TOKEN": f"{SECRET}\nX: y"}, "https://p:9090", "no HTTP header may", TOKEN),
    ({"BEARER_TOKEN": f"{SECRET}é"}, "https://p:9090", "no HTTP header may", TOKEN),
    ({"TENANT": "a\r\nb"}, ELSEWHERE, "no HTTP header may", {"TENANT": "a|b"}),
    ({"TENANT": "a", "TENANT_HEADER": "X Y"}, ELSEWHERE, "name of a header", {"TENANT": "a"}),
    ({"TENANT": "a", "TENANT_HEADER": "authorization"}, ELSEWHERE, "be Authorization", {"TENANT": "a"}),
    ({"PROXY_URL": "socks5://p:1"}, ELSEWHERE, "PROXY_URL must be", {"PROXY_URL": "http://p:1"}),
    ({"PROXY_URL": "http://[::1"}, ELSEWHERE, "PROXY_URL must be", {"PROXY_URL": f"http://me:{SECRET}@p:1"}),
    ({"CA_FILE": "/no/such"}, "https://p:9090", "OPS_PROMETHEUS_CA_FILE: /no/such cannot be read", {}),
    ({"OPS_CA_FILE": "/etc/hostname"}, "https://p:9090", "OPS_CA_FILE: /etc/hostname holds no cert", {}),
    ({"CLIENT_KEY_FILE": "/k"}, "https://p:9090", "give both", {}),
    ({"CLIENT_CERTIFICATE_FILE": "/no"}, "https://p:9090", "CLIENT_CERTIFICATE_FILE: /no cannot be read", {}),
    ({"CLIENT_CERTIFICATE_FILE": "/etc/hostname"}, "https://p:9090", "hold no certificate and key", {}),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "url", "word", "right"), CONTRADICTIONS)
def test_settings_that_contradict_each_other_are_refused_before_anything_is_sent(
    wrong: dict[str, str], url: str, word: str, right: dict[str, str], tmp_path: Path, small_ca: str
) -> None:
    said = refusal(settings_of(tmp_path, {"OPS_CA_FILE": small_ca, **wrong}), url, ConfigurationError)
    assert word in said
    found = prometheus_access.access(settings_of(tmp_path, {"OPS_CA_FILE": small_ca, **right}), url)
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        (f"https://me:{SECRET}@p:9090", "holds a user or password"),
        (f"https://{SECRET}@p:9090", "holds a user or password"),
        ("p:9090", "must be http:// or https://"),
        ("ftp://p", "must be http:// or https://"),
        ("https://", "must be http:// or https://"),
        ("https://[::1", "cannot be read"),
        ("https://p:port", "cannot be read"),
        ("https://p:9090/?x=1", "ends with a query"),
    ],
)
def test_urls_that_are_none(url: str, word: str, tmp_path: Path) -> None:
    assert word in refusal(settings_of(tmp_path, {}), url, ConfigurationError)


@pytest.mark.parametrize("url", ["https://p:9090", "https://[::1]:9090/prometheus/", "HTTPS://p", "http://p"])
def test_urls_that_are_one(url: str, tmp_path: Path, small_ca: str) -> None:
    found = prometheus_access.access(settings_of(tmp_path, {"OPS_CA_FILE": small_ca}), url)
    assert (found.tls is not None) == url.lower().startswith("https")


def test_certificates_of_both_sides(tmp_path: Path) -> None:
    ours, theirs, clients = trustme.CA(), trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.issue_cert("127.0.0.1").configure_cert(context)
    clients.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    pems = {}
    for name, authority in (("right", clients), ("wrong", ours)):
        issued = authority.issue_cert("me@example.org")
        pems[name] = tmp_path / f"{name}.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(str(pems[name]))
    for name, authority in (("ours", ours), ("theirs", theirs)):
        pems[name] = tmp_path / f"{name}-ca.pem"
        authority.cert_pem.write_to_path(str(pems[name]))
    key = tmp_path / "other-key.pem"
    ours.issue_cert("x.example.org").private_key_pem.write_to_path(str(key))
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(SECRET.encode()),
        )
    )
    right = {"CA_FILE": str(pems["theirs"]), "CLIENT_CERTIFICATE_FILE": str(pems["right"])}

    with Guard(tls=context).running() as url:
        ask(settings_of(tmp_path, right), url)
        for wrong, word in (
            ({**right, "CA_FILE": str(pems["ours"])}, "unknown authority, give the PEM of its authority"),
            ({"CA_FILE": str(pems["theirs"])}, "asks for a client's certificate, give OPS_PROMETHEUS_CLIENT"),
            ({**right, "CLIENT_CERTIFICATE_FILE": str(pems["wrong"])}, "it refuses our certificate, is OPS_"),
        ):
            assert word in refusal(settings_of(tmp_path, wrong), url)
        assert "no TLS" not in refusal(settings_of(tmp_path, {}), url.replace("https", "http"))
    mixed = settings_of(tmp_path, {**right, "CLIENT_KEY_FILE": str(key)})
    assert "are not of one pair" in refusal(mixed, "https://p", ConfigurationError)
    mixed = settings_of(tmp_path, {**right, "CLIENT_KEY_FILE": str(locked)})
    assert "has a passphrase" in refusal(mixed, "https://p", ConfigurationError)
    with Guard().running() as url:
        said = refusal(settings_of(tmp_path, right), url.replace("http", "https"))
        assert "no TLS there, write http://" in said


def test_a_proxy_on_the_way(tmp_path: Path) -> None:
    opened = {"Proxy-Authorization": BASIC}
    with Guard(opened, (407, "who are you?")).running() as proxy:
        right = settings_of(tmp_path, {"PROXY_URL": proxy.replace("//", f"//me:{SECRET}@")})
        ask(right, ELSEWHERE)
        wrong = settings_of(tmp_path, {"PROXY_URL": proxy})
        assert "user and password in OPS_PROMETHEUS_PROXY_URL" in refusal(wrong, ELSEWHERE)
        said = refusal(right, "https://prometheus.example")
        assert "through the proxy at http://127.0.0.1:" in said
    assert "through the proxy at http://127.0.0.1:" in refusal(right, ELSEWHERE)


def test_nothing_is_sent_that_was_not_asked_for(tmp_path: Path) -> None:
    guard = Guard()
    with guard.running() as url:
        ask(settings_of(tmp_path, {}), url)
        ask(settings_of(tmp_path, {"TENANT_HEADER": "X-Team"}), url)
    assert all(not headers.keys() & {"authorization", "x-scope-orgid", "x-team"} for headers in guard.asked)


def test_others_are_known_by_the_name_that_documents_give_them(tmp_path: Path) -> None:
    urls = "eu=http://eu.example:9090, us=http://us.example:9090"
    given = {"URL": ELSEWHERE, "URLS": urls}
    client = prometheus_access.connect(settings_of(tmp_path, given), timeout_seconds=5)
    assert client.source(None) is client
    assert client.source("eu").url == "http://eu.example:9090"
    with pytest.raises(
        ConfigurationError, match="metricSourceRef is asia, and OPS_PROMETHEUS_URLS names eu, us"
    ):
        client.source("asia")
    # One that a command names stands for all. The first does not: it may be of another region.
    one = prometheus_access.connect(settings_of(tmp_path, given), url=ELSEWHERE, timeout_seconds=5)
    assert one.source("eu") is one
    alone = prometheus_access.connect(settings_of(tmp_path, {"URL": ELSEWHERE}), timeout_seconds=5)
    assert alone.source(None) is alone
    with pytest.raises(ConfigurationError, match="metricSourceRef is eu, and OPS_PROMETHEUS_URLS names none"):
        alone.source("eu")
    for wrong in ("eu", "eu=http://a,eu=http://b", "E U=http://a", "eu=http://me:hush@eu.example"):
        with pytest.raises(ConfigurationError) as refused:
            prometheus_access.connect(settings_of(tmp_path, given | {"URLS": wrong}), timeout_seconds=5)
        assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "given", [{"BEARER_TOKEN": SECRET}, {"USERNAME": "me", "PASSWORD": SECRET}, {"TENANT": "team-a"}]
)
def test_no_other_host_gets_the_credentials_of_the_first(tmp_path: Path, given: dict[str, str]) -> None:
    first = "https://prometheus.example"

    def connect(urls: str, **more: str) -> None:
        settings = settings_of(tmp_path, {**given, "URL": first, "URLS": urls, **more})
        prometheus_access.connect(settings, timeout_seconds=5)

    connect(f"own={first}/eu")
    with pytest.raises(ConfigurationError, match="eu is another host than OPS_PROMETHEUS_URL") as refused:
        connect("eu=https://eu.example")
    assert SECRET not in str(refused.value)
    connect("eu=https://eu.example", CREDENTIALS_FOR_ALL="true")


def test_each_server_is_asked_with_what_is_set_for_its_name(tmp_path: Path) -> None:
    """Two servers with tokens of their own, a third with a tenant; the first's token goes to none of them."""
    token = tmp_path / "eu"
    token.write_text("of-eu\n", "utf-8")
    guard = Guard()
    with guard.running() as url:
        urls = f"eu={url}/eu,us-east={url}/us,asia={url}/asia,near={url}/near"
        given = {
            "URL": url,
            "URLS": urls,
            **TOKEN,
            "EU_BEARER_TOKEN_FILE": str(token),
            "US_EAST_USERNAME": "me",
            "US_EAST_PASSWORD": SECRET,
            "ASIA_TENANT": "shop",
        }
        settings = settings_of(tmp_path, given)
        client = prometheus_access.connect(settings, timeout_seconds=5)
        for name in (None, "eu", "us-east", "asia", "near"):
            client.source(name).query("up")
        client.close()
    ours = ("authorization", "x-scope-orgid")
    assert [{name: asked[name] for name in ours if name in asked} for asked in guard.asked] == [
        {"authorization": f"Bearer {SECRET}"},
        {"authorization": "Bearer of-eu"},
        {"authorization": BASIC},
        {"x-scope-orgid": "shop"},
        # Nothing of its own, and the same host.
        {"authorization": f"Bearer {SECRET}"},
    ]
    assert SECRET not in repr(settings) + repr(settings.prometheus_of("us-east"))


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"EUU_BEARER_TOKEN": SECRET}, "OPS_PROMETHEUS_EUU_BEARER_TOKEN is for no server that"),
        ({"EU_BEARER_TOKEN": SECRET, "EU_BEARER_TOKEN_FILE": "/etc/hostname"}, "_EU_BEARER_TOKEN_FILE"),
        ({"EU_BEARER_TOKEN": SECRET, "EU_USERNAME": "me"}, "_EU_BEARER_TOKEN and OPS_PROMETHEUS_EU_USER"),
        ({"EU_PASSWORD": SECRET}, "OPS_PROMETHEUS_EU_USERNAME is not set"),
        ({"EU_TENANT": f"{SECRET} "}, "OPS_PROMETHEUS_EU_TENANT is empty, or holds"),
        ({"EU_CREDENTIALS_WITHOUT_TLS": "perhaps"}, "OPS_PROMETHEUS_EU_CREDENTIALS_WITHOUT_TLS"),
        ({"EU_TENANT_HEADER": "X-Team", "TENANT": "of-the-first"}, None),
        # Its own way over HTTP is allowed, or refused, for it alone.
        (
            {"EU_BEARER_TOKEN": SECRET, "CREDENTIALS_WITHOUT_TLS": "true", "URLS": "eu=http://eu.example"},
            "set OPS_PROMETHEUS_EU_CREDENTIALS_WITHOUT_TLS",
        ),
        ({"BEARER_TOKEN": SECRET, "EU_TENANT": "shop"}, None),
    ],
)  # fmt: skip
def test_what_is_set_by_name_is_judged_by_name(
    tmp_path: Path, small_ca: str, given: dict[str, str], word: str | None
) -> None:
    settings = settings_of(
        tmp_path,
        {"OPS_CA_FILE": small_ca, "URL": "https://one.example", "URLS": "eu=https://eu.example", **given},
    )
    if word is None:
        prometheus_access.connect(settings, timeout_seconds=5).close()
        return
    with pytest.raises(ConfigurationError) as refused:
        prometheus_access.connect(settings, timeout_seconds=5)
    assert word in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_refusal_names_the_variables_of_its_server(tmp_path: Path) -> None:
    guard = Guard(demanded={"Authorization": "Bearer of-eu"}, refusal=(401, "no"))
    with guard.running() as url:
        settings = settings_of(tmp_path, {"URL": ELSEWHERE, "URLS": f"eu={url}", "EU_BEARER_TOKEN": "wrong"})
        client = prometheus_access.connect(settings, timeout_seconds=5)
        with pytest.raises(Unavailable, match="set OPS_PROMETHEUS_EU_BEARER_TOKEN, or"):
            client.source("eu").query("up")
        client.close()
