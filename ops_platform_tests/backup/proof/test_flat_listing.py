"""The files of the sets, listed a thousand a request, are what pgBackRest itself lists folder by folder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops_platform.backup.proof import FilesLook
from ops_platform_tests.backup.site import Site


@pytest.mark.services
def test_both_listings_agree(backed_up: Site) -> None:
    ours = FilesLook.of(backed_up.context)
    assert ours.flat is not None
    listed = ours._list_all()
    assert set(listed) == set(backed_up.labels())
    assert listed == replace(ours, flat=None)._list_all()
