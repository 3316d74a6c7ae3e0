"""The guard's own pages: sign in, give a reason, sign out. Without scripts."""

from __future__ import annotations

import secrets
from html import escape
from urllib.parse import quote

from starlette.responses import HTMLResponse

from ops_platform.guard.change import LONGEST_REASON
from ops_platform.guard.refusal import Refusal
from ops_platform.guard.sessions import Session

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f6f7f9;color:#1b2430}"
    "main{max-width:26rem;margin:12vh auto;padding:2rem;background:#fff;border:1px solid #d5dae1;"
    "border-radius:8px}h1{font-size:1.25rem;margin:0 0 1rem}label{display:block;margin:1rem 0 .25rem}"
    "input[type=text],input[type=password]{width:100%;box-sizing:border-box;font:inherit;padding:.5rem;"
    "border:1px solid #6b7685;border-radius:4px}"
    "button{margin-top:1.25rem;font:inherit;padding:.5rem 1.25rem;border:0;border-radius:4px;"
    "background:#1f3a5f;color:#fff;cursor:pointer}button:focus-visible,a:focus-visible,"
    "input:focus-visible{outline:3px solid #f5a623;outline-offset:2px}.told{border-left:4px solid #b3261e;"
    "padding:.25rem .75rem;background:#fdf0ef}a{color:#1f3a5f}"
)


def sign_in(next_path: str, told: str = "", status: int = 200, *, has_provider: bool = False) -> HTMLResponse:
    """Make the page that asks for name and password, or leads to the login provider."""
    start = f"/guard/login/start?next={quote(next_path, safe='')}"
    provider = f"<p><a href='{escape(start)}'>Sign in at your organisation</a></p>" if has_provider else ""
    return _page(
        "Sign in to Dagster",
        f"{_told(told)}{provider}<form method='post' action='/guard/login'>"
        f"<input type='hidden' name='next' value='{escape(next_path)}'>"
        "<label for='name'>Name</label>"
        "<input id='name' name='name' type='text' autocomplete='username' required autofocus>"
        "<label for='password'>Password</label>"
        "<input id='password' name='password' type='password' autocomplete='current-password' required>"
        "<button>Sign in</button></form>",
        status,
    )


def account(
    session: Session, reason: str | None, minutes: int, told: str = "", status: int = 200
) -> HTMLResponse:
    """Make the page of somebody who is signed in: who they are, their reason, and the way out."""
    identity = session.identity
    name = identity.actor.removeprefix("person:")
    key = f"<input type='hidden' name='key' value='{escape(session.form_key)}'>"
    now = f"<p>What you change now is recorded with: <strong>{escape(reason)}</strong></p>" if reason else ""
    asked = (
        f"<form method='post' action='/guard/reason'>{key}"
        "<label for='reason'>Why do you change something?</label>"
        f"<input id='reason' name='reason' type='text' maxlength='{LONGEST_REASON}' required>"
        f"<p>It counts for {minutes} minutes, is kept for ever, and is seen by all who see the run: write a "
        "ticket's number, not a customer's name.</p><button>Keep this reason</button></form>"
    )
    return _page(
        "Your session",
        f"{_told(told)}<p>You are <strong>{escape(name)}</strong>, {identity.role}.</p>"
        f"{now}{asked if identity.may('operator') else ''}<p><a href='/'>To Dagster</a></p>"
        f"<form method='post' action='/guard/logout'>{key}<button>Sign out</button></form>",
        status,
    )


def refused(refusal: Refusal) -> HTMLResponse:
    """Make the page that says why a request was refused."""
    return _page("Refused", f"{_told(refusal.message)}<p><a href='/'>To Dagster</a></p>", refusal.status)


def _told(text: str) -> str:
    return f"<p class='told' role='alert'>{escape(text)}</p>" if text else ""


def _page(title: str, content: str, status: int) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return HTMLResponse(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title><style nonce='{nonce}'>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{content}</main></body></html>",
        status,
        {"Content-Security-Policy": policy, "Cache-Control": "no-store"},
    )
