"""A real browser: Debian's Chromium, which trusts the servers of one test."""

from __future__ import annotations

import base64
import hashlib
import shutil
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import BrowserContext, sync_playwright

from ops_platform_tests.running_stack import RunningStack


@contextmanager
def browser(stack: RunningStack, locale: str) -> Iterator[BrowserContext]:
    """A fresh profile in the language ``locale``."""
    settings = stack.settings
    urls = [settings.require("api_url"), str(settings.s3.endpoint_url)]
    with chromium(urls, settings.ca_file, settings.require("api_url"), locale) as context:
        yield context


@contextmanager
def chromium(urls: Sequence[str], ca_file: object, base_url: str, locale: str) -> Iterator[BrowserContext]:
    """A fresh profile that trusts the servers at ``urls``, each checked against ``ca_file`` before."""
    pins = ",".join(key_digest(url, str(ca_file)) for url in urls)
    program = shutil.which("chromium")
    assert program is not None, "chromium is missing: run 'make test-full', which installs it"
    with sync_playwright() as playwright:
        # Root cannot be put into Chromium's sandbox.
        options = ["--no-sandbox", f"--ignore-certificate-errors-spki-list={pins}"]
        running = playwright.chromium.launch(executable_path=program, args=options)
        try:
            context = running.new_context(locale=locale, base_url=base_url)
            context.set_default_timeout(30_000)
            yield context
        finally:
            running.close()


def key_digest(url: str, ca_file: str) -> str:
    """Of the server's public key, as Chromium pins it; the certificate is checked against the stack's CA."""
    place = urlsplit(url)
    assert place.hostname is not None
    assert place.port is not None
    pem = ssl.get_server_certificate((place.hostname, place.port), ca_certs=ca_file)
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()
