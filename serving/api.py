"""The routes: thin, over stored results. They compute nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Security
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, RowMapping, Select

from serving.auth import Identity, Store, caller
from serving.problems import KINDS, MEDIA_TYPE, Problem
from serving.schemas import (
    AssetHealth,
    Cursor,
    Forecast,
    ForecastPage,
    ForecastQuery,
    Health,
    Invalid,
    ProblemBody,
    Proposal,
    ProposalPage,
    ProposalQuery,
    Quantile,
    Reason,
    RiskPage,
    RiskQuery,
    RiskScore,
)  # fmt: skip
from serving.store.digests import digest
from serving.store.forecasts import forecast_run, newest_forecast_run, select_forecasts
from serving.store.paging import Order, Page, page
from serving.store.scores import horizons_of, newest_run, probabilities_of, scoring_run, select_scores
from serving.store.tables import forecasts, probabilities, proposals, scores
from serving.store.work import select_proposals
from serving.words import Language, health_in_words, language_of, reason_in_words, why_in_words

__all__ = ["open_routes", "v1"]

Reader = Annotated[Identity, Security(caller, scopes=["read"])]
AcceptLanguage = Annotated[str, Header(max_length=1000)]

QUANTILES: Mapping[str, float] = {"lo95": 0.025, "lo80": 0.1, "hi80": 0.9, "hi95": 0.975}
"""The quantile at which each bound of an interval stands."""


def _problems(*names: str) -> dict[int | str, dict[str, Any]]:
    """How a route may fail, for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}}}
    return {KINDS[name].status: {"description": KINDS[name].title, "content": content} for name in names}


open_routes = APIRouter(responses=_problems("internal"))
v1 = APIRouter(
    prefix="/v1", responses=_problems("unauthenticated", "forbidden", "invalid-request", "internal", "unavailable")
)


@open_routes.get("/healthz")
def healthz() -> Health:
    """Whether the service answers. Needs no key and tells nothing."""
    return Health()


@v1.get("/openapi.json", response_class=JSONResponse)
def openapi(request: Request, _: Reader) -> JSONResponse:
    """The description of this service, as OpenAPI has it."""
    return JSONResponse(request.app.openapi())


@v1.get("/risk-scores")
def risk_scores(
    query: Annotated[RiskQuery, Query()], engine: Store, _: Reader, accept_language: AcceptLanguage = ""
) -> RiskPage:
    """Every asset's risk at the newest cut-off, the riskiest first."""
    with engine.connect() as connection:
        cursor = _cursor(query.cursor, query.meaning())
        run = scoring_run(connection, cursor.run) if cursor else newest_run(connection)
        if run is None:
            return RiskPage(data=[], has_more=False, next_cursor=None)
        horizon = _horizon(query.horizon, horizons_of(connection, run["run_id"]))
        chosen = _only(
            select_scores(run["run_id"], horizon),
            {scores.c.asset_id: query.asset, scores.c.region: query.region, scores.c.asset_model: query.asset_model},
        )
        if query.min_probability is not None:
            chosen = chosen.where(probabilities.c.probability >= query.min_probability)
        found = _page(connection, chosen, _risk_order(query.sort), query.limit, cursor)
        chances = probabilities_of(connection, run["run_id"], [row["asset_id"] for row in found.rows])
    language = language_of(accept_language)
    data = [_risk_score(run, row, chances[row["asset_id"]], language) for row in found.rows]
    return RiskPage(data=data, **_further(found, run["run_id"], query.meaning()))


@v1.get("/forecasts")
def list_forecasts(query: Annotated[ForecastQuery, Query()], engine: Store, _: Reader) -> ForecastPage:
    """The newest stored forecast: tickets by series and period, with quantiles."""
    with engine.connect() as connection:
        cursor = _cursor(query.cursor, query.meaning())
        run = forecast_run(connection, cursor.run) if cursor else newest_forecast_run(connection)
        if run is None:
            return ForecastPage(data=[], has_more=False, next_cursor=None)
        chosen = _only(
            select_forecasts(
                run["run_id"],
                query.model or run["champion"],
                instead="" if query.model else run["settings"].get("baseline", ""),
            ),
            {forecasts.c.region: query.region, forecasts.c.ticket_type: query.ticket_type},
        )
        order = [Order(forecasts.c.unique_id), Order(forecasts.c.ds)]
        found = _page(connection, chosen, order, query.limit, cursor)
    data = [_forecast(run, row) for row in found.rows]
    return ForecastPage(data=data, **_further(found, run["run_id"], query.meaning()))


@v1.get("/proposals")
def list_proposals(
    query: Annotated[ProposalQuery, Query()], engine: Store, _: Reader, accept_language: AcceptLanguage = ""
) -> ProposalPage:
    """Preventive visits that were proposed, the newest cut-off first, the most valuable first."""
    with engine.connect() as connection:
        cursor = _cursor(query.cursor, query.meaning())
        chosen = _only(
            select_proposals(),
            {proposals.c.asset_id: query.asset, proposals.c.region: query.region, proposals.c.state: query.state},
        )
        order = [Order(proposals.c.as_of, descending=True), Order(proposals.c.rank), Order(proposals.c.external_key)]
        found = _page(connection, chosen, order, query.limit, cursor)
    language = language_of(accept_language)
    data = [_proposal(row, language) for row in found.rows]
    return ProposalPage(data=data, **_further(found, "", query.meaning()))


def _only(query: Select[Any], wanted: Mapping[Any, Sequence[str]]) -> Select[Any]:
    for column, values in wanted.items():
        if values:
            query = query.where(column.in_(values))
    return query


def _risk_order(sort: str) -> list[Order]:
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    asset = Order(scores.c.asset_id, descending=descending and name == "asset_id")
    column = {"probability": probabilities.c.probability, "value": scores.c.value}.get(name)
    return [asset] if column is None else [Order(column, descending), asset]


def _horizon(wanted: float | None, known: Sequence[float]) -> float:
    if wanted is None or wanted in known:
        return wanted if wanted is not None else min(known, default=1.0)
    choice = ", ".join(f"{days:g}" for days in known)
    raise _not_valid("horizon", f"The model answers for {choice} days.")


def _cursor(text: str | None, meaning: Mapping[str, Any]) -> Cursor | None:
    if text is None:
        return None
    try:
        cursor = Cursor.decode(text)
    except ValueError:
        raise _not_valid("cursor", "This is not a cursor of ours; begin without one.") from None
    if cursor.asked != digest(meaning):
        raise _not_valid("cursor", "It belongs to another query; send the same filters and order with it.")
    return cursor


def _page(
    connection: Connection, query: Select[Any], order: Sequence[Order], limit: int, cursor: Cursor | None
) -> Page:
    try:
        return page(connection, query, order, limit, cursor.after if cursor else None)
    except ValueError:
        raise _not_valid("cursor", "This is not a cursor of ours; begin without one.") from None


def _further(found: Page, run_id: str, meaning: Mapping[str, Any]) -> dict[str, Any]:
    if found.last is None:
        return {"has_more": False, "next_cursor": None}
    return {"has_more": True, "next_cursor": Cursor(run=run_id, asked=digest(meaning), after=found.last).encode()}


def _not_valid(parameter: str, detail: str) -> Problem:
    wrong = Invalid.model_validate({"in": "query", "pointer": f"#/{parameter}", "detail": detail})
    return Problem("invalid-request", detail, errors=[wrong])


def _risk_score(
    run: RowMapping, row: RowMapping, chances: Sequence[Mapping[str, Any]], language: Language
) -> RiskScore:
    return RiskScore.model_validate({**run, **row, "probabilities": chances, **_explained({**run, **row}, language)})


def _proposal(row: RowMapping, language: Language) -> Proposal:
    return Proposal.model_validate({**row, "why": why_in_words(dict(row), language), **_explained(dict(row), language)})


def _explained(row: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """What is said in words, in the language asked for."""
    health = row["health"] and AssetHealth(
        grade=row["health"], text=health_in_words(row["health"], language), horizon_days=row["decision_days"],
        base_rate=row["base_rate"],
    )  # fmt: skip
    reasons = [
        Reason.model_validate({**reason, "text": reason_in_words(reason, language)}) for reason in row["reasons"]
    ]
    return {"health": health, "reasons": reasons}


def _forecast(run: RowMapping, row: RowMapping) -> Forecast:
    bounds = [Quantile(quantile=q, tickets=row[name]) for name, q in QUANTILES.items() if row[name] is not None]
    return Forecast.model_validate({**run, **row, "period": row["ds"], "tickets": row["yhat"], "quantiles": bounds})
