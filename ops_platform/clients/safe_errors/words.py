"""The parts of third parties' messages that may be shown: known phrases, servers, a program's line.

The exceptions that the texts come from are not known here.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import urlsplit

LONGEST = 300
"""Characters that are shown of a line of a third party."""

_ADDRESS = re.compile(r"[^\s\"'<>()\[\]{},;=]+@[^\s\"'<>()\[\]{},;]+")
_LOGIN = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/\"']*@", re.IGNORECASE)
_SECRET = re.compile(
    r"\b((?:\w+[_-])?(?:password|passwd|passphrase|pass|secret|token|api[_-]?key))(\s*[=:]\s*)\S+",
    re.IGNORECASE,
)

_NAME = r"\"[^\"@\s]{1,63}\""
_HOST = r"[\w.:*-]{1,253}"
# Whole phrases of PostgreSQL's server and client, of psycopg and of the operating system. They quote
# names of roles, databases, hosts and files only.
_PHRASES = (
    rf"(?:password|peer|ident|certificate|LDAP|GSSAPI|PAM) authentication failed for user {_NAME}",
    rf"role {_NAME} (?:does not exist|is not permitted to log in)",
    rf"database {_NAME} (?:does not exist|is not currently accepting connections)",
    r"permission denied for (?:database|schema|table|view|sequence|function) [\w.$\"]{1,130}",
    rf"no pg_hba\.conf entry for (?:replication connection from )?host \"{_HOST}\", user {_NAME}"
    rf"(?:, database {_NAME})?(?:, (?:no encryption|SSL encryption|GSS encryption|SSL o(?:n|ff)))?",
    r"the database system is (?:starting up|shutting down|in recovery mode)",
    r"the database system is not (?:yet )?accepting connections",
    r"sorry, too many clients already",
    r"remaining connection slots are reserved",
    rf"too many connections for (?:role|database) {_NAME}",
    r"terminating connection (?:due to [\w -]{3,60}|because of crash of another server process)",
    r"canceling statement due to [\w ]{3,60}",
    r"server closed the connection unexpectedly",
    r"no password supplied",
    r"server does not support SSL, but SSL was required",
    rf"server certificate for \"{_HOST}\" does not match host name \"{_HOST}\"",
    r"root certificate file \"[^\"@\s]{1,200}\" does not exist",
    r"private key file \"[^\"@\s]{1,200}\" has group or world access",
    r"certificate verify failed",
    r"SSL SYSCALL error: EOF detected",
    r"the connection is (?:closed|lost)",
    r"the pool '[\w-]{1,63}' is (?:closed|not open yet)",
    r"couldn't get a connection after [\d.]+ sec",
    r"connection timeout expired",
    r"timeout expired",
    rf"invalid (?:integer )?value \".*\" for connection option {_NAME}",
    r"invalid (?:sslmode|channel_binding|gssencmode|target_session_attrs|require_auth) value",
    r"invalid port number",
    r"invalid page in block \d+ of relation [\w/.]{1,100}",
    r"could not read blocks? \d+(?:\.\.\d+)? in file \"[\w/.]{1,100}\"",
    r"could not open file \"[\w/.]{1,100}\"",
    r"missing chunk number \d+ for toast value \d+ in [\w.]{1,100}",
    r"unexpected chunk number \d+ \(expected \d+\) for toast value \d+ in [\w.]{1,100}",
    rf"(?:relation|schema|extension) {_NAME} does not exist",
    r"invalid memory alloc request size \d+",
    r"could not access status of transaction \d+",
    r"compressed pglz data is corrupt",
    r"Connection (?:refused|reset by peer|timed out)",
    r"No route to host",
    r"Network is unreachable",
    r"Name or service not known",
    r"No address associated with hostname",
    r"Temporary failure in name resolution",
    r"Servname not supported for ai_socktype",
    r"No such file or directory",
    r"Permission denied",
    r"No space left on device",
    r"Read-only file system",
    r"Too many open files",
    r"Cannot allocate memory",
    r"Broken pipe",
    r"timed out",
)
_SERVER = (
    rf"connection to server at \"(?P<host>{_HOST})\"(?: \({_HOST}\))?, port (?P<port>\d{{1,5}})\b"
    rf"|connecting to (?P<tcp>{_HOST}:\d{{1,5}})\b"
    r"|on socket \"(?P<socket>/[\w/.-]{1,120})\""
    rf"|resolve host '(?P<name>{_HOST})'|translate host name \"(?P<other>{_HOST})\""
)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile when first needed: these take a tenth of a second, and most processes meet no error."""
    return re.compile(pattern)


def sentence(head: str, *, where: str = "", why: str = "") -> str:
    """Join the parts as ``head at where: why``; leave empty ones out."""
    at = f" at {where}" if where else ""
    return f"{head}{at}: {why}" if why else f"{head}{at}"


_QUOTED = re.compile(r"\".*\"|'.*'|«.*»|».*«|„.*“|“.*”")


def scrub(text: str) -> str:
    """Return ``text`` as one line of at most LONGEST characters, mail addresses and secrets masked."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    line = _LOGIN.sub(r"\1", line)
    line = _SECRET.sub(r"\1\2***", line)
    return _ADDRESS.sub("***", line)[:LONGEST]


def reason(text: str) -> str:
    """Pick up to three known phrases out of a text, in its order; empty when it holds none."""
    phrases: list[str] = []
    for match in _compiled("|".join(_PHRASES)).finditer(text):
        phrase = re.sub(r"value \".*\" for", "value for", match[0])
        if phrase not in phrases:
            phrases.append(phrase)
    return "; ".join(phrases[:3])


def server(text: str) -> str:
    """Pick host and port, or the socket, out of a text about a connection; empty when it names none."""
    match = _compiled(_SERVER).search(text)
    if match is None:
        return ""
    if match["host"]:
        return f"{match['host']}:{match['port']}"
    return next((part for part in match.groups()[2:] if part), "")


def address(url: str) -> str:
    """Return scheme, host, port and path of a URL, without user, password and query."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an address that cannot be read"
    # A password with a slash that is not escaped ends up in the path.
    if not host or "@" in parts.path:
        return "an address that cannot be read"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path}"


def service(text: str) -> str:
    """Return the first line of a service's own answer to a bad request, masked as ``scrub`` does."""
    lines = text.strip().splitlines()
    return _QUOTED.sub('"***"', scrub(lines[0]))[:200] if lines else ""


def program_first_line(text: str) -> str:
    """Return the first line of a program's output, without the server's words that may quote a row.

    PostgreSQL's programs pass the server's message on without its SQLSTATE, so only known phrases are
    shown of the text behind ``ERROR:``.
    """
    return _safe_line(text.strip().splitlines()[:1])


def program_last_line(text: str) -> str:
    """Return the last line of a program's output, as ``program_first_line`` returns the first."""
    return _safe_line(text.strip().splitlines()[-1:])


def _safe_line(lines: list[str]) -> str:
    if not lines:
        return "it said nothing"
    own_text, mark, server_text = _split(lines[0])
    if not mark:
        return scrub(own_text)
    return " ".join(
        f"{scrub(own_text)} {mark} {reason(server_text) or 'see its log, the words may quote rows'}".split()
    )


def _split(line: str) -> tuple[str, str, str]:
    match = re.search(
        r"\b(ERROR|FATAL|PANIC|DETAIL|CONTEXT|STATEMENT|HINT|detail|Command was):|\S+:(?=  )|\bLINE \d+:",
        line,
    )
    if match is None:
        return line, "", ""
    return line[: match.start()], match[0], line[match.end() :]
