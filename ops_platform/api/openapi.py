"""Additions to FastAPI's own /openapi.json: problems, bodies, the bearer token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from ops_platform import __version__
from ops_platform.api.problems import MEDIA_TYPE, ProblemDocument

_MEANINGS = {
    400: "The body is not JSON.",
    401: "No bearer token, or one that is not valid.",
    403: "The token is good, but there is no account with an address.",
    404: "There is no such request of yours.",
    408: "The body did not arrive in time.",
    409: "The request is in a state where this cannot be done.",
    410: "It is too late: the token is no longer valid, or the export has been deleted.",
    413: "The request is too large.",
    415: "The body is not application/json.",
    422: "The body is JSON, but not what is expected here.",
    429: "Too many requests: see Retry-After.",
    503: "A service behind the API is away: see Retry-After.",
}
_RATE_HEADERS = ("RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
DESCRIPTION = """Erasure (Art. 17 GDPR) and export (Art. 15, 20) of your own data.

Make a request, use the token that is mailed to the address on record, look at the status. At most
five state-changing requests in any 15 minutes, for each address and for each subject. Errors are
`application/problem+json` (RFC 9457)."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Build the ``responses`` of a route: its problem documents by status."""
    return {status: _problem(status) for status in statuses}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Build the ``openapi_extra`` of a route that reads its body by itself."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def describe(app: FastAPI, bodies: list[type[BaseModel]]) -> Callable[[], dict[str, Any]]:
    """Return a function that builds the document when it is first called, and returns it every time."""
    cached: dict[str, Any] = {}

    def document() -> dict[str, Any]:
        if not cached:
            cached.update(
                get_openapi(
                    title="Data subjects' requests",
                    version=__version__,
                    description=DESCRIPTION,
                    routes=app.routes,
                )
            )
            _complete(cached, bodies)
        return cached

    return document


def _complete(document: dict[str, Any], bodies: list[type[BaseModel]]) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    models: list[type[BaseModel]] = [*bodies, ProblemDocument]
    for model in models:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "session": {
            "type": "http",
            "scheme": "bearer",
            "description": "The session of a sign-in by mail, for 15 minutes.",
        },
    }
    for path in document["paths"].values():
        for operation in path.values():
            answers = operation["responses"]
            # FastAPI documents its own 422 for every parameter; a text parameter never causes one.
            if "HTTPValidationError" in str(answers.get("422")):
                del answers["422"]
            if "429" in answers:
                headers = {name: {"schema": {"type": "string"}} for name in _RATE_HEADERS}
                for answer in answers.values():
                    answer["headers"] = {**headers, **answer.get("headers", {})}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _problem(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": _MEANINGS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
    if status in (429, 503):
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return response
