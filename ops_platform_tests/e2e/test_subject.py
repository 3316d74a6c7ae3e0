"""A data subject's way through a real browser: request, mail, confirmation, status, download."""

from __future__ import annotations

import json
import os
import re
import signal
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from ops_platform.clients import object_store
from ops_platform.clients.mail import maildir
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.waiting import wait_until
from ops_platform_tests.e2e.browser import browser
from ops_platform_tests.running_stack import RunningStack

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

CALL = """
async ([method, path, bearer, body]) => {
  const answer = await fetch(path, {
    method: method,
    headers: { "Authorization": "Bearer " + bearer, "Content-Type": "application/json" },
    body: body === null ? undefined : JSON.stringify(body),
  });
  return [answer.status, await answer.json()];
}
"""


class Subject:
    """Somebody who is signed in to the product, with a browser."""

    def __init__(self, stack: RunningStack, context: BrowserContext, nth: int) -> None:
        self.stack = stack
        self.since = datetime.now(UTC)
        with postgres.session(stack.settings.require("product_database_url")) as product:
            row = product.execute(
                "SELECT c.id, c.handle FROM creators c JOIN media m ON m.creator_id = c.id"
                " WHERE m.state = 'ready' GROUP BY 1, 2 ORDER BY count(*) DESC, c.id OFFSET %s LIMIT 1",
                (nth,),
            ).fetchone()
        assert row is not None
        self.key = str(row["id"])
        token = stack.run("gdpr", "token", "--subject", self.key)
        assert token.returncode == 0, token.stderr
        self.bearer = token.stdout.strip()
        self.page: Page = context.new_page()
        self.page.goto("/api/gdpr/verify")

    def call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """As the product's own page would, which has the bearer."""
        status, answer = self.page.evaluate(CALL, [method, path, self.bearer, body])
        return status, answer

    def request(self, request_type: str) -> str:
        status, answer = self.call("POST", "/api/gdpr/request", {"request_type": request_type})
        assert status == 202, answer
        return str(answer["request_id"])

    def mail(self, request_id: str, words: str) -> str:
        """The text of the mail about the request that holds ``words``."""

        def arrived() -> str | None:
            directory = self.stack.settings.mail_dir
            assert directory is not None
            found = (one.text for one in maildir.since(directory, self.since))
            return next((one for one in found if request_id in one and words in one), None)

        return wait_until(arrived, 60, f"a mail with {words!r}", interval=0.5)

    def status(self, request_id: str) -> dict[str, Any]:
        code, answer = self.call("GET", f"/api/gdpr/status/{request_id}")
        assert code == 200, answer
        return answer


def finished(subject: Subject, request_id: str) -> None:
    wait_until(
        lambda: subject.status(request_id)["status"] == "completed", 240, "the request's end", interval=1
    )


def downloaded(subject: Subject, request_id: str, directory: Path) -> Path:
    """What the browser saves when the link is opened."""
    status, answer = subject.call("GET", f"/api/gdpr/download/{request_id}")
    assert status == 200, answer
    with subject.page.expect_download() as begun:
        subject.page.evaluate("url => { location.assign(url); }", answer["url"])
    file = directory / "export.zip"
    begun.value.save_as(file)
    return file


def expired(stack: RunningStack, request_id: str) -> None:
    """Its 72 hours are over."""
    with psycopg.connect(stack.settings.require("owner_database_url")) as ops:
        ops.execute(
            "UPDATE gdpr_exports SET completed_at = completed_at - interval '73 hours',"
            " expires_at = expires_at - interval '73 hours' WHERE request_id = %s",
            (request_id,),
        )


def test_a_click_on_the_mailed_link_confirms_an_export(stack: RunningStack, tmp_path: Path) -> None:
    with browser(stack, "en-GB") as context:
        subject = Subject(stack, context, 1)
        request = subject.request("export")
        mail = subject.mail(request, "#request=")
        [link] = re.findall(r"https://\S+#request=\S+", mail)
        page = context.new_page()
        page.goto(link)
        expect(page.get_by_role("heading", level=1)).to_have_text("A copy of my data")
        assert "token" not in page.url
        assert subject.status(request)["status"] == "pending"
        page.get_by_role("button", name="Prepare my copy").click()
        expect(page.get_by_role("status").filter(has_text="ready for download")).to_be_focused()
        finished(subject, request)
        archive = zipfile.ZipFile(downloaded(subject, request, tmp_path))
        assert archive.testzip() is None
        profile = json.loads(archive.read("data/profiles/profile.json"))
        assert subject.key in json.dumps(profile)
        expired(stack, request)
        assert subject.call("GET", f"/api/gdpr/download/{request}")[0] == 410
        exports = object_store.from_settings(stack.settings, "exports")
        assert list(exports.versions(f"{request}/")) != []
        # The agent looks every five minutes, and when it starts.
        agent = stack.pids()["agent"]
        assert agent is not None
        os.kill(agent, signal.SIGKILL)
        wait_until(lambda: not list(exports.versions(f"{request}/")), 90, "every version goes", interval=1)


def test_a_typed_code_confirms_an_erasure_by_keyboard_in_french(stack: RunningStack) -> None:
    with browser(stack, "fr-FR") as context:
        subject = Subject(stack, context, 2)
        request = subject.request("erasure")
        mail = subject.mail(request, request)
        [code] = re.findall(r"(?:[0-9A-Z]{4}-){12}[0-9A-Z]{4}", mail)
        page = subject.page
        expect(page.locator("html")).to_have_attribute("lang", "fr")
        page.get_by_label("Demande", exact=True).focus()
        page.keyboard.type(request)
        page.keyboard.press("Tab")
        page.keyboard.type(code.lower().replace("-", " "))
        page.keyboard.press("Enter")
        button = "Supprimer définitivement mon compte et mes données"
        expect(page.get_by_role("heading", level=1)).to_have_text(button)
        page.get_by_role("button", name=button).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").filter(has_text="supprimés dans les 72 heures")).to_be_focused()
        finished(subject, request)
        subject.mail(request, "Le certificat est joint")
