"""Make the fleet, block by block, or only its failures under other visits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.demo import records, truth
from features.demo.defects import Plan, chosen
from features.demo.degradation import History, draw, live
from features.demo.describe import toml
from features.demo.desk import dress, exported
from features.demo.fleet import Block, make_block
from features.demo.lifecycle import events_of
from features.demo.sensors import alarms, readings
from features.demo.tickets import tickets_of
from features.demo.volume import Demand, demand, promotions
from features.demo.workdays import DAY, Calendar, calendar
from features.demo.world import BLOCK, COMPONENTS, END, PARTS, REGIONS, stream
from features.demo.write import Export
from features.errors import UserError

__all__ = ["FleetSummary", "check_sizes", "make_fleet", "simulate"]


@dataclass(frozen=True)
class FleetSummary:
    """What was made.

    Attributes
    ----------
    failures
        True failures, repaired or not.
    without_precursor
        Share of failures that no channel announces.
    roc_7d, observed_over_expected
        How well the true 7-day probability ranks what happened, and how well it is calibrated.
    rows
        Rows written, by table.
    """

    folder: Path
    assets: int
    days: int
    seed: int
    readings: int
    tickets: int
    failures: int
    without_precursor: float
    roc_7d: float
    observed_over_expected: float
    rows: Mapping[str, int]
    defects: tuple[str, ...]


def _silent(_line: str) -> None:
    pass


def make_fleet(
    folder: Path | str, *, assets: int = 200, days: int = 760, seed: int = 7, readings_per_day: int = 4,
    failure_rate: float = 1.0, defects: Collection[str] = (), end: date = END, language: str = "en", say: Callable[[str], None] = _silent,
) -> FleetSummary:  # fmt: skip
    """Write a workspace with a made-up fleet: ``foremend.toml``, ``data/*.parquet`` and ``truth/*.parquet``.

    The same arguments give the same bytes; an asset's life does not depend on how many there are.

    Parameters
    ----------
    end
        Local date at whose beginning the history ends; the workspace's clock stands there.
    failure_rate
        Multiplies every hazard: .04 makes a fleet of which one row in 700 fails within a week.
    defects
        Names of :data:`features.demo.defects.DEFECTS` to plant.

    Raises
    ------
    UserError
        A size is out of range, or a defect is not known.
    """
    root, plan = Path(folder), chosen(defects)
    check_sizes(assets, days, readings_per_day, failure_rate)
    clock, ranking = calendar(end, days), truth.Ranking()
    run = _Run(clock, demand(clock, seed), plan, seed, assets, readings_per_day, failure_rate)
    with Export(root / "data") as data, Export(root / "truth") as known:
        data.write(
            "parts", pd.DataFrame([asdict(part) for part in PARTS]).assign(introduced_at=clock.start - 3000 * DAY)
        )
        data.write("calendar_events", promotions(clock))
        known.write("defects", plan.nothing)
        in_service = np.zeros((len(REGIONS), days), dtype="int64")
        for number in range(-(-assets // BLOCK)):
            in_service += _write_block(run, number, data, known, ranking)
            say(f"{min((number + 1) * BLOCK, assets):,} of {assets:,} assets")
        known.write("demand", truth.demand_truth(run.demand, in_service, clock))
        known.write("fleet", truth.fleet_truth(assets, days, seed, end, readings_per_day, failure_rate))
    text = toml(clock, f"demo{seed}x{assets}", language, plan.known_at)
    (root / "foremend.toml").write_text(text, encoding="utf-8")
    return FleetSummary(
        root, assets, days, seed, data.rows["readings"], data.rows["tickets"], known.rows["failures"],
        ranking.without_precursor, ranking.roc, ranking.observed_over_expected, dict(data.rows), tuple(defects),
    )  # fmt: skip


@dataclass(frozen=True)
class _Run:
    """What is the same for every block."""

    clock: Calendar
    demand: Demand
    plan: Plan
    seed: int
    assets: int
    readings_per_day: int
    failure_rate: float


def _write_block(run: _Run, number: int, data: Export, known: Export, ranking: truth.Ranking) -> NDArray[np.int64]:
    """Make a block whole, write its part of the fleet; returns its assets in service, (region, day)."""
    count = min(BLOCK, run.assets - number * BLOCK)
    block, history = _one_block(number, run.clock, run.seed, run.failure_rate)
    tickets = dress(block, tickets_of(block, history, run.demand, run.clock, run.seed), run.seed)
    tickets = tickets.assign(here=tickets["asset"] < count)
    for name, frame in _tables(run, block, history, tickets):
        kept, planted = run.plan.plant(name, _cut(frame, block, count, tickets), run.clock, run.seed, number)
        data.write(name, kept, number)
        known.write("defects", planted)
    known.write("hazard", truth.hazard_truth(block, history, run.clock, count, ranking))
    known.write("failures", _cut(truth.failure_truth(block, history, run.clock), block, count, tickets))
    known.write("tickets", truth.ticket_truth(tickets[tickets["here"]]))
    data.end_block(number)
    return truth.in_service_by_region(block, history, count)


def simulate(
    *, assets: int, days: int, seed: int, end: date = END, failure_rate: float = 1.0, visits: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The fleet's true failures, had these preventive visits been made.

    A visit renews a component at the end of its day, whatever its state, unless it failed that day; every
    asset-day keeps its random numbers, so nothing changes before the first visit of an asset, and nothing
    ever for its other components.

    Parameters
    ----------
    visits
        One row per visit: ``asset_id``, ``component``, ``day`` (0 is the first day). ``truth/fleet.parquet`` holds
        the other arguments.

    Returns
    -------
    DataFrame
        One row per failure: ``asset_id, component, failed_at, repaired_at, precursor``.
    """
    check_sizes(assets, days, failure_rate=failure_rate)
    clock = calendar(end, days)
    parts = []
    for number in range(-(-assets // BLOCK)):
        block, history = _one_block(number, clock, seed, failure_rate, visits)
        failures = truth.failure_truth(block, history, clock)
        parts.append(_of_assets(failures, block, min(BLOCK, assets - number * BLOCK)))
    return pd.concat(parts, ignore_index=True)


def _one_block(
    number: int, clock: Calendar, seed: int, failure_rate: float, visits: pd.DataFrame | None = None
) -> tuple[Block, History]:
    block = make_block(number, clock, seed)
    block = replace(block, lives=replace(block.lives, hazard=block.lives.hazard * failure_rate))
    draws = draw(stream(seed, "lives", number), clock.days, BLOCK)
    return block, live(block.lives, draws, clock, None if visits is None else _visited(visits, block, clock))


def _visited(visits: pd.DataFrame, block: Block, clock: Calendar) -> NDArray[np.bool_]:
    """(day, asset, component) true where a visit is made."""
    asset = pd.Index(block.assets["asset_id"]).get_indexer(pd.Index(visits["asset_id"]))
    component = pd.Index([c.name for c in COMPONENTS]).get_indexer(pd.Index(visits["component"]))
    made = np.zeros((clock.days, BLOCK, len(COMPONENTS)), dtype=bool)
    here = asset >= 0
    made[visits["day"].to_numpy()[here], asset[here], component[here]] = True
    return made


def _tables(run: _Run, block: Block, history: History, tickets: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every table of the block, whole."""
    clock, seed = run.clock, run.seed
    yield (
        "assets",
        block.assets.assign(retired_at=block.assets["retired_at"].where(block.assets["retired_at"] < clock.now)),
    )
    yield "customers", block.customers
    yield "contracts", block.contracts
    yield "engineers", block.engineers
    yield "inspections", block.inspections
    yield "readings", _named(readings(block, history, clock, run.readings_per_day, seed), block)
    yield "alarms", _named(alarms(block, history, clock, seed), block)
    yield "tickets", exported(tickets, clock)
    yield "ticket_events", events_of(tickets, clock)
    yield "services", records.services(block, tickets, clock, seed)
    yield "maintenance_plans", records.plans(block, history, clock)
    yield "part_orders", records.part_orders(tickets, clock, stream(seed, "parts", block.number))
    yield "work_logs", records.work_logs(tickets, clock, block, stream(seed, "hours", block.number))
    yield "complaints", records.complaints(tickets, clock, stream(seed, "complaints", block.number))
    yield "approvals", records.approvals(tickets, clock, stream(seed, "approvals", block.number))


def _named(frame: pd.DataFrame, block: Block) -> pd.DataFrame:
    names = pd.Categorical.from_codes(frame["asset"].to_numpy(), categories=pd.Index(block.assets["asset_id"]))
    return pd.concat([pd.Series(names, name="asset_id"), frame.drop(columns="asset")], axis=1)


def _cut(frame: pd.DataFrame, block: Block, count: int, tickets: pd.DataFrame) -> pd.DataFrame:
    """The rows of the block's first `count` assets; rows of no asset stay."""
    if count == BLOCK:
        return frame
    frame = _of_assets(frame, block, count)
    if "ticket_id" in frame:
        frame = frame[~frame["ticket_id"].isin(tickets.loc[~tickets["here"], "ticket_id"])]
    return frame


def _of_assets(frame: pd.DataFrame, block: Block, count: int) -> pd.DataFrame:
    return frame[~frame["asset_id"].isin(block.assets["asset_id"][count:])] if "asset_id" in frame else frame


def check_sizes(assets: int, days: int, readings_per_day: int = 1, failure_rate: float = 1.0) -> None:
    """Check the sizes of a fleet before anything is made.

    Raises
    ------
    UserError
        One is out of range.
    """
    for name, value, low, high in (
        ("assets", assets, 1, 1_000_000), ("days", days, 30, 5000), ("readings_per_day", readings_per_day, 1, 1440),
        ("failure_rate", failure_rate, 0.001, 100),
    ):  # fmt: skip
        if not low <= value <= high:
            raise UserError(f"{name} = {value:,}", expected=f"between {low:,} and {high:,}", where="demo fleet")
