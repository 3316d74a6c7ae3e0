"""The pages in Chromium, as people use them: at 360 and 1280 pixels, by keyboard, in both languages.

``OPS_TEST_IMAGES=docs/images`` has the pictures of the documents made anew.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from ops_platform.gdpr.requests.mail_texts import BUTTONS, HEADINGS
from ops_platform_tests.api.house import DATA, EMAIL, House, certified, exported
from ops_platform_tests.api.running import RunningApi, running_api
from ops_platform_tests.e2e.browser import chromium
from ops_platform_tests.gdpr.requests.test_sign_in import links
from ops_platform_tests.services import Services

pytestmark = [pytest.mark.services, pytest.mark.full, pytest.mark.timeout(180)]
WIDTHS = (360, 1280)
AS_FILE = {"Content-Disposition": "attachment; filename=export.zip"}
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><circle cx="1" cy="1" r="1" fill="red"/></svg>'
)


@dataclass(frozen=True)
class Person:
    """Somebody with an account and a mailbox."""

    api: House
    running: RunningApi
    page: Page
    key: UUID

    def asks(self, request_type: str, language: str = "en") -> str:
        sent = {"request_type": request_type, "language": language}
        with self.running.client() as client:
            made = client.post("/api/gdpr/request", json=sent, headers=self.api.bearer(self.key))
        return str(made.json()["request_id"])

    def link(self, request_id: str) -> str:
        [link] = re.findall(r"https://\S+#request=\S+", self.api.table.mails(request_id)[-1])
        return str(link)


def looks_good(page: Page, name: str) -> None:
    """No fault of accessibility and nothing that scrolls sideways, at both widths; and a picture of each."""
    from axe_playwright_python.sync_playwright import Axe

    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, width)
        if images := os.environ.get("OPS_TEST_IMAGES"):
            page.screenshot(path=Path(images) / f"{name}-{width}.png", full_page=True)


def test_a_persons_way(services: Services, api: House, tmp_path: Path) -> None:
    api.unlimited()
    api.now = datetime.now(UTC)
    logo = tmp_path / "logo.svg"
    logo.write_text(LOGO)
    anna, bert = api.person(), api.person("bert@example.org")
    export, erased = exported(api, anna), certified(api, anna)
    look = {"OPS_PAGE_NAME": "Rosa", "OPS_PAGE_LOGO_FILE": str(logo), "OPS_API_RATE_LIMIT": "1000"}
    with (
        running_api(services, api, tmp_path / "api.log", **look) as running,
        chromium([running.url], running.ca_file, running.url, "en-GB") as context,
    ):
        page = context.new_page()
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        an_erasure_by_link_that_waits_for_a_copy(Person(api, running, page, anna))
        an_export_by_keyboard_in_french(Person(api, running, page, bert))
        requests_are_followed(Person(api, running, page, anna), export, erased)
        context.close()
        # A refused confirmation is told by its status; nothing else is to be heard.
        assert [text for text in messages if "the server responded with a status of" not in text] == []


def an_erasure_by_link_that_waits_for_a_copy(anna: Person) -> None:
    page = anna.page
    request_id = anna.asks("erasure")
    page.goto(anna.link(request_id))
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(HEADINGS["en", "erasure"])
    assert "token" not in page.url
    expect(page.get_by_text("Once the work has begun, it cannot be undone.")).to_be_visible()
    expect(page.get_by_text("A copy of your data can still be downloaded until")).to_be_visible()
    expect(page.get_by_label("Wait until I have downloaded it")).to_be_checked()
    button = page.get_by_role("button", name=BUTTONS["en", "erasure"])
    assert button.evaluate("element => getComputedStyle(element).backgroundColor") == "rgb(185, 28, 28)"
    looks_good(page, "erasure")
    page.emulate_media(color_scheme="dark")
    looks_good(page, "erasure-dark")
    page.emulate_media(color_scheme="light")
    # Looking confirms nothing, however often.
    page.get_by_role("link", name="Français").click()
    expect(heading).to_have_text(HEADINGS["fr", "erasure"])
    expect(page.get_by_text("C'est irréversible.")).to_be_visible()
    assert anna.api.table.row(request_id)["verified_at"] is None
    page.get_by_role("link", name="English").click()
    button.click()
    done = page.get_by_role("status").filter(has_text="Confirmed. Download your copy now")
    expect(done).to_be_focused()
    looks_good(page, "erasure-confirmed")
    assert anna.api.table.row(request_id)["waits_until"] is not None
    page.goto("about:blank")
    page.goto(anna.link(request_id))
    expect(page.get_by_role("status").filter(has_text="confirmed before")).to_be_focused()


def an_export_by_keyboard_in_french(bert: Person) -> None:
    page = bert.page
    request_id = bert.asks("export", "fr")
    [code] = re.findall(r"(?:[0-9A-Z]{4}-){12}[0-9A-Z]{4}", bert.api.table.mails(request_id)[0])
    page.goto("/api/gdpr/verify?lang=fr")
    page.get_by_label("Demande", exact=True).focus()
    page.keyboard.type(request_id)
    page.keyboard.press("Tab")
    page.keyboard.type("0" * 52)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="Ce code ne convient pas")).to_be_focused()
    looks_good(page, "typed")
    # A form that showed an erasure before shows nothing of it afterwards.
    page.evaluate(
        "for (const id of ['erasure', 'copies']) { document.getElementById(id).hidden = false; }"
        "document.getElementById('copydelete').checked = true;"
    )
    page.get_by_label("Code").fill(code.lower().replace("-", " "))
    page.keyboard.press("Enter")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(HEADINGS["fr", "export"])
    expect(heading).to_be_focused()
    expect(page.locator("#erasure")).to_be_hidden()
    expect(page.locator("#copies")).to_be_hidden()
    expect(page.locator("input[name=copy]:checked")).to_have_count(0)
    looks_good(page, "export")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=BUTTONS["fr", "export"])).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Votre copie pourra être téléchargée")).to_be_focused()
    assert bert.api.table.row(request_id)["verified_at"] is not None


def requests_are_followed(anna: Person, export: str, erased: str) -> None:
    page, table = anna.page, anna.api.table
    page.goto("/api/gdpr/status?lang=en")
    looks_good(page, "sign-in")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="a link is on its way")).to_be_visible()
    (_, token) = links(table)[-1]
    page.goto(f"/api/gdpr/status?lang=en#token={token}")
    button = page.get_by_role("button", name="Show my requests")
    expect(button).to_be_visible()
    assert "token" not in page.url
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="My requests")).to_be_focused()
    expect(page.get_by_role("article")).to_have_count(3)
    # Another language is another page, with the same session.
    page.get_by_role("link", name="Français").click()
    expect(page.get_by_role("article")).to_have_count(3)
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("article")).to_have_count(3)
    # After a moment without network the page goes on by itself.
    page.route(
        "**/api/gdpr/requests", lambda route: route.fulfill(status=503, json={"type": "x:unavailable"})
    )
    expect(page.get_by_text("That did not work.")).to_be_visible(timeout=15_000)
    page.unroute("**/api/gdpr/requests")
    expect(page.get_by_text("That did not work.")).to_be_hidden(timeout=15_000)
    waiting = page.get_by_role("article").filter(has_text="you have downloaded it, at the latest until")
    expect(waiting.get_by_role("heading", name=HEADINGS["en", "erasure"])).to_be_visible()
    expect(waiting.get_by_text("Done by, at the latest")).to_be_visible()
    looks_good(page, "status")
    page.emulate_media(color_scheme="dark")
    looks_good(page, "status-dark")
    page.emulate_media(color_scheme="light")
    page.route("https://s3.example.org/**", lambda route: route.fulfill(body=DATA, headers=AS_FILE))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my copy").click()
    assert Path(download.value.path()).read_bytes() == DATA
    # Whoever has their copy need not wait, and is asked once more.
    received = page.get_by_role("button", name="I have my copy")
    received.click()
    looks_good(page, "received")
    page.get_by_role("button", name="No, wait").click()
    expect(received).to_be_focused()
    assert table.worker.execute("SELECT FROM gdpr_exports WHERE received_at IS NOT NULL").rowcount == 0
    received.click()
    page.get_by_role("button", name="Yes, I have it: delete the rest").click()
    expect(page.get_by_role("status").filter(has_text="Thank you.")).to_be_visible()
    expect(received).to_have_count(0)
    assert table.worker.execute("SELECT FROM gdpr_exports WHERE received_at IS NOT NULL").rowcount == 1
    waiting = page.get_by_role("article").filter(has_text="Confirmed. The work begins soon.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the certificate").click()
    assert download.value.suggested_filename == f"erasure-certificate-{erased}.json"
    assert b'"signature"' in Path(download.value.path()).read_bytes()
    with page.expect_download() as download:
        page.get_by_role("button", name="The certificate as a page to read").click()
    assert download.value.suggested_filename == f"erasure-certificate-{erased}.html"
    assert b"<h1>Certificate of an erasure</h1>" in Path(download.value.path()).read_bytes()
    # What is under way is followed without loading the page anew.
    request_id = str(waiting.get_by_text(re.compile("[0-9a-f-]{36}")).text_content())
    cancel = waiting.get_by_role("button", name="Cancel this request")
    cancel.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="No, go on")).to_be_focused()
    looks_good(page, "cancel")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(cancel).to_be_focused()
    table.claim(request_id, "processing")
    table.worker.execute("UPDATE gdpr_requests SET progress = 'rows' WHERE request_id = %s", (request_id,))
    expect(page.get_by_text("We delete your data.")).to_be_visible(timeout=15_000)
    expect(page.get_by_role("button", name="Cancel this request")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.reload()
    expect(page.get_by_label("E-mail address")).to_be_visible()
    page.goto(f"/api/gdpr/status?lang=fr#token={token}")
    page.get_by_role("button", name="Afficher mes demandes").click()
    expect(page.get_by_text("Ce lien a déjà servi")).to_be_visible()
    looks_good(page, "status-again")
