"""Every defect that can be planted does what it says, and is written down."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import duckdb
import pandas as pd
import pytest

from features.config import load
from features.demo import make_fleet
from features.demo.defects import DEFECTS


@cache
def fleet(base: Path, *defects: str) -> Path:
    return make_fleet(Path(mkdtemp(dir=base)) / "fleet", assets=60, days=100, seed=12, defects=defects).folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("defects")


def rows(folder: Path, table: str) -> pd.DataFrame:
    return pd.concat(pd.read_parquet(path) for path in sorted((folder / "data").glob(f"{table}.parquet")))


def planted(folder: Path, defect: str, detail: str = "") -> int:
    notes = pd.read_parquet(folder / "truth/defects.parquet")
    return int(((notes["defect"] == defect) & notes["detail"].str.contains(detail)).sum())


def leak(clean: Path, spoilt: Path) -> None:
    alarms = rows(spoilt, "alarms")
    added = alarms[alarms["alarm_code"] == "A999"]
    assert (
        len(alarms) == len(rows(clean, "alarms")) + planted(spoilt, "leak") == len(rows(clean, "alarms")) + len(added)
    )
    near = duckdb.execute(f"""
        SELECT count(*) FROM '{spoilt}/data/alarms.parquet' WHERE alarm_code = 'A999' AND EXISTS (
            FROM '{spoilt}/truth/failures.parquet' WHERE asset_id = machine_no
            AND failed_at BETWEEN ts + INTERVAL 11 HOUR AND ts + INTERVAL 49 HOUR)""").fetchone()
    assert near == (len(added),)
    assert len(added) > 5


def late_rows(clean: Path, spoilt: Path) -> None:
    before, after = rows(clean, "readings-*"), rows(spoilt, "readings-*")
    lag = after["known_at"] - after["ts"]
    assert "known_at" not in before
    assert (
        (lag > pd.Timedelta(0)).sum() == planted(spoilt, "late_rows") == pytest.approx(0.0095 * len(before), rel=0.15)
    )
    assert lag.max() <= pd.Timedelta(days=20)
    assert lag.max() > pd.Timedelta(days=15)
    config = load(spoilt / "foremend.toml")
    assert config.sources["readings"].known_at == "known_at"
    assert after["known_at"].max() < pd.Timestamp(config.time.now)


def clock_errors(clean: Path, spoilt: Path) -> None:
    readings, now = rows(spoilt, "readings-*"), pd.Timestamp(load(spoilt / "foremend.toml").time.now)
    assert len(readings) == len(rows(clean, "readings-*"))
    alarms = rows(spoilt, "alarms")
    future = (readings["ts"] >= now).sum() + (alarms["ts"] >= now).sum()
    assert future == planted(spoilt, "clock_errors", "future") > 5
    past = (readings["ts"].dt.year == 1970).sum() + (alarms["ts"].dt.year == 1970).sum()
    assert past == planted(spoilt, "clock_errors", "1970") > 5


def contradictions(clean: Path, spoilt: Path) -> None:
    def wrong(folder: Path) -> tuple[int, int]:
        tickets = rows(folder, "tickets")
        early = tickets["closed_at"] < tickets["opened_at"]
        return int(early.sum()), int((tickets["resolved_at"] < tickets["arrived_at"]).sum())

    assert wrong(clean) == (0, 0)
    assert wrong(spoilt) == (planted(spoilt, "contradictions", "closed"), planted(spoilt, "contradictions", "solved"))
    assert min(wrong(spoilt)) > 0


def silent_sensors(clean: Path, spoilt: Path) -> None:
    before, after = rows(clean, "readings-*"), rows(spoilt, "readings-*")
    last = (after.groupby("machine_no")["ts"].max() - before.groupby("machine_no")["ts"].max()).dt.days
    assert (last < -5).sum() == planted(spoilt, "silent_sensors", "silent") > 0
    empty = after["temperature"].isna().groupby(after["machine_no"]).sum()
    assert (empty > 40).sum() == planted(spoilt, "silent_sensors", "empty") > 0
    common = after.groupby("machine_no")["vibration"].agg(lambda v: v.value_counts().max())
    assert (common > 30).sum() == planted(spoilt, "silent_sensors", "stuck") > 0


def duplicates(clean: Path, spoilt: Path) -> None:
    for table, key in (("readings-*", ["machine_no", "ts"]), ("tickets", ["ticket_id"]), ("alarms", None)):
        before, after = rows(clean, table), rows(spoilt, table)
        added = len(after) - len(before)
        assert added > 0, table
        if key:
            assert after.duplicated(key).sum() == added
    more = sum(len(rows(spoilt, t)) - len(rows(clean, t)) for t in ("readings-*", "tickets", "alarms"))
    assert more == planted(spoilt, "duplicates")
    readings = rows(spoilt, "readings-*")
    other = readings.duplicated(["machine_no", "ts"]) & ~readings.duplicated()
    assert other.sum() == planted(spoilt, "duplicates", "other") > 5


def nan_values(clean: Path, spoilt: Path) -> None:
    readings = rows(spoilt, "readings-*")
    words = readings["temperature"].isin(["NaN", "ERR", "#N/A", "-"]).sum()
    infinite = readings["vibration"].isin([float("inf"), float("-inf")]).sum()
    assert infinite == planted(spoilt, "nan_values", "infinite") > 5
    assert words + infinite == planted(spoilt, "nan_values")
    assert words > 20
    numbers = pd.to_numeric(readings["temperature"], errors="coerce").notna().sum()
    assert numbers > 0.98 * len(rows(clean, "readings-*"))


def unknown_assets(clean: Path, spoilt: Path) -> None:
    known = set(rows(clean, "assets")["machine_no"])
    lost = (~rows(spoilt, "readings-*")["machine_no"].isin(known)).sum()
    tickets = rows(spoilt, "tickets")["asset_id"].dropna()
    assert lost > 20
    assert lost + (~tickets.isin(known)).sum() == planted(spoilt, "unknown_assets")


def mixed_zones(clean: Path, spoilt: Path) -> None:
    said, meant = rows(spoilt, "alarms")["ts"], rows(clean, "alarms")["ts"]
    naive = ~said.str.contains(r"(?:Z|\+08:00)$")
    assert naive.sum() == planted(spoilt, "mixed_zones") > 10
    zoned = pd.to_datetime(said[~naive], utc=True, format="ISO8601")
    assert zoned.sort_index().tolist() == meant[~naive].dt.floor("s").tolist()
    assert said.str.endswith("+08:00").sum() > 10


CHECKS: dict[str, Callable[[Path, Path], None]] = {
    check.__name__: check
    for check in (
        leak, late_rows, clock_errors, contradictions, silent_sensors, duplicates, nan_values, unknown_assets,
        mixed_zones,
    )
}  # fmt: skip


def test_every_defect_has_its_check() -> None:
    assert set(CHECKS) == set(DEFECTS)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_planted_defect_is_there_and_written_down(base: Path, name: str) -> None:
    CHECKS[name](fleet(base), fleet(base, name))


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_tables_without_the_defect_stay_as_they_were(base: Path, name: str) -> None:
    for path in sorted((fleet(base) / "data").glob("*.parquet")):
        if path.stem.split("-")[0] not in DEFECTS[name].tables:
            assert path.read_bytes() == (fleet(base, name) / "data" / path.name).read_bytes(), path.stem


def test_all_defects_can_be_planted_together(base: Path) -> None:
    folder = fleet(base, *sorted(DEFECTS))
    assert set(pd.read_parquet(folder / "truth/defects.parquet")["defect"]) == set(DEFECTS)
    assert len(load(folder / "foremend.toml").sources) == 17
