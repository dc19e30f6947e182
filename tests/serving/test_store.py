"""The store on both databases: made by migrations alone, opened safely, written whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Engine, MetaData, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from features.errors import ConfigError, Fault, WorkspaceError
from features.workspace import Workspace
from serving.settings import Settings, load_settings
from serving.store import ForecastRun, ScoringRun, newest_forecast_run, open_store, save_forecast, writing
from serving.store.audits import note
from serving.store.engine import MIGRATIONS, _engine, _url
from serving.store.forecasts import select_forecasts
from serving.store.paging import Order, page
from serving.store.scores import save_scores
from serving.store.tables import METADATA, audit, episodes, forecast_runs, forecasts, scores, scoring_runs
from serving.store.work import external_key

AS_OF = datetime(2024, 6, 1, 16, tzinfo=UTC)


def test_the_migrations_make_exactly_the_tables_that_are_declared(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA) == []
    assert set(inspect(engine).get_table_names()) == {*METADATA.tables, "alembic_version"}


def test_a_store_of_the_first_schema_keeps_its_scores_and_gains_what_they_say(
    workspace: Workspace, settings: Settings, make_run: Callable[..., ScoringRun], answers: Callable[..., pd.DataFrame]
) -> None:
    engine = _engine(_url(workspace, settings))
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        first = MetaData()
        first.reflect(connection, only=["scoring_runs", "scores"])
        run = {"run_id": "r", "model_version": "risk/1", "calibration_status": "calibrated", "feature_fingerprint": "f"}
        run |= dict.fromkeys(("as_of", "scored_at", "data_as_of", "data_committed_at"), AS_OF)
        run |= {"data_versions": {}, "policy": {}, "policy_fingerprint": "p", "assets": 1}
        score = {
            "run_id": "r",
            "asset_id": "a",
            "failure_mode": "pump",
            "value": 1.0,
            "decision": "proposed",
            "reasons": [],
        }
        connection.execute(insert(first.tables["scoring_runs"]).values(run))
        connection.execute(insert(first.tables["scores"]).values(score))
        assert "basis" not in first.tables["scores"].c
    engine.dispose()
    again = open_store(workspace, settings)
    with again.connect() as connection:
        old = connection.execute(select(scores)).mappings().one()
        assert [old[name] for name in ("asset_id", "basis", "health", "explanation", "rul_days")] == ["a", *[None] * 4]
        assert connection.scalar(select(scoring_runs.c.base_rate)) is None
    with writing(again) as connection:
        scored = answers(b=(0.5, 0.6)).assign(value=1.0, decision="proposed")
        save_scores(connection, make_run(data_versions={"assets": 2}), scored, at=AS_OF)
    with again.connect() as connection:
        assert connection.scalar(select(scores.c.basis).where(scores.c.asset_id == "b")) == "asset"
    again.dispose()


def test_opening_a_store_again_changes_nothing(engine: Engine, workspace: Workspace, settings: Settings) -> None:
    with writing(engine) as connection:
        note(connection, AS_OF, "test", "kept", "it")
    again = open_store(workspace, settings)
    with again.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(audit)) == 1
    again.dispose()


def test_a_store_of_a_newer_version_is_refused(engine: Engine, workspace: Workspace, settings: Settings) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WorkspaceError, match=r"schema 9999.*Update foremend"):
        open_store(workspace, settings)


def test_a_write_that_fails_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:  # noqa: PT012
        note(connection, AS_OF, "test", "lost", "it")
        _ = 1 // 0
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(audit)) == 0


def test_writers_take_turns_and_none_of_their_counts_is_lost(engine: Engine) -> None:
    """Each reads the count, then writes it on: with a turn taken late, two would read the same."""

    def count() -> None:
        for _ in range(10):
            with writing(engine) as connection:
                seen = connection.scalar(select(func.count()).select_from(audit))
                note(connection, AS_OF, "test", "count", str(seen))

    workers = [threading.Thread(target=count) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with engine.connect() as connection:
        seen = sorted(int(row) for row in connection.scalars(select(audit.c.object)))
    assert seen == list(range(40))


def test_a_writer_that_waits_too_long_is_told_so(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.store.engine.BUSY_SECONDS", 0.05)
    engine = open_store(workspace, Settings(database_url=None))
    with writing(engine) as connection:
        note(connection, AS_OF, "test", "first", "it")
        with pytest.raises(Fault, match=r"does not answer: database is locked.*Nothing was written"), writing(engine):
            pass
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(audit)) == 1
    engine.dispose()


def test_a_reader_keeps_its_state_while_another_writes(engine: Engine, settings: Settings) -> None:
    if settings.database_url:
        pytest.skip("PostgreSQL reads each statement by itself; nothing here relies on more")
    with engine.connect() as reader:
        before = reader.scalar(select(func.count()).select_from(audit))
        with writing(engine) as connection:
            note(connection, AS_OF, "test", "later", "it")
        assert reader.scalar(select(func.count()).select_from(audit)) == before == 0


def test_sqlite_keeps_what_it_has_committed_when_the_power_goes(workspace: Workspace) -> None:
    engine = open_store(workspace, Settings(database_url=None))
    with engine.connect() as connection:
        asked = {
            name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    engine.dispose()


def test_an_instant_comes_back_as_it_went_in_and_needs_a_zone(engine: Engine) -> None:
    china = datetime(2024, 6, 2, 0, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    with writing(engine) as connection:
        note(connection, china, "test", "instant", "it")
        back = connection.scalar(select(audit.c.at))
    assert back == china
    assert back.utcoffset() == timedelta(0)
    with pytest.raises(Exception, match="needs a zone"), writing(engine) as connection:
        note(connection, datetime(2024, 6, 1), "test", "instant", "it")


def test_an_asset_has_one_open_episode_and_the_database_sees_to_it(engine: Engine) -> None:
    def opened(key: str, **more: object) -> dict[str, object]:
        return {"external_key": key, "asset_id": "a", "failure_mode": "pump", "opened_as_of": AS_OF, **more}

    with writing(engine) as connection:
        connection.execute(episodes.insert().values(opened("k1", ended_at=AS_OF)))
        connection.execute(episodes.insert().values(opened("k2")))
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(episodes.insert().values(opened("k3", failure_mode="fan")))


def test_an_external_key_depends_on_nothing_but_its_episode() -> None:
    key = external_key("w1", "pump-7", "seal", AS_OF)
    assert key == "fm-3a9aa71d75b6369e"  # printf … | sha256sum; fixed for ever: tickets out there carry it
    assert key == external_key("w1", "pump-7", "seal", AS_OF.astimezone(timezone(timedelta(hours=8))))
    others = {
        external_key("w2", "pump-7", "seal", AS_OF), external_key("w1", "pump-8", "seal", AS_OF),
        external_key("w1", "pump-7", "fan", AS_OF), external_key("w1", "pump-7", "seal", AS_OF + timedelta(days=1)),
    }  # fmt: skip
    assert len(others | {key}) == 5


@pytest.fixture
def frame() -> pd.DataFrame:
    days = pd.date_range("2024-06-02", periods=3)
    one = pd.DataFrame({"unique_id": "华东/fault", "ds": days, "model": "prophet", "yhat": [3.0, 4.0, 5.5]})
    one = one.assign(
        lo80=[1.0, float("nan"), 2.0], hi80=6.0, lo95=0.5, hi95=7.0, region="华东", ticket_type="fault", cutoff=days[0]
    )
    bare = pd.DataFrame({"unique_id": "total", "ds": days, "model": "seasonal_naive", "yhat": [3.0, 3.0, 3.0]})
    return pd.concat([one, bare], ignore_index=True)


def test_a_forecast_comes_back_as_it_was_saved(engine: Engine, frame: pd.DataFrame) -> None:
    run = ForecastRun(AS_OF, "D", "prophet", {"tickets": 4}, {"level": [80, 95]})
    run_id = save_forecast(engine, run, frame)
    with engine.connect() as connection:
        stored = newest_forecast_run(connection)
        rows = connection.execute(select_forecasts(run_id, "prophet").order_by(forecasts.c.ds)).mappings().all()
        bare = connection.execute(select_forecasts(run_id, "seasonal_naive")).mappings().first()
    assert stored is not None
    assert (stored["run_id"], stored["as_of"], stored["settings"]) == (run_id, AS_OF, {"level": [80, 95]})
    assert [row["yhat"] for row in rows] == [3.0, 4.0, 5.5]
    assert [row["lo80"] for row in rows] == [1.0, None, 2.0]
    assert rows[0]["ds"] == datetime(2024, 6, 2)
    assert rows[0]["region"] == "华东"
    assert bare is not None
    assert (bare["region"], bare["lo95"]) == (None, None)


def test_the_same_forecast_is_stored_once(engine: Engine, frame: pd.DataFrame) -> None:
    run = ForecastRun(AS_OF, "D", "prophet", {"tickets": 4})
    assert save_forecast(engine, run, frame) == save_forecast(engine, run, frame)
    newer = ForecastRun(AS_OF, "D", "prophet", {"tickets": 5})
    assert save_forecast(engine, newer, frame) != run.run_id
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(forecast_runs)) == 2


def test_a_forecast_without_its_columns_is_a_programmers_mistake(engine: Engine, frame: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="model"):
        save_forecast(engine, ForecastRun(AS_OF, "D", "x", {}), frame.drop(columns="model"))
    with engine.connect() as connection:
        assert newest_forecast_run(connection) is None


def test_pages_visit_every_row_once_in_order_whatever_their_size(engine: Engine) -> None:
    """Against the whole list in one piece; the order mixes directions and has ties."""
    with writing(engine) as connection:
        for at in range(23):
            note(connection, AS_OF - timedelta(days=at % 4), f"actor {at % 3}", "page", str(at))
    order = [Order(audit.c.at, descending=True), Order(audit.c.actor), Order(audit.c.audit_id, descending=True)]
    with engine.connect() as connection:
        whole = page(connection, select(audit), order, 100)
        expected = sorted(whole.rows, key=lambda row: (-row["at"].timestamp(), row["actor"], -row["audit_id"]))
        assert [row["audit_id"] for row in whole.rows] == [row["audit_id"] for row in expected]
        assert whole.last is None
        for size in (1, 4, 22, 23):
            seen, after = [], None
            while True:
                part = page(connection, select(audit), order, size, after)
                seen += [row["audit_id"] for row in part.rows]
                after = part.last
                if after is None:
                    break
            assert seen == [row["audit_id"] for row in expected]


JUNE = "2024-06-01T00:00:00Z"


@pytest.mark.parametrize(
    "after",
    [[], ["x", "y", 1], ["2024-06-01", "y", 1], [JUNE, 3, 1], [JUNE, "a\x00", 1], [JUNE, "a", 2**80], [JUNE, "a", True],
     [JUNE, None, 1]],
)  # fmt: skip
def test_a_place_in_a_list_that_no_page_ended_with_is_refused(workspace: Workspace, after: list[object]) -> None:
    engine = open_store(workspace, Settings(database_url=None))
    order = [Order(audit.c.at), Order(audit.c.actor), Order(audit.c.audit_id)]
    with engine.connect() as connection, pytest.raises(ValueError):  # noqa: PT011 - the sentence is the route's
        page(connection, select(audit), order, 5, after)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://root:hush@db/x", "cannot live in 'mysql'"),
        ("sqlite://", "cannot live in 'sqlite'"),
    ],
)
def test_a_url_that_is_no_store_is_refused_without_its_password(workspace: Workspace, url: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        open_store(workspace, Settings(database_url=SecretStr(url)))
    assert "hush" not in str(caught.value)


def test_a_database_that_does_not_answer_is_a_fault_without_its_password(workspace: Workspace) -> None:
    url = SecretStr("postgresql://planner:hush@127.0.0.1:9/none?connect_timeout=2")
    with pytest.raises(Fault, match="does not answer") as caught:
        open_store(workspace, Settings(database_url=url))
    assert "hush" not in str(caught.value)


def test_a_damaged_file_is_a_fault_that_names_it(workspace: Workspace) -> None:
    workspace.database.write_bytes(b"This is no database. " * 500)
    with pytest.raises(Fault, match=r"foremend\.db"):
        open_store(workspace, Settings(database_url=None))


def test_the_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOREMEND_DATABASE_URL", "postgresql://planner:hush@db/x")
    monkeypatch.setenv("FOREMEND_DATA", str(tmp_path))
    settings = load_settings()
    assert settings.database_url is not None
    assert "hush" not in repr(settings)
    assert settings.database_url.get_secret_value().endswith("/x")
