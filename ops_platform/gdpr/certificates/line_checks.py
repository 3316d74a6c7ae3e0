"""Checks of a certificate, line by line and offline: each says what it looked at, and whether it holds."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ops_platform.audit import PublicKeys
from ops_platform.clients.timestamp_authority import SYSTEM_CA_FILE
from ops_platform.errors import OpsError
from ops_platform.gdpr.certificates import document, trusted_time
from ops_platform.gdpr.certificates.document import NotGenuine
from ops_platform.gdpr.certificates.trusted_time import CLOCKS_APART


@dataclass(frozen=True)
class LineCheck:
    """One line: ``name`` is what was checked; ``passed``; ``text`` says what was found."""

    name: str
    passed: bool
    text: str


def check(
    text: bytes, keys: PublicKeys, map_document: str | None = None, timestamp_roots: Path = SYSTEM_CA_FILE
) -> list[LineCheck]:
    """Check a certificate file in every respect; needs neither a database nor the network.

    ``map_document``: the map that it names, as ``map_store`` keeps it; None: it is not compared.
    ``timestamp_roots``: PEM of the roots of the authority of its trusted time. A file that
    cannot be read as a certificate has one line, since nothing in it can be believed.
    """
    try:
        certificate = document.verify(text, keys)
    except NotGenuine as error:
        return [LineCheck("signature", False, str(error))]
    lines = [
        LineCheck("signature", True, "it is as it was signed"),
        _left(certificate),
        _times(certificate),
        _trusted_time(text, certificate, timestamp_roots),
    ]
    return [*lines, *_map(certificate, map_document)]


def _left(certificate: Mapping[str, Any]) -> LineCheck:
    """Check that nothing of the subject is left where it is not kept by law, or accepted."""
    left = [
        f"{effect['after']} in {effect['place']} as {effect['role']}"
        for effect in certificate.get("effects", ())
        if effect["after"] and effect["store"] != "backups" and not effect["action"].startswith("keep")
    ]
    if certificate.get("residue_rows") != 0:
        left.append(f"{certificate.get('residue_rows')} rows with an identifier")
    return LineCheck(
        "nothing left", not left, ", ".join(left) or "nothing but what is kept by law or accepted"
    )


def _times(certificate: Mapping[str, Any]) -> LineCheck:
    """Check that the times are in the order in which things happen; unknown ones are passed over."""
    names = ("received_at", "confirmed_at", "cutoff", "done_at", "issued_at")
    of_processors = [
        [
            (f"told_at of {processor['name']}", processor["told_at"]),
            (f"acknowledged_at of {processor['name']}", processor["acknowledged_at"]),
            ("issued_at", certificate["issued_at"]),
        ]
        for processor in certificate.get("processors", ())
    ]
    orders = [[(name, certificate.get(name)) for name in names], *of_processors]
    wrong = [
        f"{later} is before {earlier}"
        for order in orders
        for (earlier, first), (later, second) in itertools.pairwise((name, at) for name, at in order if at)
        if datetime.fromisoformat(second) < datetime.fromisoformat(first) - CLOCKS_APART
    ]
    return LineCheck("times", not wrong, ", ".join(wrong) or _punctuality(certificate))


def _trusted_time(text: bytes, certificate: Mapping[str, Any], roots: Path) -> LineCheck:
    """Check the token of the authority, if there is one, and that it is from after the issue."""
    name = "trusted time"
    try:
        token = document.trusted_time_in(text)
        if token is None:
            return LineCheck(name, True, "no trusted time yet: the times are the issuer's own")
        at = trusted_time.verify(token, document.canonical(certificate), roots)
    except OpsError as error:
        return LineCheck(name, False, str(error))
    if at < datetime.fromisoformat(certificate["issued_at"]) - CLOCKS_APART:
        return LineCheck(name, False, f"{at:%F %T} UTC is before it was issued")
    return LineCheck(name, True, f"it existed at {at:%F %T} UTC, says a time stamping authority")


def _punctuality(certificate: Mapping[str, Any]) -> str:
    due, done = certificate.get("due_at"), certificate.get("done_at")
    if not due or not done:
        return "in order; no request with a term is known"
    late = datetime.fromisoformat(done) - datetime.fromisoformat(due)
    hours = late.total_seconds() / 3600
    return f"in order; done {hours:.1f} h after it was due" if hours > 0 else "in order; done within the term"


def _map(certificate: Mapping[str, Any], map_document: str | None) -> Iterator[LineCheck]:
    if map_document is None:
        return
    found = hashlib.sha256(map_document.encode()).hexdigest()
    named = certificate.get("map_sha256") or certificate["map_version"]
    same = found.startswith(named)
    yield LineCheck(
        "map", same, f"it is the map {named}" if same else f"the map is {found}, the certificate's is {named}"
    )
