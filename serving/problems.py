"""One body for every error (RFC 9457), and the guard that no error gets past.

The `type` of a problem is stable: programs may compare it. Details are for people and may change.
Nothing of our insides is ever told; a fault carries an id under which the log has the whole story.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import Fault, nearest
from serving.schemas import Invalid, ProblemBody

__all__ = ["KINDS", "MEDIA_TYPE", "Guard", "Problem", "handle_problems"]

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """A sort of problem: its status and title, the same for every occurrence."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "bad-request": Kind(400, "The request cannot be read"),
        "unauthenticated": Kind(401, "No valid API key"),
        "forbidden": Kind(403, "The API key lacks a scope"),
        "not-found": Kind(404, "There is nothing here"),
        "method-not-allowed": Kind(405, "The method is not allowed here"),
        "invalid-request": Kind(422, "The request is not valid"),
        "internal": Kind(500, "A fault of the service"),
        "unavailable": Kind(503, "The store does not answer"),
    }
)
"""Every kind of problem, by the last part of its `type`, ``urn:foremend:problem:…``."""

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-store",
    }
)
"""On every response: nothing is sniffed, framed or kept."""

_log = logging.getLogger("foremend.service")


class Problem(Exception):
    """A request that is answered with a problem.

    Parameters
    ----------
    kind
        A key of `KINDS`.
    detail
        What is wrong with this very request.
    """

    def __init__(
        self, kind: str, detail: str, *, errors: Sequence[Invalid] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.errors, self.headers = kind, detail, tuple(errors), dict(headers or {})

    def response(self, instance: str | None = None) -> JSONResponse:
        """The response that says so."""
        kind = KINDS[self.kind]
        body = ProblemBody(
            type=f"urn:foremend:problem:{self.kind}", title=kind.title, status=kind.status,
            detail=self.detail, instance=instance, errors=list(self.errors),
        )  # fmt: skip
        return JSONResponse(
            body.model_dump(mode="json", by_alias=True), kind.status, self.headers, media_type=MEDIA_TYPE
        )


def handle_problems(app: FastAPI) -> None:
    """Answer every exception of `app` with a problem."""
    app.add_exception_handler(Problem, _told)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)


class Guard:
    """The outermost layer: security headers on every response, and a problem for every fault."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            await self.app(scope, receive, guarded)
        except Exception as error:
            response = _fault(error, scope)
            if started:
                raise
            await response(scope, receive, guarded)


def _fault(error: Exception, scope: Scope) -> JSONResponse:
    incident = uuid.uuid4()
    _log.error("incident %s: %s %s", incident, scope["method"], scope["path"], exc_info=error)
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError | Fault):
        problem = Problem("unavailable", "Try again in a moment.", headers={"Retry-After": "5"})
    else:
        problem = Problem("internal", "The log of the service has the details under this instance.")
    return problem.response(instance=f"urn:uuid:{incident}")


def _told(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - what it is registered for
    return error.response()


def _invalid(request: Request, error: Exception) -> JSONResponse:
    """All that is wrong with a request at once, each with a JSON pointer to its place."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [_where(one, _parameters(request)) for one in error.errors()]
    names = ", ".join(dict.fromkeys(_name(one.pointer) for one in errors))
    return Problem(
        "invalid-request", f"{len(errors)} of its values cannot be meant: {names}.", errors=errors
    ).response()


def _name(pointer: str) -> str:
    """The nearest name on the way to a place: of ``#/state/0`` the parameter, not which of its values."""
    return next((step for step in reversed(pointer.split("/")) if not step.isdigit()), pointer)


def _parameters(request: Request) -> list[str]:
    """What the route may be asked."""
    models = [one.field_info.annotation for one in request.scope["route"].dependant.query_params]
    return [name for model in models for name in getattr(model, "model_fields", ())]


def _where(error: Mapping[str, Any], parameters: Sequence[str]) -> Invalid:
    part, *path = (str(step) for step in error["loc"])
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)
    unknown = error["type"] == "extra_forbidden"
    detail = f"There is no such parameter. {nearest(path[-1], parameters)}" if unknown else error["msg"]
    return Invalid.model_validate({"in": part, "pointer": f"#{pointer}", "detail": detail})


def _refused(request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses by itself: an unknown route, another method."""
    assert isinstance(error, HTTPException)  # noqa: S101
    by_status = {kind.status: name for name, kind in KINDS.items()}
    name = by_status.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
    detail = {
        404: f"No route {request.url.path}.",
        405: f"{request.method} is not allowed on {request.url.path}.",
    }.get(error.status_code, f"{KINDS[name].title}.")
    return Problem(name, detail, headers=error.headers).response()
