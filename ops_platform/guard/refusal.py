"""A request that the guard does not let through: its reason for people, for programs and for the metrics."""

from __future__ import annotations

from typing import Any

CODES = (
    "host",
    "origin",
    "method",
    "content-type",
    "too-large",
    "malformed",
    "signed-out",
    "wrong-password",
    "too-many-attempts",
    "role",
    "unknown-mutation",
    "several-changes",
    "reason-missing",
    "ledger-away",
    "webserver-away",
    "provider-away",
    "endpoint",
)
"""Each kind of refusal, as the label ``code`` of the metrics."""


class Refusal(Exception):
    """A refused request: HTTP ``status``, ``code`` of the metrics, and a message that says what to do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def mutation(self, key: str) -> dict[str, Any]:
        """Make the answer to a mutation as Dagster words a failure, in a dialog of its UI."""
        failure = {"__typename": "PythonError", "message": self.message}
        lists: dict[str, list[Any]] = {"stack": [], "causes": [], "errorChain": []}
        return {"data": {key: {**failure, **lists}}, "extensions": {"code": self.code}}

    def graphql(self) -> dict[str, Any]:
        """Make the answer in the form of GraphQL."""
        error = {"message": self.message, "extensions": {"code": self.code}}
        return {"data": None, "errors": [error]}
