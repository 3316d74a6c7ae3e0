"""Who asks: a program by its token, a person by the cookie of a session."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from starlette.datastructures import Headers

from ops_platform.guard.accounts import Accounts, Identity
from ops_platform.guard.refusal import Refusal
from ops_platform.guard.sessions import Session, Sessions


@dataclass(frozen=True)
class Caller:
    """Who asks, and the session of a person; None for a program."""

    identity: Identity
    session: Session | None = None
    token: str = ""


class Doorkeeper:
    """Recognises callers."""

    def __init__(self, accounts: Accounts, sessions: Sessions, file: Path, is_https: bool) -> None:
        self._accounts, self._sessions, self._is_https = accounts, sessions, is_https
        # Cookies know no ports: two guards of one host must not end each other's sessions.
        mark = hashlib.sha256(str(file).encode()).hexdigest()[:8]
        self.cookie = f"{'__Host-' if is_https else ''}ops-dagster-{mark}"

    def recognise(self, headers: Headers) -> Caller:
        """Return who asks. Raises Refusal when nobody is known by what the request shows."""
        shown = headers.getlist("authorization")
        if shown:
            scheme, _, token = shown[0].partition(" ")
            program = self._accounts.program(token.strip()) if scheme.lower() == "bearer" else None
            if program is None or len(shown) > 1:
                raise _signed_out("This token is not known here: look at OPS_DAGSTER_TOKEN.")
            return Caller(program)
        token = self._token(headers)
        session = self._sessions.find(token) if token else None
        if session is not None:
            identity = self._accounts.current(session.identity)
            if identity is not None:
                session.identity = identity
                return Caller(identity, session, token)
            self._sessions.end(token)
        raise _signed_out(
            "Sign in at /guard/login; programs send 'Authorization: Bearer' with OPS_DAGSTER_TOKEN."
        )

    def stands(self, caller: Caller) -> bool:
        """Tell whether a caller of a while ago may go on."""
        if caller.session is None:
            return True
        return self._accounts.current(caller.identity) is not None and self._sessions.is_live(caller.session)

    def set_cookie(self, token: str) -> str:
        """Make the header that gives a browser its session's token."""
        return f"{self.cookie}={token}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if self._is_https else ''}"

    def drop_cookie(self) -> str:
        """Make the header that takes it away."""
        return f"{self.set_cookie('')}; Max-Age=0"

    def attempt_cookie(self, mark: str) -> str:
        """Make the header that binds a sign-in at the provider to the browser that began it."""
        return self.set_cookie(mark).replace(self.cookie, f"{self.cookie}-login", 1)

    def attempt(self, headers: Headers) -> str:
        """Return the mark that ``attempt_cookie`` gave; empty when there is none."""
        return self._value(headers, f"{self.cookie}-login")

    def _token(self, headers: Headers) -> str:
        return self._value(headers, self.cookie)

    def _value(self, headers: Headers, name: str) -> str:
        cookies: Mapping[str, object] = {}
        try:
            cookies = SimpleCookie("; ".join(headers.getlist("cookie")))
        except CookieError:
            return ""
        found = cookies.get(name)
        return str(getattr(found, "value", ""))


def _signed_out(message: str) -> Refusal:
    return Refusal(401, "signed-out", message)
