"""The engine against a reference: slow loops straight from the definitions, over the stored rows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.assets import GROUPS, build, build_for, build_grid, build_point, entries, feature_set
from features.point_in_time import (
    Baseline,
    Counts,
    CountSince,
    Events,
    Level,
    Moment,
    Silence,
    Since,
    State,
    Statistics,
)  # fmt: skip
from features.regimes import FEWEST
from features.tables import TABLES
from features.workspace import Workspace

DAY = timedelta(days=1)
FIRST = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 45
CHANNELS = ("pressure", "temperature")
TOML = '''
[channels.pressure]
unit = "bar"
[channels.temperature]
unit = "°C"
[time]
zone = "Asia/Shanghai"

[sources.desk]
table = "tickets"
query = ""
delay_hours = 5
reveals = {ticket_type = "first_response_at"}

[[failures]]
version = 1
repeat_days = 3
query = """
SELECT asset_id, event_time, code AS failure_mode, known_at FROM alarms WHERE code = 'E1'
UNION ALL
SELECT asset_id, performed_at, CASE WHEN component = 'pump' THEN 'pump' ELSE 'other' END, NULL
FROM services WHERE action = 'replaced'
UNION ALL
SELECT t.asset_id, t.opened_at, t.ticket_type, NULL
FROM tickets AS t JOIN assets USING (asset_id) WHERE t.closed_at IS NOT NULL AND t.ticket_type IS NOT NULL
"""

[features.own]
entries = [
    {kind = "statistics", column = "pressure", stats = ["count", "mean", "std", "min", "max", "sum", "slope", "last"], windows = [0.25, 2, 3, 11]},
    {kind = "baseline", column = "temperature", days = 3, windows = [1, 2]},
    {kind = "count", table = "services", by = "action", values = ["replaced"], windows = [5, 20]},
    {kind = "count", table = "services", at = "performed_at", where = {action = "serviced"}, windows = [9]},
    {kind = "since", table = "services", by = "action", values = ["replaced", "serviced"]},
    {kind = "attribute", column = "batch"},
]
'''
TWO_SOURCES = "".join(
    f"""
[sources.{name}]
table = "readings"
query = ""
"""
    for name in ("left", "right")
)
REGIME = 'regime = ["pressure > 99"]'
Rows = dict[str, list[dict[str, Any]]]
Row = Mapping[str, Any]


# ── rows: irregular, with everything that goes wrong ────────────────────────────────────────────


def an_instant(rng: random.Random) -> datetime:
    """Any microsecond, but often exactly on a cut-off or a whole day's fraction."""
    day = FIRST + rng.randrange(DAYS) * DAY
    return day + rng.choice([timedelta(0), timedelta(hours=18), timedelta(microseconds=rng.randrange(86_400_000_000))])


def lateness(rng: random.Random, kind: str) -> timedelta:
    if kind == "delayed":
        return timedelta(hours=30)
    if kind in {"late", "twice"} and rng.random() < 0.2:
        return rng.choice(
            [timedelta(days=rng.randrange(1, 21)), timedelta(hours=rng.randrange(480)), timedelta(hours=6)]
        )
    return timedelta(0)


def some_rows(seed: int, kind: str) -> Rows:
    """Four assets; ``B`` is installed midway, ``C`` is retired, ``D`` never says anything."""
    rng = random.Random(f"{seed} {kind}")
    rows: Rows = {name: [] for name in ("assets", "readings", "alarms", "services", "tickets", "maintenance_plans")}
    for asset, installed, retired in (("A", -500, None), ("B", 12, None), ("C", -90, 30), ("D", None, None)):
        at = None if installed is None else FIRST + installed * DAY
        row = {
            "asset_id": asset,
            "installed_at": at,
            "retired_at": retired and FIRST + retired * DAY,
            "batch": "b1",
            "asset_model": "m",
        }
        rows["assets"].append(row | {"known_at": at or FIRST - DAY * 900})
        rows["assets"].append(
            row | {"batch": "b2", "warranty_until_at": FIRST + 40 * DAY, "known_at": FIRST + rng.randrange(DAYS) * DAY}
        )
    for asset in "ABC":
        silent = rng.randrange(DAYS)
        seen: set[datetime] = set()
        for _ in range(150):
            at = an_instant(rng)
            if at in seen or abs((at - FIRST).days - silent) < 4:
                continue
            seen.add(at)
            values = {c: rng.choice([None, math.nan, rng.gauss(100, 5), rng.gauss(100, 5), 97.5]) for c in CHANNELS}
            reading = {"asset_id": asset, "event_time": at, "known_at": at + lateness(rng, kind), **values}
            rows["readings"] += [reading] if kind != "twice" else some_twins(rng, reading)
        for _ in range(25):
            at = an_instant(rng)
            rows["alarms"].append(
                {
                    "asset_id": asset,
                    "event_time": at,
                    "known_at": at + lateness(rng, kind),
                    "code": rng.choice(["E1", "E2", "E3"]),
                }
            )
        for n in range(6):
            rows["services"] += some_service(rng, asset, n, kind)
            rows["tickets"] += some_ticket(rng, asset, n, kind)
            rows["maintenance_plans"] += some_plan(rng, asset, n)
    return rows


def some_twins(rng: random.Random, reading: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Two sources see the asset, often at one instant; each is late by itself, and either may say more."""
    yield reading | {"source": "left"}
    if rng.random() < 0.6:
        at = reading["event_time"]
        values = {c: rng.choice([None, rng.gauss(100, 5)]) for c in CHANNELS}
        yield reading | values | {"source": "right", "known_at": at + lateness(rng, "twice")}


def some_service(rng: random.Random, asset: str, n: int, kind: str) -> Iterator[dict[str, Any]]:
    at = an_instant(rng)
    row = {"service_id": f"{asset}{n}", "asset_id": asset, "performed_at": at, "component": rng.choice(["pump", "valve"]),
           "action": rng.choice(["replaced", "serviced"]), "known_at": at + lateness(rng, kind)}  # fmt: skip
    yield row
    if rng.random() < 0.3:  # corrected, or withdrawn
        change = rng.choice(
            [{"component": "motor"}, {"deleted": True}, {"performed_at": at - 3 * DAY}, {"asset_id": "A"}, {}]
        )
        later = row["known_at"] + timedelta(hours=rng.randrange(1, 300))
        yield row | change | {"known_at": later}
        if rng.random() < 0.5:
            yield row | {"known_at": later + DAY}


def some_ticket(rng: random.Random, asset: str, n: int, kind: str) -> Iterator[dict[str, Any]]:
    """First load gives the closed ticket in one version; later loads give its changes."""
    opened = an_instant(rng)
    closed = opened + timedelta(hours=rng.randrange(200))
    row = {"source": "desk", "system": "s", "ticket_id": f"{asset}{n}", "asset_id": asset, "ticket_type": rng.choice(["fault", "question"]),
           "opened_at": opened, "first_response_at": opened + timedelta(hours=rng.choice([0, 1, 26])), "known_at": opened + timedelta(hours=5)}  # fmt: skip
    if rng.random() < 0.5:
        yield row | {"closed_at": rng.choice([closed, None])}
        return
    yield row
    yield row | {
        "closed_at": closed,
        "known_at": max(closed, row["known_at"]) + timedelta(hours=1) + lateness(rng, kind),
    }
    if rng.random() < 0.5:  # reopened
        yield row | {"known_at": closed + timedelta(days=25), "deleted": rng.random() < 0.3}


def some_plan(rng: random.Random, asset: str, n: int) -> Iterator[dict[str, Any]]:
    at = FIRST + rng.randrange(-20, 40) * DAY
    plan = {"plan_id": f"{asset}{n}", "asset_id": asset, "component": rng.choice(["pump", None]), "planned_at": at}
    yield plan | {"due_at": at + rng.randrange(60) * DAY, "known_at": at}
    yield plan | {"last_done_at": at + 3 * DAY, "interval_days": 30.0, "known_at": at + 4 * DAY}


# ── the reference ───────────────────────────────────────────────────────────────────────────────


class Reference:
    """Every definition as a loop over the rows that were visible at one instant."""

    def __init__(self, workspace: Workspace, rows: Rows, as_of: datetime) -> None:
        self.config, self.rows, self.as_of = workspace.config, rows, as_of

    def value(self, entry: Any, asset: str) -> dict[str, Any]:
        names = [f.name for f in entry.features()]
        values = {
            Statistics: self.statistics, Baseline: self.baseline, Silence: self.silence, Counts: self.counts,
            Since: self.since, CountSince: self.count_since, Level: self.level, State: self.state, Moment: self.moment,
        }[type(entry)](entry, asset)  # fmt: skip
        return dict(zip(names, values, strict=True))

    # rows

    def facts(self, table: str, asset: str) -> list[Row]:
        return [
            r
            for r in self.rows[table]
            if r["asset_id"] == asset and r["known_at"] < self.as_of and r["event_time"] < self.as_of
        ]

    def versions(self, table: str) -> list[Row]:
        """The latest known version of every key, columns not revealed yet emptied."""
        latest: dict[tuple[Any, ...], Row] = {}
        for row in self.rows[table]:
            key = tuple(row[k] for k in TABLES[table].key)
            if row["known_at"] < self.as_of and (key not in latest or latest[key]["known_at"] < row["known_at"]):
                latest[key] = row
        return [self.revealed(table, r) for r in latest.values() if not r.get("deleted")]

    def revealed(self, table: str, row: Row) -> Row:
        found = dict(row)
        for column in TABLES[table].columns:
            source = self.config.sources.get(row.get("source", ""))
            by = (source.reveals if source else {}).get(column.name, column.revealed_by)
            delay = timedelta(hours=source.delay_hours if source else 0)
            if (
                by != "known_at"
                and column.name not in TABLES[table].key
                and not (row.get(by) and row[by] + delay < self.as_of)
            ):
                found[column.name] = None
        return found

    def events(self, spec: Events, asset: str) -> list[tuple[datetime, Any]]:
        if spec.table == "failures":
            return self.failures(asset)
        table = spec.table
        kind = TABLES[table].kind
        at = spec.at or ("event_time" if kind == "fact" else TABLES[table].clock)
        rows = (
            self.facts(table, asset) if kind == "fact" else [r for r in self.versions(table) if r["asset_id"] == asset]
        )
        found = [
            (r[at], r.get(spec.by))
            for r in rows
            if r.get(at) and r[at] < self.as_of and all(r[c] == v for c, v in spec.where)
        ]
        if spec.repeat_days:
            gap = timedelta(days=spec.repeat_days)
            found = [(t, v) for t, v in found if any(t - gap <= other < t for other, _ in found)]
        return found

    def failures(self, asset: str) -> list[tuple[datetime, Any]]:
        """What the rule of :data:`TOML` says of the rows as they are known; a repeat counts while its first one does not."""
        found = {(r["event_time"], "E1") for r in self.facts("alarms", asset) if r["code"] == "E1"}
        services, tickets = ([r for r in self.versions(t) if r["asset_id"] == asset] for t in ("services", "tickets"))
        modes = {"pump": "pump"}
        found |= {
            (r["performed_at"], modes.get(r["component"], "other")) for r in services if r["action"] == "replaced"
        }
        found |= {(r["opened_at"], r["ticket_type"]) for r in tickets if r.get("closed_at") and r["ticket_type"]}
        kept: list[tuple[datetime, Any]] = []
        for t, v in sorted(pair for pair in found if pair[0] and pair[0] < self.as_of):
            if not any(mode == v and first >= t - 3 * DAY for first, mode in kept):
                kept.append((t, v))
        return kept

    def readings(self, entry: Any, asset: str) -> list[tuple[datetime, float]]:
        pairs = [(r["event_time"], r.get(entry.column)) for r in self.facts(entry.table, asset)]
        return sorted((t, x) for t, x in pairs if x is not None and math.isfinite(x))

    def within(self, pairs: Sequence[tuple[datetime, Any]], days: float | None) -> list[tuple[datetime, Any]]:
        return [(t, x) for t, x in pairs if days is None or t >= self.as_of - timedelta(days=days)]

    # entries

    def statistics(self, entry: Statistics, asset: str) -> Iterator[Any]:
        for window in entry.windows:
            pairs = self.within(readings := self.readings(entry, asset), window)
            for stat in entry.stats:
                if stat == "day_minus_mean":
                    day, long = (self.statistic("mean", p) for p in (self.within(readings, 1), pairs))
                    yield None if day is None or long is None else day - long
                else:
                    yield self.statistic(stat, pairs)

    def statistic(self, stat: str, pairs: Sequence[tuple[datetime, float]]) -> float | None:
        values = [x for _, x in pairs]
        if stat == "count":
            return len(values)
        if not values:
            return None
        mean = math.fsum(values) / len(values)
        if stat == "std":
            return deviation(values)
        if stat == "slope":
            days = [1 - math.ceil((self.as_of - t) / DAY) for t, _ in pairs]
            middle = math.fsum(days) / len(days)
            spread = math.fsum((d - middle) ** 2 for d in days)
            return (
                math.fsum((d - middle) * (x - mean) for d, x in zip(days, values, strict=True)) / spread
                if spread
                else None
            )
        return {"mean": mean, "min": min(values), "max": max(values), "sum": math.fsum(values), "last": values[-1],
                "last_minus_mean": values[-1] - mean}[stat]  # fmt: skip

    def baseline(self, entry: Baseline, asset: str) -> Iterator[Any]:
        readings = self.readings(entry, asset)
        start = self.begin(entry, asset)
        own = [] if start is None else [x for t, x in readings if start <= t < start + entry.days * DAY]
        mean, spread = (math.fsum(own) / len(own), deviation(own)) if own else (None, None)
        yield from (mean, spread)
        for window in entry.windows:
            short = [x for _, x in self.within(readings, window)]
            yield (math.fsum(short) / len(short) - mean) / spread if short and mean is not None and spread else None

    def begin(self, entry: Baseline, asset: str) -> datetime | None:
        """The first daily boundary not before the last reset; else the one not after the first row."""
        resets = [t for t, _ in self.events(entry.reset, asset)] if entry.reset else []
        rows = [r["event_time"] for r in self.facts(entry.table, asset)]
        if resets:
            return self.as_of - (self.as_of - max(resets)) // DAY * DAY
        return self.as_of - math.ceil((self.as_of - min(rows)) / DAY) * DAY if rows else None

    def silence(self, entry: Silence, asset: str) -> Iterator[Any]:
        rows = [(r["event_time"], 1) for r in self.facts(entry.table, asset)]
        yield (self.as_of - max(rows)[0]) / timedelta(hours=1) if rows else None
        month = len(self.within(rows, entry.window))
        yield len(self.within(rows, 1)) / (month / entry.window) if month else None

    def counts(self, entry: Counts, asset: str) -> Iterator[Any]:
        happened = self.events(entry.events, asset)
        for window in entry.windows:
            for value in [*([None] if entry.total else []), *entry.values]:
                yield sum(value in (None, v) for _, v in self.within(happened, window))

    def since(self, entry: Since, asset: str) -> Iterator[Any]:
        happened = self.events(entry.events, asset)
        for value in [*([None] if entry.total else []), *entry.values]:
            times = [t for t, v in happened if value in (None, v)]
            yield (self.as_of - max(times)) / DAY if times else None

    def count_since(self, entry: CountSince, asset: str) -> Iterator[Any]:
        resets = [t for t, _ in self.events(entry.reset, asset)]
        yield sum(not resets or t >= max(resets) for t, _ in self.events(entry.events, asset))

    def level(self, entry: Level, asset: str) -> Iterator[Any]:
        yield len(self.events(entry.opened, asset)) - len(self.events(entry.closed, asset))

    def state(self, entry: State, asset: str) -> Iterator[Any]:
        rows = [r for r in self.versions(entry.table) if r["asset_id"] == asset]
        name = entry.feature.name
        if entry.table == "maintenance_plans":
            component = name.removeprefix("plan_days_until_due").lstrip("_")
            dues = [
                r.get("due_at") or r["last_done_at"] + timedelta(days=r["interval_days"])
                for r in rows
                if component in ("", r["component"])
            ]
            yield (min(dues) - self.as_of) / DAY if dues else None
            return
        (row,) = rows
        if name == "asset_age_days":
            yield row["installed_at"] and (self.as_of - row["installed_at"]) / DAY
        elif name == "asset_warranty_days":
            yield row.get("warranty_until_at") and (row["warranty_until_at"] - self.as_of) / DAY
        else:
            yield row.get(entry.columns[0])

    def moment(self, entry: Moment, asset: str) -> Iterator[Any]:
        local = (self.as_of + timedelta(hours=8)).timetuple()
        yield {"weekday": local.tm_wday, "month": local.tm_mon, "day_of_year": local.tm_yday}[entry.part]


def within_regimes(workspace: Workspace, rows: Rows) -> Rows:
    """The rows, where ``temperature`` has the regime :data:`REGIME` with its z in its place."""
    if not workspace.config.channels["temperature"].regime:
        return rows
    hour = timedelta(hours=int(workspace.config.time.cutoff_utc[:2]))
    return {**rows, "readings": [r | {"temperature": z(r, rows["readings"], hour)} for r in rows["readings"]]}


def z(row: Row, readings: Sequence[Row], hour: timedelta) -> float | None:
    """Among what was known of the row's regime before the cut-off that began the day on which the row became known."""
    begun = row["known_at"] - (row["known_at"] - FIRST - hour) % DAY
    alike = [r["temperature"] for r in readings if r["known_at"] < begun and high(r) == high(row)]
    alike = [x for x in alike if x is not None and math.isfinite(x)]
    x = row.get("temperature")
    if x is None or high(row) is None or len(alike) < FEWEST:
        return None
    return (x - math.fsum(alike) / len(alike)) / (deviation(alike) or math.nan)


def high(row: Row) -> bool | None:
    """The regime, as SQL has it: NaN is above all numbers."""
    pressure = row.get("pressure")
    return None if pressure is None else math.isnan(pressure) or pressure > 99


def deviation(values: Sequence[float]) -> float | None:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1)) if len(values) > 1 else None


def in_service(rows: Rows, as_of: datetime) -> list[str]:
    latest = {r["asset_id"]: r for r in sorted(rows["assets"], key=lambda r: r["known_at"]) if r["known_at"] < as_of}
    return sorted(
        a for a, r in latest.items()
        if (r["installed_at"] is None or r["installed_at"] < as_of) and (r["retired_at"] is None or r["retired_at"] >= as_of)
    )  # fmt: skip


def same(found: Any, expected: Any) -> bool:
    if expected is None or found is None or isinstance(expected, str):
        return bool(found == expected)
    return abs(found - expected) <= 1e-6 * (1 + abs(expected))


# ── the tests ───────────────────────────────────────────────────────────────────────────────────

Made = Callable[..., Workspace]
LATENESS = ("prompt", "delayed", "late")
KINDS = (*LATENESS, "twice")
"""``twice``: two sources, late now and then, whose instants are often the same."""


def toml(kind: str) -> str:
    """Beside `late` rows, one channel is seen within its regime."""
    if kind == "late":
        return TOML.replace("[channels.temperature]", f"[channels.temperature]\n{REGIME}")
    return TOML + TWO_SOURCES if kind == "twice" else TOML


CUTOFFS = [FIRST + n * DAY for n in (0, 1, 2, 5, 8, 12, 13, 20, 30, 31, 44, 45, 52, 64)]


def pandas_row(row: Row) -> dict[str, Any]:
    return {k: None if v is None or v != v else v for k, v in row.items()}


def points(workspace: Workspace, cutoffs: Sequence[datetime]) -> dict[tuple[str, datetime], Row]:
    """What the point target says of every asset at every cut-off, in service or not."""
    spine = pd.DataFrame([(a, c) for c in cutoffs for a in "ABCD"], columns=["asset_id", "as_of"])
    return {(r["asset_id"], r["as_of"]): pandas_row(r) for r in build(workspace, spine).to_dict("records")}


def check(workspace: Workspace, rows: Rows, cutoffs: Sequence[datetime]) -> int:
    """Both targets against the reference; returns the number of values compared."""
    snapshot = workspace.pin()
    groups = entries(snapshot)
    grid = {(r["asset_id"], r["as_of"]): r for r in build_grid(snapshot, cutoffs).to_pylist()}
    point = points(workspace, cutoffs)
    seen = within_regimes(workspace, rows)
    checks, wrong = 0, []
    assert sorted(grid) == sorted((a, c) for c in cutoffs for a in in_service(rows, c))
    for asset, as_of in grid:
        reference = Reference(workspace, seen, as_of)
        for group, wanted in groups.items():
            for name, value in (pair for entry in wanted for pair in reference.value(entry, asset).items()):
                for target, found in (("grid", grid), ("point", point)):
                    checks += 1
                    if not same(found[asset, as_of][name], value):
                        wrong.append(
                            f"{target} {as_of:%m-%d} {asset} {group} {name}: {found[asset, as_of][name]} instead of {value}"
                        )
    assert not wrong, f"{len(wrong)} of {checks}:\n" + "\n".join(wrong[:20])
    assert set(groups) == {*GROUPS, "own"}
    assert checks == 2 * len(grid) * len(feature_set(snapshot).features)
    return checks


@pytest.mark.parametrize("kind", KINDS)
def test_both_targets_equal_the_reference_on_every_feature(committed: Made, kind: str) -> None:
    rows = some_rows(1, kind)
    assert check(committed(toml(kind), **rows), rows, CUTOFFS[::2]) > 2500


@pytest.mark.parametrize(("step", "kind"), [(3, "twice"), (7, "prompt")])
def test_both_targets_equal_the_reference_at_cut_offs_some_days_apart(committed: Made, step: int, kind: str) -> None:
    rows = some_rows(3, kind)
    assert check(committed(toml(kind), **rows), rows, [FIRST + n * step * DAY for n in (0, 1, 2, 4, 5, 8)]) > 2000


@pytest.mark.proof
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_both_targets_equal_the_reference_on_more_rows(committed: Made, seed: int, kind: str) -> None:
    rows = some_rows(seed, kind)
    assert check(committed(toml(kind), **rows), rows, CUTOFFS) > 5000


# ── nothing known later changes anything ────────────────────────────────────────────────────────

AS_OF = FIRST + 31 * DAY


def changed_later(rows: Rows, rng: random.Random) -> Rows:
    """The same rows, with one more, or one changed, that was known at or after :data:`AS_OF`."""
    table = rng.choice(sorted(rows))
    at = AS_OF + rng.choice([timedelta(0), timedelta(microseconds=1), timedelta(hours=rng.randrange(900))])
    later = [n for n, r in enumerate(rows[table]) if r["known_at"] >= AS_OF]
    found = {name: list(kept) for name, kept in rows.items()}
    row = dict(rng.choice(rows[table])) | {"known_at": at, "ingested_at": at + DAY * 99}
    if TABLES[table].kind == "fact":
        row["event_time"] = rng.choice([row["event_time"], an_instant(rng)])
    noise = {"pressure": 1e9, "temperature": math.inf, "code": "E9", "component": "gear", "action": "inspected", "ticket_type": "new",
             "closed_at": at, "opened_at": FIRST, "performed_at": FIRST + DAY, "due_at": FIRST, "batch": "b9", "deleted": True,
             "retired_at": FIRST + DAY, "installed_at": at}  # fmt: skip
    for column in rng.sample(sorted(noise), 4):
        if column in row or (column == "deleted" and TABLES[table].kind == "versioned"):
            row[column] = noise[column]
    if later and rng.random() < 0.4:
        found[table][rng.choice(later)] = row
    else:
        found[table].append(row)
    return found


@pytest.fixture(scope="module")
def unchanged(
    tmp_path_factory: pytest.TempPathFactory, commit_to: Callable[..., Workspace]
) -> Callable[[str], list[pd.DataFrame]]:
    """Features of the unchanged rows, by kind of lateness."""
    return cache(lambda kind: tables_at(commit_to(tmp_path_factory.mktemp("before"), toml(kind), **some_rows(4, kind))))


def nothing_changes(before: list[pd.DataFrame], workspace: Workspace) -> None:
    for old, new in zip(before, tables_at(workspace), strict=True):
        assert len(old) == len(new)
        for name in old.columns:
            pd.testing.assert_series_equal(old[name], new[name], rtol=1e-9, atol=1e-9)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(LATENESS))
def test_adding_or_changing_any_row_known_at_or_after_the_cut_off_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, commit_to: Callable[..., Workspace],
    unchanged: Callable[[str], list[pd.DataFrame]], seed: int, kind: str,
) -> None:  # fmt: skip
    rows = changed_later(some_rows(4, kind), random.Random(seed))
    nothing_changes(unchanged(kind), commit_to(tmp_path_factory.mktemp("after"), toml(kind), **rows))


@pytest.mark.proof
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**9), kind=st.sampled_from(LATENESS))
def test_adding_or_changing_any_of_many_rows_known_later_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, commit_to: Callable[..., Workspace],
    unchanged: Callable[[str], list[pd.DataFrame]], seed: int, kind: str,
) -> None:  # fmt: skip
    rows = changed_later(some_rows(4, kind), random.Random(seed))
    nothing_changes(unchanged(kind), commit_to(tmp_path_factory.mktemp("after"), toml(kind), **rows))


def tables_at(workspace: Workspace) -> list[pd.DataFrame]:
    """Both targets at :data:`AS_OF` and the days before."""
    snapshot = workspace.pin()
    cutoffs = [AS_OF - 9 * DAY, AS_OF - DAY, AS_OF]
    return [build_point(snapshot, AS_OF).to_pandas(), build_grid(snapshot, cutoffs).to_pandas()]


def test_a_row_known_before_the_cut_off_does_change_something(
    commit_to: Callable[..., Workspace], tmp_path: Path
) -> None:
    rows = some_rows(4, "prompt")
    at = AS_OF - timedelta(microseconds=1)
    more = {
        **rows,
        "readings": [*rows["readings"], {"asset_id": "A", "event_time": at, "known_at": at, "pressure": 500.0}],
    }
    before, after = (
        build_point(commit_to(tmp_path / n, TOML, **r).pin(), AS_OF).to_pandas() for n, r in (("a", rows), ("b", more))
    )
    assert after["reading_pressure_max_7d"].iloc[0] == 500.0 != before["reading_pressure_max_7d"].iloc[0]


# ── another entity ──────────────────────────────────────────────────────────────────────────────


def test_the_entity_is_a_parameter_of_the_spec(committed: Made) -> None:
    rng = random.Random(5)
    states = ["opened", "on_hold", "resumed", "transferred"]
    rows = [
        {
            "system": "s",
            "ticket_id": f"T{n % 5}",
            "event_time": (at := an_instant(rng)),
            "known_at": at + lateness(rng, "late"),
            "state": rng.choice(states),
        }
        for n in range(120)
    ]
    snapshot = committed("", ticket_events=rows).pin()
    happened = Events("event", "ticket_events", by="state", entity="ticket_id")
    spec = (Counts(happened, (1, 7, None), tuple(states)), Since(happened, tuple(states)))
    cutoffs = [FIRST + n * DAY for n in (3, 9, 10, 33)]
    checks = 0
    for as_of in cutoffs:
        spine = [(f"T{n}", as_of) for n in range(5)]
        for target in (
            build_for(snapshot, spec, spine, "ticket_id"),
            build_for(snapshot, spec, [(t, c) for c in cutoffs for t, _ in spine], "ticket_id"),
        ):
            found = {(r["ticket_id"], r["as_of"]): r for r in target.to_pylist()}
            for ticket, _ in spine:
                seen = [
                    r for r in rows if r["ticket_id"] == ticket and r["known_at"] < as_of and r["event_time"] < as_of
                ]
                row = found[ticket, as_of]
                for window in (1, 7, None):
                    inside = [r for r in seen if window is None or r["event_time"] >= as_of - window * DAY]
                    name = "ever" if window is None else f"{window}d"
                    assert row[f"event_count_{name}"] == len(inside)
                    assert row[f"event_count_on_hold_{name}"] == sum(r["state"] == "on_hold" for r in inside)
                    checks += 2
                last = max((r["event_time"] for r in seen), default=None)
                assert same(row["event_days_since_last"], last and (as_of - last) / DAY)
                checks += 1
    assert checks == len(cutoffs) * 2 * 5 * 7


# ── kept partials ───────────────────────────────────────────────────────────────────────────────


def test_kept_day_partials_equal_the_full_computation_after_late_and_new_rows(committed: Made) -> None:
    at_midnight = toml("late").replace("[time]", '[time]\ncutoff_utc = "00:00"')
    rows = some_rows(6, "late")
    first = {**rows, "readings": [r for r in rows["readings"] if r["known_at"] < AS_OF]}
    then = [r for r in rows["readings"] if r["known_at"] >= AS_OF]
    workspace = committed(at_midnight, **first)
    compare_kept(workspace, AS_OF)
    files = {path.name for path in workspace.derived.rglob("*.parquet")}
    assert len(files) == len({r["event_time"].strftime("%Y-%m") for r in first["readings"]})
    assert any(r["event_time"] < AS_OF for r in then), "the second load must reach back"
    workspace = committed(at_midnight, readings=then)
    compare_kept(workspace, AS_OF + 20 * DAY)
    compare_kept(workspace, AS_OF)
    (workspace.derived / "readings").rename(workspace.derived / "away")
    compare_kept(workspace, AS_OF + 20 * DAY)


def compare_kept(workspace: Workspace, as_of: datetime) -> None:
    snapshot = workspace.pin()
    kept, full = (build_point(snapshot, as_of, derived=derived).to_pandas() for derived in (True, False))
    assert any(workspace.derived.rglob("*.parquet"))
    pd.testing.assert_frame_equal(kept, full, rtol=1e-9, atol=1e-9)
