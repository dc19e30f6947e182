"""The API: who may ask what, what comes back, and one body for everything that goes wrong."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pandas as pd
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select, update

from features.workspace import Workspace
from ml.policy import PolicyConfig
from serving.app import create_app
from serving.auth import create_key, new_token
from serving.problems import HEADERS, KINDS, MEDIA_TYPE
from serving.scoring import settle
from serving.settings import Settings
from serving.store import ForecastRun, ScoringRun, save_forecast
from serving.store.tables import api_keys

AS_OF = datetime(2024, 6, 1, 16, tzinfo=UTC)

Answers = Callable[..., pd.DataFrame]
Runs = Callable[..., ScoringRun]

SCOPE_OF: Mapping[str, str | None] = {
    "GET /healthz": None,
    "GET /v1/openapi.json": "read",
    "GET /v1/risk-scores": "read",
    "GET /v1/forecasts": "read",
    "GET /v1/proposals": "read",
}
"""Every route and the scope that it needs. A route that is missing here fails the tests below."""


@pytest.fixture
def app(workspace: Workspace, settings: Settings) -> Iterator[FastAPI]:
    app = create_app(workspace, settings)
    yield app
    app.state.engine.dispose()


@pytest.fixture
def engine(app: FastAPI) -> Engine:
    store: Engine = app.state.engine
    return store


@pytest.fixture
def bare(app: FastAPI) -> TestClient:
    return TestClient(app)


@pytest.fixture
def client(app: FastAPI, engine: Engine) -> TestClient:
    """Good for reading."""
    _, token = create_key(engine, "reader", ["read"])
    return TestClient(app, headers={"Authorization": f"Bearer {token}"})


def fails(answer: httpx.Response, kind: str) -> dict[str, Any]:
    """Check that an answer is the problem `kind`, whole and with its headers; returns the body."""
    assert answer.status_code == KINDS[kind].status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = answer.json()
    assert list(body) == ["type", "title", "status", "detail", "instance", "errors"]
    assert (body["type"], body["title"]) == (f"urn:foremend:problem:{kind}", KINDS[kind].title)
    assert body["status"] == answer.status_code
    assert body["detail"]
    assert {name.lower() for name in HEADERS} <= set(answer.headers)
    return body


# ── who may ask ──────────────────────────────────────────────────────────────────────────────────


def test_the_matrix_below_holds_every_route(client: TestClient) -> None:
    described = client.get("/v1/openapi.json").json()["paths"]
    assert {f"{verb.upper()} {path}" for path, verbs in described.items() for verb in verbs} == set(SCOPE_OF)


def test_no_route_is_kept_out_of_the_description(app: FastAPI) -> None:
    from fastapi.routing import APIRoute, iter_route_contexts

    served = [route for context in iter_route_contexts(app.routes) if isinstance(route := context.route, APIRoute)]
    assert len(served) == len(SCOPE_OF)
    assert all(route.include_in_schema for route in served)


@pytest.mark.parametrize("route", SCOPE_OF)
def test_every_route_refuses_who_has_no_right_and_serves_who_has(route: str, app: FastAPI, engine: Engine) -> None:
    verb, path = route.split()
    scope = SCOPE_OF[route]
    client = TestClient(app)
    past, soon = datetime.now(UTC) - timedelta(seconds=1), datetime.now(UTC) + timedelta(hours=1)
    tokens = {
        name: create_key(engine, name, scopes, expires_at=until)[1]
        for name, scopes, until in [
            ("right", [scope or "read"], soon), ("admin", ["admin"], None), ("old", [scope or "read"], past),
            ("lacking", [s for s in ("read", "plan", "ticket", "ingest") if s != scope], None),
        ]
    }  # fmt: skip

    def ask(token: str) -> httpx.Response:
        answer: httpx.Response = client.request(verb, path, headers={"Authorization": f"Bearer {token}"})
        return answer

    assert ask(tokens["right"]).status_code == 200
    assert ask(tokens["admin"]).status_code == 200
    if scope is None:
        assert client.request(verb, path).status_code == 200
        return
    for refused in (
        client.request(verb, path), client.request(verb, path, headers={"Authorization": tokens["right"]}),
        client.request(verb, path, headers={"Authorization": f"Basic {tokens['right']}"}),
        client.request(verb, path, headers={"Authorization": "Bearer "}),
        ask(new_token()), ask(tokens["right"][:-1] + "!"), ask(tokens["old"]),
    ):  # fmt: skip
        fails(refused, "unauthenticated")
        assert refused.headers["www-authenticate"].startswith('Bearer realm="foremend"')
    lacking = ask(tokens["lacking"])
    assert scope in fails(lacking, "forbidden")["detail"]
    assert f'error="insufficient_scope", scope="{scope}"' in lacking.headers["www-authenticate"]


def test_a_revoked_key_is_refused_from_its_next_request_on(client: TestClient, engine: Engine) -> None:
    assert client.get("/v1/proposals").status_code == 200
    with engine.begin() as connection:
        connection.execute(update(api_keys).values(revoked_at=datetime.now(UTC)))
    assert "revoked" in fails(client.get("/v1/proposals"), "unauthenticated")["detail"]


def test_the_last_use_of_a_key_is_remembered(client: TestClient, engine: Engine) -> None:
    before = datetime.now(UTC)
    client.get("/v1/proposals")
    with engine.connect() as connection:
        used = connection.scalar(select(api_keys.c.last_used_at))
    assert used is not None
    assert before <= used <= datetime.now(UTC)


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/v1", "/v1/", "/v1/risk-scores/", "/docs", "/redoc", "/openapi.json", "/v1/%2e%2e"]
)
def test_an_unknown_route_is_a_problem(bare: TestClient, path: str) -> None:
    fails(bare.get(path), "not-found")


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_another_method_is_a_problem_that_names_the_right_one(bare: TestClient, verb: str) -> None:
    answer = bare.request(verb, "/v1/risk-scores")
    fails(answer, "method-not-allowed")
    assert answer.headers["allow"] == "GET"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["#/limit"]), ("limit=501", ["#/limit"]), ("limit=x", ["#/limit"]), ("limit=", ["#/limit"]),
        ("min_probability=1.1", ["#/min_probability"]), ("min_probability=nan", ["#/min_probability"]),
        ("horizon=0", ["#/horizon"]), ("horizon=inf", ["#/horizon"]), ("horizon=3", ["#/horizon"]),
        ("sort=price", ["#/sort"]), ("asset=", ["#/asset/0"]), ("asset=a%00b", ["#/asset/0"]),
        ("cursor=zzz", ["#/cursor"]), ("cursor=%F0%9F%98%80", ["#/cursor"]), ("cursor=W10", ["#/cursor"]),
        ("asett=a", ["#/asett"]), ("a~b/c=1", ["#/a~0b~1c"]),
        ("limit=0&sort=x&foo=1", ["#/foo", "#/limit", "#/sort"]),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_meant_is_answered_with_every_fault_and_its_place(
    query: str, pointers: list[str], client: TestClient, engine: Engine, make_run: Runs, answers: Answers
) -> None:
    settle(engine, make_run(), answers(a=(0.5, 0.6)), "w1")
    body = fails(client.get(f"/v1/risk-scores?{query}"), "invalid-request")
    assert sorted(error["pointer"] for error in body["errors"]) == pointers
    assert all(list(error) == ["in", "pointer", "detail"] and error["in"] == "query" for error in body["errors"])


def test_unknown_parameters_are_refused_on_every_list(client: TestClient) -> None:
    lists = [route.split()[1] for route, scope in SCOPE_OF.items() if scope and "openapi" not in route]
    for path in lists:
        fails(client.get(path, params={"colour": "red"}), "invalid-request")
    assert len(lists) == 3


def test_what_cannot_be_meant_is_named_with_the_parameter_that_was(client: TestClient) -> None:
    body = fails(client.get("/v1/proposals", params={"state": "foo"}), "invalid-request")
    assert body["detail"] == "1 of its values cannot be meant: state."
    body = fails(client.get("/v1/risk-scores", params={"asset_id": "a1"}), "invalid-request")
    assert body["errors"][0]["detail"] == "There is no such parameter. Did you mean 'asset'?"
    body = fails(client.get("/v1/proposals", params={"colour": "red"}), "invalid-request")
    assert body["errors"][0]["detail"] == "There is no such parameter. Known: asset, cursor, limit, region, state"


def test_a_fault_tells_nothing_but_where_the_log_has_it(
    client: TestClient, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """A table is gone: as real a fault as there is."""
    for table in ("proposals", "probabilities", "scores", "episodes"):
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP TABLE {table}")
    with caplog.at_level(logging.ERROR):
        answer = client.get("/v1/proposals")
    kind = "unavailable" if answer.status_code == 503 else "internal"
    body = fails(answer, kind)
    assert "proposals" not in body["detail"]
    assert "Traceback" not in answer.text
    incident = body["instance"].removeprefix("urn:uuid:")
    assert any(incident in record.getMessage() and record.exc_info for record in caplog.records)


def test_a_store_that_does_not_answer_is_unavailable_and_says_when_to_return(
    workspace: Workspace, client: TestClient, engine: Engine, settings: Settings
) -> None:
    if settings.database_url:
        pytest.skip("breaks the file of SQLite")
    engine.dispose()
    for name in ("foremend.db", "foremend.db-wal", "foremend.db-shm"):
        (workspace.root / name).unlink(missing_ok=True)
    workspace.database.mkdir()
    answer = client.get("/v1/proposals")
    fails(answer, "unavailable")
    assert answer.headers["retry-after"] == "5"


# ── what comes back ──────────────────────────────────────────────────────────────────────────────

FLEET = {f"a{at:02}": (min(0.9, 0.02 * (at // 2)), 0.9) for at in range(40)}
"""Probabilities in pairs, so that the order needs its second column."""


@pytest.fixture
def scored(engine: Engine, make_run: Runs, answers: Answers) -> ScoringRun:
    run = make_run(policy=PolicyConfig(capacity_per_run=7, later_weight=0.0))
    settle(engine, run, answers(**FLEET), "w1")
    return run


def all_pages(client: TestClient, path: str, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while True:
        page = client.get(path, params=params).json()
        rows += page["data"]
        assert page["has_more"] is (page["next_cursor"] is not None)
        if not page["has_more"]:
            return rows
        params["cursor"] = page["next_cursor"]


def test_a_score_carries_what_made_it(client: TestClient, scored: ScoringRun) -> None:
    score = client.get("/v1/risk-scores", params={"asset": "a39"}).json()["data"][0]
    assert score["probabilities"] == [{"horizon_days": 1, "probability": 0.38}, {"horizon_days": 7, "probability": 0.9}]
    assert [type(chance["horizon_days"]) for chance in score["probabilities"]] == [int, int]
    assert (score["as_of"], score["data_as_of"]) == ("2024-06-01T16:00:00Z", "2024-06-01T16:00:00Z")
    assert (score["model_version"], score["calibration_status"]) == ("risk/1", "calibrated")
    assert datetime.fromisoformat(score["scored_at"]) <= datetime.now(UTC)
    assert (score["decision"], score["failure_mode"], score["region"]) == ("proposed", "pump", "华东")
    assert score["reasons"][0] == {
        "quantity": "readings.pressure", "feature": "reading_pressure_mean_7d", "value": 3.5, "contribution": 1.25,
        "merged": 3, "text": "mean of pressure over 7 d is 3.5 bar",
    }  # fmt: skip
    assert [score["reasons"][1][name] for name in ("value", "quantity", "merged")] == [None, None, None]


def test_a_score_says_what_it_rests_on_and_which_hazard_its_reasons_explain(
    client: TestClient, scored: ScoringRun
) -> None:
    (score,) = client.get("/v1/risk-scores", params={"asset": "a37"}).json()["data"]
    (proposal,) = client.get("/v1/proposals", params={"asset": "a37"}).json()["data"]
    told = {
        "explanation": {
            "failure_mode": "pump", "from_days": 0, "to_days": 1, "share": 0.6, "hazard": 0.3, "base": -1.5, "rest": -0.1,
        },
        "basis": "asset_model", "rul_days": 43.5, "rul_reason": "",
        "health": {"grade": "C", "text": "watch", "horizon_days": 7, "base_rate": 0.1},
    }  # fmt: skip
    assert {name: score[name] for name in told} == told
    assert {name: proposal[name] for name in told} == told
    chinese = client.get("/v1/risk-scores", params={"asset": "a37"}, headers={"Accept-Language": "zh-CN"})
    assert chinese.json()["data"][0]["health"]["text"] == "关注"


def test_scores_of_before_these_were_kept_have_none_of_them(
    client: TestClient, engine: Engine, make_run: Runs, answers: Answers
) -> None:
    older = answers(a=(0.5, 0.6)).drop(columns=["explanation", "basis", "health", "rul_days"])
    settle(engine, make_run(decision_days=None, base_rate=None, rul_reason=None), older, "w1")
    for path in ("/v1/risk-scores", "/v1/proposals"):
        (row,) = client.get(path).json()["data"]
        assert all(row[name] is None for name in ("explanation", "basis", "health", "rul_days", "rul_reason"))


def test_reasons_come_in_the_language_asked_for(client: TestClient, scored: ScoringRun) -> None:
    def text(accepted: str, place: int) -> str:
        answer = client.get("/v1/risk-scores", params={"limit": 1}, headers={"Accept-Language": accepted})
        return str(answer.json()["data"][0]["reasons"][place]["text"])

    english, older = "mean of pressure over 7 d is 3.5 bar", "model of the machine"
    assert text("zh-CN,zh;q=0.9,en;q=0.5", 0) == "压力 7 天均值为 3.5 bar"
    assert text("fr, en;q=0.8, zh;q=0.2", 0) == text("", 0) == text("de", 0) == english
    assert text("zh-CN", 1) == f"{older}：未知（降低风险）"
    assert text("en", 1) == f"{older}: not known (lowers the risk)"


@pytest.mark.parametrize("sort", ["-probability", "probability", "-value", "asset_id", "-asset_id"])
@pytest.mark.parametrize("limit", [1, 7, 40])
def test_pages_give_every_score_once_in_the_order_asked_for(
    client: TestClient, scored: ScoringRun, sort: str, limit: int
) -> None:
    rows = all_pages(client, "/v1/risk-scores", sort=sort, limit=limit)
    sign = -1 if sort.startswith("-") else 1
    keys: dict[str, Callable[[str], Any]] = {
        "probability": lambda a: (sign * FLEET[a][0], a), "value": lambda a: (sign * FLEET[a][0], a),
        "asset_id": lambda a: sign * int(a[1:]),
    }  # fmt: skip
    assert [row["asset_id"] for row in rows] == sorted(FLEET, key=keys[sort.removeprefix("-")])


def test_filters_take_the_horizon_that_is_named(client: TestClient, scored: ScoringRun) -> None:
    def assets(**params: Any) -> set[str]:
        return {row["asset_id"] for row in all_pages(client, "/v1/risk-scores", **params)}

    assert assets(min_probability=0.3) == {a for a, (short, _) in FLEET.items() if short >= 0.3}
    assert assets(min_probability=0.3, horizon=7) == set(FLEET)
    assert assets(region="华东") == {f"a{at:02}" for at in range(0, 40, 3)}
    assert assets(region=["华东", "North"], asset_model="M0") == {f"a{at:02}" for at in range(0, 40, 2) if at % 3 < 2}
    assert assets(asset=["a01", "a02", "unknown"]) == {"a01", "a02"}
    assert assets(region="Nowhere") == set()


def test_a_list_begun_before_a_new_night_ends_with_the_old_one(
    client: TestClient, scored: ScoringRun, engine: Engine, make_run: Runs, answers: Answers
) -> None:
    first = client.get("/v1/risk-scores", params={"limit": 30}).json()
    settle(engine, make_run(as_of=AS_OF + timedelta(days=1)), answers(z=(0.99, 0.99)), "w1")
    rest = client.get("/v1/risk-scores", params={"limit": 30, "cursor": first["next_cursor"]}).json()
    assert {row["asset_id"] for row in first["data"] + rest["data"]} == set(FLEET)
    assert [row["asset_id"] for row in client.get("/v1/risk-scores").json()["data"]] == ["z"]


def test_a_cursor_belongs_to_its_query(client: TestClient, scored: ScoringRun) -> None:
    cursor = client.get("/v1/risk-scores", params={"limit": 3}).json()["next_cursor"]
    body = fails(client.get("/v1/risk-scores", params={"cursor": cursor, "region": "华东"}), "invalid-request")
    assert body["errors"][0]["pointer"] == "#/cursor"
    fails(client.get("/v1/proposals", params={"cursor": cursor}), "invalid-request")


def test_proposals_say_why_and_come_most_valuable_first(client: TestClient, scored: ScoringRun) -> None:
    rows = all_pages(client, "/v1/proposals", limit=3)
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert [row["asset_id"] for row in rows] == ["a38", "a39", "a36", "a37", "a34", "a35", "a32"]
    assert rows[0]["why"] == "38% within 1 d (pump); a visit is expected to save 2.80"
    assert {row["state"] for row in rows} == {"proposed"}
    assert {row["automation"] for row in rows} == {"shadow"}
    assert len({row["external_key"] for row in rows}) == 7
    assert all_pages(client, "/v1/proposals", state="expired") == []
    assert [row["asset_id"] for row in all_pages(client, "/v1/proposals", asset="a36")] == ["a36"]


def test_a_store_without_results_gives_empty_lists(client: TestClient) -> None:
    for path in ("/v1/risk-scores", "/v1/forecasts", "/v1/proposals"):
        assert client.get(path).json() == {"data": [], "has_more": False, "next_cursor": None}


def test_forecasts_come_from_the_newest_run_by_region_type_and_period(client: TestClient, engine: Engine) -> None:
    days = pd.date_range("2024-06-02", periods=3)

    def frame(region: str | None, model: str, level: float) -> pd.DataFrame:
        made = pd.DataFrame({"unique_id": region or "total", "ds": days, "model": model, "yhat": level})
        bounds = {"lo80": level - 1, "hi80": level + 1, "lo95": level - 2, "hi95": level + 2} if region else {}
        return made.assign(region=region, ticket_type="fault" if region else None, **bounds)

    save_forecast(engine, ForecastRun(AS_OF - timedelta(days=1), "D", "prophet", {}), frame("Old", "prophet", 1.0))
    newest = [frame("华东", "prophet", 5.0), frame(None, "prophet", 9.0), frame("华东", "naive", 4.0)]
    save_forecast(engine, ForecastRun(AS_OF, "D", "prophet", {"tickets": 2}), pd.concat(newest))
    rows = all_pages(client, "/v1/forecasts", limit=2)
    assert [(row["region"], row["period"], row["tickets"]) for row in rows] == [
        *((None, f"2024-06-0{day}T00:00:00", 9.0) for day in (2, 3, 4)),
        *(("华东", f"2024-06-0{day}T00:00:00", 5.0) for day in (2, 3, 4)),
    ]
    assert rows[0]["quantiles"] == []
    assert rows[3]["quantiles"] == [
        {"quantile": 0.025, "tickets": 3.0}, {"quantile": 0.1, "tickets": 4.0},
        {"quantile": 0.9, "tickets": 6.0}, {"quantile": 0.975, "tickets": 7.0},
    ]  # fmt: skip
    assert (rows[3]["model"], rows[3]["frequency"], rows[3]["as_of"]) == ("prophet", "D", "2024-06-01T16:00:00Z")
    assert {row["tickets"] for row in all_pages(client, "/v1/forecasts", model="naive")} == {4.0}
    assert len(all_pages(client, "/v1/forecasts", region="华东", ticket_type="fault")) == 3


def test_every_answer_is_as_described(client: TestClient, scored: ScoringRun) -> None:
    """The keys of each row are the description's, none left out and none besides."""
    described = client.get("/v1/openapi.json").json()
    checked = 0
    for path, schema in (("/v1/risk-scores", "RiskScore"), ("/v1/proposals", "Proposal")):
        for row in client.get(path).json()["data"]:
            assert set(row) == set(described["components"]["schemas"][schema]["properties"])
            checked += 1
    assert checked == 47
    for path, verbs in described["paths"].items():
        for verb in verbs.values():
            kinds = {status for status in verb["responses"] if status != "200"}
            assert kinds == ({"500"} if path == "/healthz" else {"401", "403", "422", "500", "503"})
            assert all(list(verb["responses"][kind]["content"]) == [MEDIA_TYPE] for kind in kinds)
    assert set(described["components"]["schemas"]["ProblemBody"]["properties"]) >= {"type", "title", "status", "detail"}


def test_health_is_open_and_tells_nothing(bare: TestClient) -> None:
    answer = bare.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert set(HEADERS.items()) <= {(name, answer.headers[name]) for name in HEADERS}


def test_many_readers_at_once_are_all_served_while_a_night_is_written(
    client: TestClient, scored: ScoringRun, engine: Engine, make_run: Runs, answers: Answers
) -> None:
    statuses: list[int] = []
    readers = [
        threading.Thread(target=lambda: statuses.append(client.get("/v1/risk-scores").status_code)) for _ in range(12)
    ]
    for reader in readers:
        reader.start()
    settle(engine, make_run(as_of=AS_OF + timedelta(days=1)), answers(**FLEET), "w1")
    for reader in readers:
        reader.join()
    assert statuses == [200] * 12
