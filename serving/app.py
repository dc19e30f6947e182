"""Wiring: the service as one application."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware

from features.workspace import Workspace
from serving.api import open_routes, v1
from serving.problems import Guard, handle_problems
from serving.schemas import ProblemBody
from serving.settings import Settings
from serving.store import open_store

__all__ = ["create_app"]


def create_app(workspace: Workspace, settings: Settings) -> FastAPI:
    """The service over a workspace's store, which is made or brought up to date first.

    There are no pages of documentation, for theirs load scripts from elsewhere; the description
    itself is at ``/v1/openapi.json``.
    """
    app = FastAPI(
        title="Foremend",
        summary="Failure risk, ticket forecasts and proposed visits of a service fleet.",
        version=version("foremend"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Guard)],
    )
    app.state.engine = open_store(workspace, settings)
    app.include_router(open_routes)
    app.include_router(v1)
    handle_problems(app)
    app.openapi = lambda: _description(app)  # type: ignore[method-assign]
    return app


def _description(app: FastAPI) -> dict[str, Any]:
    """OpenAPI, with the body of problems among its schemas: the framework knows none of its own errors."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
        made["components"]["schemas"] |= problem.pop("$defs") | {ProblemBody.__name__: problem}
        app.openapi_schema = made
    return app.openapi_schema
