"""Pauses between the attempts to send a mail."""

from __future__ import annotations

from ops_platform.clients.mail.outbox import pause_after


def test_back_off_grows_to_its_limit() -> None:
    pauses = [pause_after(n).total_seconds() for n in range(1, 40)]
    assert pauses[:4] == [10, 20, 40, 80]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 900
