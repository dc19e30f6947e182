"""The nightly job's transaction: whole, repeatable, and never twice for the same asset."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import IntegrityError

from features.errors import Fault
from features.point_in_time import FeatureSet, Statistics
from features.wording import Words
from features.workspace import Workspace
from ml.policy import PolicyConfig, placeholders
from ml.remaining import Rul
from ml.risk import RiskConfig, RiskModel, Slice
from serving.scoring import Scored, answer, settle
from serving.settings import Settings
from serving.store import ScoringRun, newest_run, open_store
from serving.store.scores import probabilities_of
from serving.store.tables import audit, episodes, probabilities, proposals, scores, scoring_runs

AS_OF = datetime(2024, 6, 1, 16, tzinfo=UTC)
DAY = timedelta(days=1)

Answers = Callable[..., pd.DataFrame]
Runs = Callable[..., ScoringRun]
FLEET = {"a": (0.9, 0.95), "b": (0.5, 0.6), "c": (0.3, 0.4), "d": (0.001, 0.002)}


def rows(engine: Engine, table: object) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[arg-type]


def proposed(engine: Engine) -> dict[str, str]:
    """Asset → its proposal's state, the newest one."""
    with engine.connect() as connection:
        query = select(proposals.c.asset_id, proposals.c.state).order_by(proposals.c.as_of)
        return {row.asset_id: row.state for row in connection.execute(query)}


def test_a_night_keeps_reasons_so_that_they_can_be_said_in_either_language() -> None:
    rng, days = np.random.default_rng(0), 60
    heat, told = rng.normal(60, 10, (days, 40)), Words("oil temperature", "油温")
    rows = pd.DataFrame(
        {
            "asset_id": [f"a{n}" for n in range(40)] * days,
            "as_of": pd.to_datetime(AS_OF) + pd.to_timedelta(np.repeat(np.arange(days), 40), unit="D"),
            "reading_heat_mean_7d": heat.ravel(),
        }
    )
    event = (rng.random(heat.size) < np.where(heat.ravel() > 70, 0.5, 0.02))[:, None, None]
    config = RiskConfig(horizons_days=(1,), edges_days=(0, 1), decision_days=1, threads=1)
    features = FeatureSet(Statistics("reading", "readings", "heat", ("mean",), (7,), "°C", label=told).features())
    model = RiskModel.fit(Slice(rows, np.ones_like(event), event), modes=("any",), config=config, feature_set=features)
    tonight = rows.head(2).assign(reading_heat_mean_7d=[90.0, 40.0])
    model = replace(model, base_rates={"1": float(event.mean())}, rul=Rul(True, "", 1.0))
    answered = json.loads(answer(model, tonight, features).to_json(orient="records", date_format="iso"))
    assert [row["reasons"][0]["text"] for row in answered] == [
        {"en": "mean of oil temperature over 7 d is 90 °C", "zh-CN": "油温 7 天均值为 90 °C"},
        {"en": "mean of oil temperature over 7 d is 40 °C", "zh-CN": "油温 7 天均值为 40 °C"},
    ]
    hot, cold = (row["reasons"][0] for row in answered)
    assert hot["contribution"] > 0 > cold["contribution"]
    assert (hot["quantity"], hot["merged"], hot["unit"]) == ("readings.heat", 1, "°C")
    for row in answered:
        explained = row["explanation"]
        odds = explained["base"] + explained["rest"] + sum(reason["contribution"] for reason in row["reasons"])
        assert 1 / (1 + np.exp(-odds)) == pytest.approx(row["p_1d"], abs=1e-6)
        assert explained["hazard"] == pytest.approx(row["p_1d"], abs=1e-6)
        assert (explained["from_days"], explained["to_days"], explained["share"]) == (0, 1, 1)
        assert 0 < row["rul_days"] < 1
    assert [row["health"] for row in answered] == ["D", "A"]
    assert [row["basis"] for row in answered] == ["asset", "asset"]


def test_a_night_leaves_its_run_scores_proposals_and_reasons(engine: Engine, make_run: Runs, answers: Answers) -> None:
    run = make_run()
    scored = settle(engine, run, answers(**FLEET), "w1")
    assert scored.decisions == {"proposed": 2, "no_capacity": 1, "no_saving": 1}
    with engine.connect() as connection:
        stored = newest_run(connection)
        assert stored is not None
        decisions = dict(connection.execute(select(scores.c.asset_id, scores.c.decision)).all())
        first = connection.execute(select(proposals).where(proposals.c.rank == 1)).mappings().one()
        chances = probabilities_of(connection, run.run_id, ["a", "d"])
    assert (stored["run_id"], stored["assets"], stored["data_versions"]) == (run.run_id, 4, {"assets": 1})
    assert stored["policy"]["capacity_per_run"] == 2
    assert decisions == {"a": "proposed", "b": "proposed", "c": "no_capacity", "d": "no_saving"}
    assert (first["asset_id"], first["failure_mode"], first["horizon_days"]) == ("a", "pump", 1)
    assert first["value"] == pytest.approx(10 * (0.9 + 0.2 * 0.05) - 1)
    assert first["reasons"][0]["feature"] == "reading_pressure_mean_7d"
    assert (scored.health, scored.bases) == (
        {"A": 1, "B": 1, "C": 1, "D": 1},
        {"asset": 2, "asset_model": 1, "fleet": 1},
    )
    with engine.connect() as connection:
        kept = connection.execute(select(scores).where(scores.c.asset_id == "b")).mappings().one()
    assert (kept["basis"], kept["health"], kept["rul_days"], kept["explanation"]["share"]) == (
        "asset_model",
        "B",
        7.5,
        0.6,
    )
    assert (stored["decision_days"], stored["base_rate"], stored["rul_reason"]) == (7, 0.1, "")
    assert chances["d"] == [{"horizon_days": 1, "probability": 0.001}, {"horizon_days": 7, "probability": 0.002}]
    assert rows(engine, probabilities) == 8


def test_running_twice_writes_no_second_run_and_proposes_nothing(
    engine: Engine, make_run: Runs, answers: Answers
) -> None:
    settle(engine, make_run(), answers(**FLEET), "w1")
    counts = [rows(engine, table) for table in (scoring_runs, scores, proposals, episodes, audit)]
    again = settle(engine, make_run(), answers(**FLEET), "w1")
    assert again.repeated
    assert again.proposed == 0
    assert [rows(engine, table) for table in (scoring_runs, scores, proposals, episodes, audit)] == counts


def test_newer_data_of_the_same_night_have_only_the_crews_that_are_left(
    engine: Engine, make_run: Runs, answers: Answers
) -> None:
    settle(engine, make_run(policy=PolicyConfig(capacity_per_run=3)), answers(a=(0.9, 0.9), b=(0.8, 0.8)), "w1")
    newer = make_run(policy=PolicyConfig(capacity_per_run=3), data_versions={"assets": 2})
    again = settle(engine, newer, answers(a=(0.9, 0.9), b=(0.8, 0.8), c=(0.7, 0.7), d=(0.6, 0.6)), "w1")
    assert again.decisions == {"open_episode": 2, "proposed": 1, "no_capacity": 1}
    assert set(proposed(engine)) == {"a", "b", "c"}


def test_full_crews_are_not_taken_for_visits_that_do_not_pay(engine: Engine, make_run: Runs, answers: Answers) -> None:
    policy = PolicyConfig(capacity_per_run=1)
    settle(engine, make_run(policy=policy), answers(**FLEET), "w1")
    full = settle(engine, make_run(policy=policy, data_versions={"assets": 2}), answers(**FLEET), "w1")
    assert full.decisions == {"open_episode": 1, "no_capacity": 2, "no_saving": 1}
    assert not full.nothing_pays
    dear = PolicyConfig(capacity_per_run=1, visit_cost=50.0)
    assert settle(engine, make_run(policy=dear, as_of=AS_OF + DAY), answers(**FLEET), "w1").nothing_pays


def test_what_the_terminal_says_where_the_crews_are_full(make_run: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    from ml.report import Wording
    from serving.commands.risk import _print_run

    for best, told in ((2.5, False), (-0.5, True)):
        _print_run(Scored(make_run(), 3, {"no_capacity": 1, "no_saving": 2}, best_value=best), Wording())
        assert ("No visit pays" in capsys.readouterr().err) == told


def test_the_saving_is_explained_in_figures_that_a_person_reads(
    make_run: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    from ml.report import Wording
    from serving.commands.risk import _print_run

    run = make_run(policy=PolicyConfig(failure_cost=84_712.0, visit_cost=600.0))
    _print_run(Scored(run, 3, {"proposed": 1, "no_saving": 2}, best_value=-100.0), Wording())
    said = capsys.readouterr()
    assert "a failure's cost of 84,712 and a visit's of 600" in said.out
    assert "a failure after the first 1 d counts 0.2, for a later visit could still prevent it" in said.out
    assert "the best one would from 101,654 on" in said.err


def test_costs_that_nobody_has_said_are_called_placeholders(workspace: Workspace) -> None:
    (note,) = placeholders(workspace.config)
    assert "a failure's cost of 10 and a visit's of 1 are placeholders" in note
    toml = workspace.root / "foremend.toml"
    toml.write_text(toml.read_text() + "[policy]\nfailure_cost = 40000.0\nvisit_cost = 600.0\n")
    assert list(placeholders(Workspace.open(workspace.root).config)) == []


def test_an_asset_rests_while_its_episode_is_open_and_cools_down(
    engine: Engine, make_run: Runs, answers: Answers
) -> None:
    policy = PolicyConfig(capacity_per_run=2, expires_days=2, cool_down_days=3)
    decided = []
    for night in range(7):
        run = make_run(as_of=AS_OF + night * DAY, policy=policy)
        settle(engine, run, answers(a=(0.9, 0.9)), "w1")
        with engine.connect() as connection:
            decided.append(connection.scalar(select(scores.c.decision).where(scores.c.run_id == run.run_id)))
    # Proposed at night 0, void from night 2 on, resting until night 5.
    assert decided == ["proposed", "open_episode", *["cooling_down"] * 3, "proposed", "open_episode"]
    with engine.connect() as connection:
        keys = connection.scalars(select(episodes.c.external_key)).all()
        states = connection.scalars(select(proposals.c.state).order_by(proposals.c.as_of)).all()
    assert len(set(keys)) == 2
    assert states == ["expired", "proposed"]


def test_another_failure_mode_gets_no_second_visit_while_one_is_open(
    engine: Engine, make_run: Runs, answers: Answers
) -> None:
    settle(engine, make_run(), answers(a=(0.9, 0.9)), "w1")
    later = settle(engine, make_run(as_of=AS_OF + DAY), answers(a=(0.9, 0.9)).assign(failure_mode="fan"), "w1")
    assert later.decisions == {"open_episode": 1}


def test_a_night_before_one_that_is_scored_gets_scores_and_no_proposals(
    engine: Engine, make_run: Runs, answers: Answers
) -> None:
    settle(engine, make_run(), answers(a=(0.9, 0.9)), "w1")
    earlier = settle(engine, make_run(as_of=AS_OF - DAY), answers(a=(0.9, 0.9), b=(0.8, 0.8)), "w1")
    assert earlier.decisions == {"later_night": 2}
    assert (rows(engine, scores), proposed(engine)) == (3, {"a": "proposed"})
    again = settle(engine, make_run(data_versions={"assets": 2}), answers(a=(0.9, 0.9), b=(0.8, 0.8)), "w1")
    assert again.decisions == {"open_episode": 1, "proposed": 1}


def test_proposals_of_a_past_night_that_the_clock_has_overtaken_do_not_stand(
    engine: Engine, make_run: Runs, answers: Answers
) -> None:
    policy, now = PolicyConfig(expires_days=7, cool_down_days=3), AS_OF + 30 * DAY
    settle(engine, make_run(policy=policy), answers(a=(0.9, 0.9)), "w1", now=now)
    assert proposed(engine) == {"a": "expired"}
    next_night = settle(engine, make_run(policy=policy, as_of=AS_OF + DAY), answers(a=(0.9, 0.9)), "w1", now=now)
    assert next_night.decisions == {"open_episode": 1}  # as it was then
    tonight = settle(engine, make_run(policy=policy, as_of=now), answers(a=(0.9, 0.9)), "w1", now=now)
    assert tonight.decisions == {"proposed": 1}
    assert proposed(engine) == {"a": "proposed"}


def test_a_store_restored_from_before_gives_the_same_external_keys(
    engine: Engine, make_run: Runs, answers: Answers
) -> None:
    def keys() -> set[str]:
        with engine.connect() as connection:
            return set(connection.scalars(select(episodes.c.external_key)))

    settle(engine, make_run(), answers(**FLEET), "w1")
    before = keys()
    with engine.begin() as connection:
        for table in (proposals, episodes, scoring_runs):
            connection.execute(table.delete())
    # Another model and newer data; what is proposed for the same asset and night keeps its name.
    settle(engine, make_run(model_version="risk/2", data_versions={"assets": 9}), answers(**FLEET), "w1")
    assert keys() == before


def test_a_failure_in_the_middle_leaves_no_half_of_a_night(engine: Engine, make_run: Runs, answers: Answers) -> None:
    twins = pd.concat([answers(a=(0.9, 0.9)), answers(b=(0.8, 0.8), a=(0.7, 0.7)).tail(1)], ignore_index=True)
    with pytest.raises(IntegrityError):
        settle(engine, make_run(), twins, "w1")
    assert [rows(engine, table) for table in (scoring_runs, scores, probabilities, proposals, episodes, audit)] == [
        0
    ] * 6


def test_a_full_disk_leaves_the_night_before(workspace: Workspace, make_run: Runs, answers: Answers) -> None:
    """SQLite is given no page more than it has: to it, that is what a full disk is."""
    engine = open_store(workspace, Settings(database_url=None))
    settle(engine, make_run(), answers(**FLEET), "w1")
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    event.listen(engine, "begin", lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}"), insert=True)
    fleet = answers(**{f"asset {n}": (0.5, 0.9) for n in range(2000)})
    with pytest.raises(Fault, match="disk is full"):
        settle(engine, make_run(as_of=AS_OF + DAY), fleet, "w1")
    assert (rows(engine, scoring_runs), rows(engine, scores)) == (1, 4)
    engine.dispose()


def test_two_jobs_at_once_propose_nothing_twice_and_spend_the_crews_once(
    engine: Engine, make_run: Runs, answers: Answers
) -> None:
    fleet = answers(**{f"a{n:02}": (0.5 + n / 100, 0.9) for n in range(20)})
    ready, failed = threading.Barrier(4), []

    def job(version: int) -> None:
        run = make_run(data_versions={"assets": version}, policy=PolicyConfig(capacity_per_run=6))
        ready.wait()
        try:
            settle(engine, run, fleet, "w1")
        except Exception as error:
            failed.append(error)

    jobs = [threading.Thread(target=job, args=(version,)) for version in (1, 2, 2, 3)]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join()
    assert failed == []
    assert rows(engine, proposals) == rows(engine, episodes) == 6
    assert rows(engine, scoring_runs) == 3


def test_a_fleet_without_assets_is_a_run_without_scores(engine: Engine, make_run: Runs, answers: Answers) -> None:
    empty = answers(a=(0.1, 0.1)).head(0)
    assert settle(engine, make_run(), empty, "w1").decisions == {}
    assert rows(engine, scoring_runs) == 1
