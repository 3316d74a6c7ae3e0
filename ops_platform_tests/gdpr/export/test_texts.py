"""The texts of an export, in all its languages."""

from __future__ import annotations

from ops_platform.gdpr.export.texts import RIGHTS, TEXTS


def test_the_texts_are_in_both_languages() -> None:
    assert set(TEXTS["en"]) == set(TEXTS["fr"])
    assert [one[0] for one in RIGHTS["en"]] == [one[0] for one in RIGHTS["fr"]]
