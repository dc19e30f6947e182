"""Labels against slow loops, and every rule of censoring on its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.labels import censorings, data_end, label, record_start
from features.workspace import Workspace

EDGES, HORIZONS, MODES = (0, 1, 3, 7), (1, 3, 7), ("pump", "valve")
T0 = datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def spine(*rows: tuple[str, datetime]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["asset_id", "as_of"])


def failed(*rows: tuple[str, str, datetime]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=["asset_id", "failure_mode", "event_time"])
    return frame.astype({"event_time": "datetime64[us, UTC]"})


def slow(row, failures, censored, until, truncated_before):
    """The definition read aloud: one row, loops, datetimes."""
    asset, as_of = row
    at_risk = np.zeros((len(MODES), len(EDGES) - 1), dtype=bool)
    event, known, hit = at_risk.copy(), np.zeros(len(HORIZONS), bool), np.zeros(len(HORIZONS), bool)
    if truncated_before and as_of < truncated_before:
        return at_risk, event, known, hit
    stops = [c for a, c in censored if a == asset and c >= as_of]
    stop = min(stops) if stops else None

    def judge(times, low, high):
        """(seen through, failed inside) of one window for one list of failure instants."""
        later = sorted(t for t in times if t > as_of)
        first = later[0] if later else None
        if high > until:
            return False, False
        if first is not None and first <= low:
            return False, False
        if first is not None and first <= high and (stop is None or first <= stop):
            return True, True
        if first is not None and first <= high:
            return False, False
        return stop is None or stop >= high, False

    for m, mode in enumerate(MODES):
        times = [t for a, f, t in failures if a == asset and f == mode]
        for k in range(len(EDGES) - 1):
            at_risk[m, k], event[m, k] = judge(times, as_of + EDGES[k] * DAY, as_of + EDGES[k + 1] * DAY)
    for h, days in enumerate(HORIZONS):
        known[h], hit[h] = judge([t for a, _, t in failures if a == asset], as_of, as_of + days * DAY)
    return at_risk, event, known, hit


@pytest.mark.parametrize("seed", range(6))
def test_labels_equal_a_slow_loop_on_random_histories_with_ties_and_censoring(seed):
    rng = np.random.default_rng(seed)

    def moment() -> datetime:  # half days: many ties with cut-offs and ends
        return T0 + int(rng.integers(0, 40)) * DAY / 2

    assets = [f"a{i}" for i in range(6)]
    rows = [(str(rng.choice(assets)), T0 + int(rng.integers(0, 16)) * DAY) for _ in range(120)]
    failures = [(str(rng.choice(assets)), str(rng.choice([*MODES, "rare"])), moment()) for _ in range(25)]
    censored = [(str(rng.choice(assets)), moment()) for _ in range(4)]
    until, start = T0 + 17 * DAY, (T0 + 2 * DAY if seed % 2 else None)
    got = label(
        spine(*rows), failed(*failures), modes=MODES, until=until, edges_days=EDGES, horizons_days=HORIZONS,
        censored=pd.DataFrame(censored, columns=["asset_id", "censored_at"]), observed_from=start,
    )  # fmt: skip
    want = [slow(row, failures, censored, until, start) for row in rows]
    for place, name in enumerate(("at_risk", "event", "known", "failed")):
        np.testing.assert_array_equal(getattr(got, name), np.stack([w[place] for w in want]), err_msg=name)
    assert got.event.any()
    assert not got.at_risk.all()
    assert not got.known.all()


def test_a_window_excludes_its_cut_off_and_includes_its_end():
    failures = failed(("a", "pump", T0), ("b", "pump", T0 + DAY))
    got = label(
        spine(("a", T0), ("b", T0)),
        failures,
        modes=MODES,
        until=T0 + 30 * DAY,
        edges_days=EDGES,
        horizons_days=HORIZONS,
    )
    assert got.failed[:, 0].tolist() == [False, True]
    assert got.event[:, 0, 0].tolist() == [False, True]
    assert not got.event[1, 0, 1]


def test_a_window_that_runs_past_the_end_of_data_is_dropped_even_where_it_failed():
    failures = failed(("a", "pump", T0 + 4 * DAY))
    got = label(spine(("a", T0)), failures, modes=MODES, until=T0 + 5 * DAY, edges_days=EDGES, horizons_days=HORIZONS)
    assert got.known[0].tolist() == [True, True, False]
    assert not got.failed[0].any()
    assert got.at_risk[0, 0].tolist() == [True, True, False]


def test_a_failure_before_a_visit_of_ours_counts_and_silence_after_it_teaches_nothing():
    visits = pd.DataFrame({"asset_id": ["a", "b"], "censored_at": [T0 + 2 * DAY] * 2})
    failures = failed(("a", "pump", T0 + DAY), ("b", "pump", T0 + 5 * DAY))
    got = label(
        spine(("a", T0), ("b", T0)), failures, modes=MODES, until=T0 + 30 * DAY, edges_days=EDGES,
        horizons_days=HORIZONS, censored=visits,
    )  # fmt: skip
    assert got.failed[0].tolist() == [True, True, True]
    assert got.known[1].tolist() == [True, False, False]
    assert got.at_risk[1, 0].tolist() == [True, False, False]
    assert not got.event[1].any()


def test_other_modes_count_in_the_asset_but_teach_no_hazard():
    got = label(
        spine(("a", T0)), failed(("a", "rust", T0 + DAY)), modes=MODES, until=T0 + 30 * DAY, edges_days=EDGES,
        horizons_days=HORIZONS,
    )  # fmt: skip
    assert got.failed.all()
    assert not got.event.any()


def test_no_failure_at_all_gives_rows_at_risk_and_no_event():
    got = label(spine(("a", T0)), failed(), modes=MODES, until=T0 + 30 * DAY, edges_days=EDGES, horizons_days=HORIZONS)
    assert got.at_risk.all()
    assert not got.event.any()
    assert not got.failed.any()


@pytest.mark.parametrize("edges", [(1, 3), (0, 3, 3), (0,), (0, 7, 3)])
def test_edges_that_do_not_rise_from_zero_are_refused(edges):
    with pytest.raises(ValueError, match="rise from 0"):
        label(spine(("a", T0)), failed(), modes=MODES, until=T0, edges_days=edges)


@pytest.fixture
def workspace(tmp_path):
    """Two assets, one retired; a routine service and a visit of ours; failures that arrive a day late."""
    from features.ingest import ingest

    (tmp_path / "foremend.toml").write_text(
        """
        [workspace]
        id = "labels"
        [time]
        now = 2024-06-01T00:00:00Z
        [sources.machines]
        table = "assets"
        query = '''SELECT * FROM (VALUES ('a', TIMESTAMPTZ '2023-01-01 00:00+00', NULL),
                                         ('b', TIMESTAMPTZ '2023-01-01 00:00+00', TIMESTAMPTZ '2024-04-01 00:00+00'))
                   AS t(asset_id, installed_at, retired_at)'''
        [sources.work]
        table = "services"
        delay_hours = 24
        query = '''SELECT * FROM (VALUES
            ('s1', 'a', 'pump', 'replaced', 'planned', 'routine', TIMESTAMPTZ '2024-02-01 00:00+00'),
            ('s2', 'a', 'pump', 'replaced', 'planned', 'ours', TIMESTAMPTZ '2024-03-01 00:00+00'),
            ('s3', 'a', 'pump', 'replaced', 'corrective', 'routine', TIMESTAMPTZ '2024-05-01 12:00+00'))
            AS t(service_id, asset_id, component, action, reason, initiator, performed_at)'''
        [[failures]]
        version = 1
        query = '''SELECT asset_id, component AS failure_mode, performed_at AS event_time FROM services
                   WHERE reason = 'corrective' '''
        """
    )
    opened = Workspace.open(tmp_path)
    ingest(opened)
    return opened


def test_retirements_and_our_own_visits_censor_and_routine_services_do_not(workspace):
    found = censorings(workspace.pin())
    assert list(found[["asset_id", "why"]].itertuples(index=False, name=None)) == [("a", "visited"), ("b", "retired")]


def test_the_record_ends_when_the_last_row_came_in_less_the_delay_of_those_that_tell_of_failures(workspace):
    # The last service happened on 1 May 12:00 and was known a day later; a failure after it may be under way.
    assert data_end(workspace.pin()) == datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_the_record_starts_when_all_kinds_of_rows_had_begun_but_not_after_the_first_failure(workspace):
    snapshot = workspace.pin()
    late = failed(("a", "pump", datetime(2024, 5, 1, 12, tzinfo=UTC)))
    early = failed(("a", "pump", datetime(2024, 1, 1, tzinfo=UTC)))
    assert record_start(snapshot, late) == datetime(2024, 2, 1, tzinfo=UTC)
    assert record_start(snapshot, early) == datetime(2024, 1, 1, tzinfo=UTC)
