"""Which records are failures: the rule, its clocks, its repeats, and what a change changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from features.config import FailureRule
from features.errors import ConfigError
from features.failure_changes import compare
from features.failures import attach, failures, read_failures

START = datetime(2024, 1, 1, tzinfo=UTC)


def day(n: float) -> datetime:
    return START + timedelta(days=n)


def service(key: str, asset: str | None, component: str | None, at: float, known: float | None = None, **more):
    return {
        "service_id": key, "asset_id": asset, "component": component, "reason": "corrective",
        "performed_at": day(at), "known_at": day(at if known is None else known), **more,
    }  # fmt: skip


QUERY = "SELECT asset_id, performed_at AS event_time, component AS failure_mode FROM services"
RULE = f"[[failures]]\nversion = 1\nquery = '''{QUERY} WHERE reason = 'corrective' '''\n"


def rule(query: str, repeat_days: float = 0.0, version: int = 9) -> FailureRule:
    return FailureRule(version=version, query=query, repeat_days=repeat_days)


def test_a_rule_returns_one_row_per_failure_in_order_of_time(committed):
    ws = committed(RULE, services=[service("2", "B", "pump", 5), service("1", "A", None, 3),
                                   service("3", "A", "pump", 9, reason="planned")])  # fmt: skip
    frame = failures(ws.pin())
    assert list(frame.columns) == ["failure_id", "asset_id", "failure_mode", "event_time", "known_at"]
    assert frame[["asset_id", "failure_mode"]].to_numpy().tolist() == [["A", "any"], ["B", "pump"]]
    assert list(frame["event_time"]) == [day(3), day(5)]
    assert str(frame["event_time"].dtype) == "datetime64[us, UTC]"


def test_a_failure_is_not_known_before_it_happened_nor_before_the_rule_says(committed):
    ws = committed(RULE, services=[service("1", "A", "pump", 3, known=1), service("2", "B", "pump", 3, known=8)])
    assert list(failures(ws.pin())["known_at"]) == [day(3), day(3)]
    told = rule(QUERY.replace("SELECT", "SELECT known_at,"))
    assert list(failures(ws.pin(), told)["known_at"]) == [day(3), day(8)]


def test_repeats_are_counted_from_the_failure_that_was_kept(committed):
    """Days 0, 6, 12, 18 with 10 days: 0 holds 6; 12 is a new failure and holds 18."""
    rows = [service(str(d), "A", "pump", d) for d in (0, 6, 12, 18)]
    rows += [service("b", "B", "pump", 6), service("c", "A", "fan", 6)]
    found = read_failures(committed(RULE, services=rows).pin(), rule(QUERY, repeat_days=10))
    kept = {(r.asset_id, r.failure_mode, (r.event_time - START).days) for r in found.frame.itertuples()}
    assert kept == {("A", "pump", 0), ("A", "pump", 12), ("B", "pump", 6), ("A", "fan", 6)}
    assert found.folded == 2


def test_a_failure_exactly_repeat_days_later_is_still_the_same(committed):
    ws = committed(RULE, services=[service("1", "A", "pump", 0), service("2", "A", "pump", 10)])
    assert len(failures(ws.pin(), rule(QUERY, repeat_days=10))) == 1
    assert len(failures(ws.pin(), rule(QUERY, repeat_days=9.999))) == 2


def test_rows_without_asset_or_time_are_counted_not_used(committed):
    ws = committed(RULE, services=[service("1", None, "pump", 3), service("2", "A", "pump", 4)])
    found = read_failures(ws.pin())
    assert (found.incomplete, len(found.frame)) == (1, 1)


def test_the_fingerprint_follows_the_rows_and_nothing_else(committed):
    ws = committed(RULE, services=[service("1", "A", "pump", 3), service("2", "A", "fan", 4)])
    same = rule(f"SELECT * FROM ({QUERY}) ORDER BY event_time DESC")
    first, again, other = (read_failures(ws.pin(), r) for r in (None, same, rule(f"{QUERY} WHERE component = 'fan'")))
    assert first.frame.equals(again.frame.assign(known_at=first.frame["known_at"]))
    assert first.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT asset_id FROM servces", "servces does not exist"),
        ("SELECT asset_id FROM services", "no column 'event_time'"),
        ("SELECT performed_at AS event_time FROM services", "no column 'asset_id'"),
        ("SELECT asset_id, performed_at::TIMESTAMP AS event_time FROM services", "event_time is a TIMESTAMP"),
        ("SELEC 1", "syntax error"),
        ("DROP VIEW services", "syntax error"),
    ],
)
def test_a_rule_that_cannot_run_is_a_sentence_that_names_its_version(committed, query, words):
    ws = committed(RULE, services=[service("1", "A", "pump", 3)])
    with pytest.raises(ConfigError, match=r"\[\[failures\]\] version 9") as caught:
        failures(ws.pin(), rule(query))
    assert words in str(caught.value)


def test_without_a_rule_the_error_shows_one(committed):
    with pytest.raises(ConfigError, match="no failure rule is declared"):
        failures(committed(services=[service("1", "A", "pump", 3)]).pin())


def test_no_rows_are_no_failures(committed):
    found = read_failures(committed(RULE).pin())
    assert len(found.frame) == 0
    assert str(found.frame["event_time"].dtype) == "datetime64[us, UTC]"


def test_failures_can_be_joined_in_sql(committed):
    snapshot = committed(RULE, services=[service("1", "A", "pump", 3), service("2", "A", "pump", 4)]).pin()
    with snapshot.connect() as con:
        attach(con, snapshot)
        row = con.execute(
            "SELECT count(*), count(DISTINCT asset_id) FROM failures JOIN services USING (asset_id)"
        ).fetchone()
    assert row == (4, 1)


def test_a_comparison_puts_every_failure_in_one_place(committed):
    rows = [service("1", "A", "pump", 1), service("2", "A", "pump", 20), service("3", "B", "fan", 5),
            service("4", "C", "fan", 7), service("5", "D", "fan", 9)]  # fmt: skip
    snapshot = committed(RULE, services=rows).pin()
    # A/pump stays at 1 and moves from 20 to 22; B is renamed; C goes; E comes; D moves too far to be the same
    change = """
        SELECT asset_id, performed_at AS event_time, component AS failure_mode FROM services WHERE service_id = '1'
        UNION ALL SELECT asset_id, performed_at + INTERVAL 2 DAY, component FROM services WHERE service_id = '2'
        UNION ALL SELECT asset_id, performed_at, 'belt' FROM services WHERE service_id = '3'
        UNION ALL SELECT asset_id, performed_at + INTERVAL 8 DAY, component FROM services WHERE service_id = '5'
        UNION ALL SELECT 'E', performed_at, component FROM services WHERE service_id = '4'
    """
    old, new = read_failures(snapshot), read_failures(snapshot, rule(change))
    changes = compare(old, new)
    assert changes.same == 1
    assert changes.moved[["asset_id", "old_time", "new_time"]].to_numpy().tolist() == [["A", day(20), day(22)]]
    assert changes.renamed[["asset_id", "old_mode", "new_mode"]].to_numpy().tolist() == [["B", "fan", "belt"]]
    assert sorted(changes.only_old["asset_id"]) == ["C", "D"]
    assert sorted(changes.only_new["asset_id"]) == ["D", "E"]
    assert changes.counts.to_numpy().tolist() == [["belt", 0, 1], ["fan", 3, 2], ["pump", 2, 2]]
    paired = changes.same + len(changes.moved) + len(changes.renamed)
    assert paired + len(changes.only_old) == len(old.frame)
    assert paired + len(changes.only_new) == len(new.frame)


def test_a_rule_compared_with_itself_changes_nothing(committed):
    found = read_failures(committed(RULE, services=[service("1", "A", "pump", 3)]).pin())
    changes = compare(found, found)
    assert (changes.same, len(changes.only_old), len(changes.only_new), len(changes.moved)) == (1, 0, 0, 0)
