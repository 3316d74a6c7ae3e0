"""The guard's own pages under ``/guard/``: sign in, give a reason, sign out."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ops_platform.guard import boundary, pages
from ops_platform.guard.accounts import Accounts, Identity
from ops_platform.guard.change import clean
from ops_platform.guard.identity import Caller, Doorkeeper
from ops_platform.guard.login.attempts import Attempts
from ops_platform.guard.login.provider import CALLBACK, Provider
from ops_platform.guard.login.proxy import TrustedProxy
from ops_platform.guard.refusal import Refusal
from ops_platform.guard.sessions import Sessions

log = logging.getLogger(__name__)

LARGEST_FORM_BYTES = 8192
HASHES_AT_ONCE = 2
"""Each takes 32 MiB and 0.2 s of a CPU."""
OUTSIDE = ("/guard/login", "/guard/login/start", CALLBACK)
"""Pages for those who have not signed in yet."""


class Entrance:
    """Lets people in and out."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        doorkeeper: Doorkeeper,
        attempts: Attempts,
        proxy: TrustedProxy,
        provider: Provider | None,
        reason_seconds: float,
    ) -> None:
        self._accounts, self._sessions, self._doorkeeper = accounts, sessions, doorkeeper
        self._attempts, self._proxy, self._provider = attempts, proxy, provider
        self._reason_seconds = reason_seconds
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)

    # --- in -----------------------------------------------------------------------------------------

    async def outside(self, request: Request, path: str, refused: Callable[[Refusal], None]) -> Response:
        """Answer a page for those who have not signed in. Raises Refusal."""
        if path == "/guard/login" and request.method == "POST":
            return await self._password(request, refused)
        if request.method not in ("GET", "HEAD"):
            raise Refusal(405, "method", "Here only GET.")
        next_path = boundary.local_path(request.query_params.get("next", "/"))
        if path == "/guard/login":
            peer = request.client.host if request.client else None
            named = self._proxy.named(peer, request.headers)
            if named is not None:
                return self._enter(self._accounts.of_provider(*named), next_path)
            return pages.sign_in(next_path, has_provider=self._provider is not None)
        if self._provider is None:
            raise Refusal(404, "endpoint", "There is no login provider here.")
        if path == "/guard/login/start":
            answer, mark = await self._provider.begin(request, next_path)
            answer.headers["Set-Cookie"] = self._doorkeeper.attempt_cookie(mark)
            answer.headers["Cache-Control"] = "no-store"
            return answer
        mark = self._doorkeeper.attempt(request.headers)
        name, groups, wanted = await self._provider.end(request, mark)
        return self._enter(self._accounts.of_provider(name, groups), wanted)

    async def _password(self, request: Request, refused: Callable[[Refusal], None]) -> Response:
        form = await self._form(request)
        name, password = form.get("name", ""), form.get("password", "")
        next_path = boundary.local_path(form.get("next", "/"))
        address = self._proxy.client(request.client.host if request.client else None, request.headers)
        try:
            self._attempts.begin(address, name)
            async with self._hashing:
                identity = await run_in_threadpool(self._accounts.person, name[:100], password[:1000])
            if identity is None:
                raise Refusal(401, "wrong-password", "Name or password is wrong.")
        except Refusal as refusal:
            refused(refusal)
            return pages.sign_in(
                next_path, refusal.message, refusal.status, has_provider=self._provider is not None
            )
        self._attempts.succeeded(address, name)
        return self._enter(identity, next_path)

    def _enter(self, identity: Identity | None, next_path: str) -> Response:
        if identity is None:
            raise Refusal(
                403, "role", "You are known, but have no role here: ask an admin to name you or your group."
            )
        token = self._sessions.begin(identity)
        log.info("%s signed in as %s", identity.actor, identity.role)
        cookie = self._doorkeeper.set_cookie(token)
        return RedirectResponse(next_path, 303, {"Set-Cookie": cookie, "Cache-Control": "no-store"})

    # --- inside -------------------------------------------------------------------------------------

    async def inside(self, request: Request, path: str, caller: Caller) -> Response:
        """Answer a page of somebody who has signed in. Raises Refusal."""
        session = caller.session
        if session is None:
            raise Refusal(403, "endpoint", "This page is for people in browsers.")
        minutes = round(self._reason_seconds / 60)
        if request.method in ("GET", "HEAD") and path in ("/guard", "/guard/", "/guard/reason"):
            return pages.account(session, self._sessions.reason(session), minutes)
        if request.method != "POST" or path not in ("/guard/reason", "/guard/logout"):
            raise Refusal(404, "endpoint", "There is no such page.")
        form = await self._form(request)
        if not hmac.compare_digest(form.get("key", "").encode(), session.form_key.encode()):
            raise Refusal(403, "origin", "The form is not of this session: open the page anew.")
        if path == "/guard/logout":
            self._sessions.end(caller.token)
            headers = {"Set-Cookie": self._doorkeeper.drop_cookie(), "Clear-Site-Data": '"cache"'}
            return RedirectResponse("/guard/login", 303, headers)
        reason = clean(form.get("reason"))
        if reason is None:
            told = "Write a reason of at least four characters."
            return pages.account(session, self._sessions.reason(session), minutes, told, 422)
        self._sessions.give_reason(session, reason, self._reason_seconds)
        return RedirectResponse("/guard/reason", 303)

    async def _form(self, request: Request) -> Mapping[str, str]:
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method != "POST" or media != "application/x-www-form-urlencoded":
            raise Refusal(415, "content-type", "This page takes its own form only.")
        try:
            text = (await boundary.body(request, LARGEST_FORM_BYTES)).decode()
            fields = parse_qs(text, keep_blank_values=True, max_num_fields=10)
        except ValueError:
            raise Refusal(400, "malformed", "The form cannot be read.") from None
        return {name: values[0] for name, values in fields.items() if len(values) == 1}
