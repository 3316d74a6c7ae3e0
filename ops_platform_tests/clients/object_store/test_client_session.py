"""Times in the answers of S3 are read as boto3 reads them, whatever their form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ops_platform.clients.object_store.client_session import client_session, listed_at

MOMENT = datetime(2026, 12, 1, 0, 12, 33, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-12-01T00:12:33.000Z", "2026-12-01T00:12:33Z", "20261201T001233Z"])
def test_a_listing_s_time_is_read_at_once(text: str) -> None:
    assert listed_at(text) == MOMENT


@pytest.mark.parametrize(
    "value", ["Tue, 01 Dec 2026 00:12:33 GMT", "2026-12-01T00:12:33+00:00", "1796083953", 1796083953, "Z"]
)
def test_other_forms_are_left_to_boto3(value: object) -> None:
    assert listed_at(value) is None


@pytest.mark.parametrize(
    "text", ["2026-12-01T00:12:33.000Z", "Tue, 01 Dec 2026 00:12:33 GMT", "2026-12-01T01:12:33+01:00"]
)
def test_all_forms_are_read(text: str) -> None:
    client: Any = client_session().client("s3", "us-east-1", aws_access_key_id="-", aws_secret_access_key="-")
    shape = client.meta.service_model.operation_model("ListObjectsV2").output_shape
    body = f"<R><Contents><Key>k</Key><LastModified>{text}</LastModified></Contents></R>".encode()
    answer = client._response_parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)
    [item] = answer["Contents"]
    assert item["LastModified"] == MOMENT
    assert item["LastModified"].utcoffset() is not None
