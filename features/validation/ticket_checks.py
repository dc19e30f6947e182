"""Contradictions in the history of tickets: `ticket_events` in itself, and against `tickets`.

The checks follow the life of a ticket in ``docs/glossary.md``. Minutes are forgiven: stamps cut
to the minute stand beside stamps with seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from features.validation.findings import Finding, Look, finding

__all__ = ["ticket_history"]

_LIFE = """
    CREATE OR REPLACE TEMP VIEW ticket_life AS
    SELECT system, ticket_id, state, event_time,
        min(event_time) FILTER (state = 'opened') OVER ticket AS opened_at,
        min(event_time) FILTER (state = 'dispatched') OVER ticket AS dispatched_at,
        max(event_time) FILTER (state IN ('closed', 'cancelled')) OVER so_far AS ended_at,
        max(event_time) FILTER (state = 'resolved') OVER so_far AS solved_at,
        max(event_time) FILTER (state = 'reopened') OVER so_far AS reopened_at
    FROM ticket_events
    WINDOW ticket AS (PARTITION BY system, ticket_id),
        so_far AS (PARTITION BY system, ticket_id ORDER BY event_time RANGE UNBOUNDED PRECEDING)
"""

_BROKEN: Mapping[str, str] = {
    "event_without_opened": "opened_at IS NULL",
    "event_before_opened": "event_time < opened_at - INTERVAL 1 MINUTE",
    "event_after_closed": "state NOT IN ('closed', 'cancelled', 'reopened', 'verified', 'followed_up') "
    "AND event_time > ended_at + INTERVAL 1 MINUTE AND coalesce(reopened_at < ended_at, true)",
    "arrived_before_dispatched": "state = 'arrived' AND event_time < dispatched_at - INTERVAL 1 MINUTE",
    "reopened_while_open": "state = 'reopened' AND ended_at IS NULL AND solved_at IS NULL",
}
"""By code: true for an event of `ticket_life` that contradicts its ticket."""


def ticket_history(look: Look) -> Iterator[Finding]:
    """Check every ticket's events; counts are of tickets."""
    if not look.has("ticket_events"):
        return
    look.con.execute(_LIFE)
    parts = [f"count(DISTINCT (system, ticket_id)) FILTER (WHERE {where}) AS {code}" for code, where in _BROKEN.items()]
    totals = look.row(f"SELECT count(DISTINCT (system, ticket_id)) AS tickets, {', '.join(parts)} FROM ticket_life")
    for code, where in _BROKEN.items():
        shown = f"SELECT system, ticket_id, state, event_time, opened_at, ended_at FROM ticket_life WHERE {where}"
        yield finding(
            "warning", code, "ticket_events", "state", count=totals[code], of=totals["tickets"], unit="tickets",
            examples=look.examples(shown) if totals[code] else (),
        )  # fmt: skip
    if look.has("tickets"):
        yield from _against_tickets(look)


def _against_tickets(look: Look) -> Iterator[Finding]:
    """Tickets whose events say something else; only tickets that have events are judged."""
    both = """
        SELECT t.system, t.ticket_id, t.opened_at, t.closed_at, e.first_opened, e.ended
        FROM tickets AS t JOIN (
            SELECT system, ticket_id, min(event_time) FILTER (state = 'opened') AS first_opened,
                bool_or(state IN ('closed', 'cancelled')) AS ended
            FROM ticket_events GROUP BY ALL) AS e USING (system, ticket_id)
    """
    checks = {
        "closed_without_event": ("closed_at IS NOT NULL AND NOT ended", "closed_at"),
        "event_unlike_ticket": ("abs(epoch(first_opened) - epoch(opened_at)) > 3600", "opened_at"),
    }
    total = look.row(f"SELECT count(*) AS n FROM ({both})")["n"]
    for code, (where, column) in checks.items():
        bad = f"SELECT * FROM ({both}) WHERE {where}"
        count = look.row(f"SELECT count(*) AS n FROM ({bad})")["n"]
        yield finding(
            "warning", code, "tickets", column, count=count, of=total, unit="tickets",
            examples=look.examples(bad) if count else (),
        )  # fmt: skip
