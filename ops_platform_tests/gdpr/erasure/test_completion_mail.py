"""The last mail: what it says was deleted is what the certificate says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ops_platform.gdpr.certificates import Issued
from ops_platform.gdpr.erasure import completion_mail
from ops_platform.gdpr.requests import LANGUAGES, Language

KEPT = {"table": "invoices", "role": "buyer", "basis": "tax law", "term": "ten years", "rows": 2}
ACCEPTED = {"place": "minutes.body", "rows": 3, "because": "Minutes are not rewritten."}
EXCEPT = {"en": "except what is listed below", "fr": "sauf ce qui est indiqué ci-dessous"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kept", [[], [KEPT]])
@pytest.mark.parametrize("accepted", [[], [ACCEPTED]])
def test_it_lists_what_stays(
    language: Language, kept: list[dict[str, object]], accepted: list[dict[str, object]]
) -> None:
    document = {"kept_by_law": kept, "accepted": accepted, "last_backup_expires_at": "2026-06-01T00:00:00Z"}
    issued = Issued(
        "request", "certificate", json.dumps(document), "c2ln", "key", datetime(2026, 3, 1, tzinfo=UTC)
    )
    body = completion_mail.text(language, issued).body
    assert (EXCEPT[language] in body) == bool(kept or accepted)
    assert ("- invoices: tax law; ten years" in body) == bool(kept)
    assert ("- minutes.body: Minutes are not rewritten." in body) == bool(accepted)
    assert max(map(len, body.splitlines())) <= 110


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_of_which_backups_nothing_is_known(language: Language) -> None:
    databases = [
        {"name": "product", "last_backup_expires_at": "2026-06-01T00:00:00Z"},
        {"name": "billing", "last_backup_expires_at": None},
    ]
    document = {"kept_by_law": [], "last_backup_expires_at": "2026-06-01T00:00:00Z", "databases": databases}
    issued = Issued(
        "request", "certificate", json.dumps(document), "c2ln", "key", datetime(2026, 3, 1, tzinfo=UTC)
    )
    body = completion_mail.text(language, issued).body
    assert "billing" in body
    assert "product" not in body
    assert max(map(len, body.splitlines())) <= 110
