"""Is there enough to learn from: what the whole workspace can be used for, then a verdict per asset class.

The thresholds are rules of thumb with a source or a reason each; they decide what is *said*,
never what is computed. Every verdict below `ready` names its fallback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from features.validation.findings import Look
from features.volumes import ENOUGH_TICKETS, FEWEST_DAYS, complete_days

__all__ = [
    "CAPABILITIES", "FALLBACKS", "FLEET", "Capability", "ClassReadiness", "Purpose", "Verdict", "readiness",
    "volume_purpose",
]  # fmt: skip

Verdict = Literal["ready", "thin", "not ready"]

EVENTS_READY = 200
"""Failures from which small trees are trusted: a round number below what was measured (docs/decisions/0008)."""

EVENTS_THIN = 50
"""Ten events for each of about five parameters (Peduzzi et al. 1996): fewer carry no model of many features."""

EVENTS_AGE = 10
"""Fewer failures do not even fix the two parameters of a Weibull curve of age."""

HISTORY_READY_DAYS = 350
"""A year, less the days until a failure comes: every season was seen once."""

HISTORY_THIN_DAYS = 120
"""Four times the longest horizon of 30 days: to learn, to keep apart, to calibrate, to test."""

YEARLY_DAYS = 730
"""A yearly cycle must be seen twice to be told from chance."""

WEEKLY_DAYS = 56
"""Eight weeks: the weekly cycle of six to learn from and two to test on."""

COVERAGE_READY, COVERAGE_THIN = 0.8, 0.1
"""Share of asset-days with readings: above, they describe the class; below, single assets."""

FLEET = "whole fleet"
"""Name of the entry for all classes together; models are pooled over them."""

READING_DAYS = 30
"""A baseline of an asset's own, and a month to deviate from it."""

CAPABILITIES: tuple[str, ...] = ("risk_by_component", "risk", "volume", "readings")

FALLBACKS: Mapping[str, str] = {
    "ready": "",
    "no_failures": "no estimate for this class: the fleet's base rate stands in",
    "fleet_rate": "the fleet's base rate for every asset of the class",
    "age_only": "age-only Weibull curve, pooled over the fleet",
    "small_trees": "small trees on the pooled fleet, checked against the age-only Weibull",
    "one_season": "trained on one part of the year: expect drift when the season turns",
    "short_history": "age-only Weibull curve: too short to learn, calibrate and test apart",
    "pooled_modes": "one model for all failure modes together; components are not told apart",
    "rare_modes": "components with too few failures share one mode",
    "no_tickets": "no volume forecast without `tickets`",
    "mean_rate": "the mean of the days seen, with a wide interval",
    "weekly_only": "weekly cycle and holidays; no yearly season until two years are seen",
    "events_only": "features from age, tickets, services and alarms only",
    "part_covered": "readings where there are any; elsewhere missing, and basis says so",
    "short_readings": "readings without a baseline of the asset's own",
}
"""What happens instead, by code."""


@dataclass(frozen=True)
class Capability:
    """One thing that can be learned for one class, or not yet.

    Attributes
    ----------
    why
        The figures against the thresholds.
    fallback
        A code of :data:`FALLBACKS`.
    """

    name: str
    verdict: Verdict
    why: str
    fallback: str

    @property
    def instead(self) -> str:
        """What happens instead; empty where nothing need."""
        return FALLBACKS[self.fallback]


@dataclass(frozen=True)
class Purpose:
    """What the whole workspace can be used for, or not yet.

    Attributes
    ----------
    name
        ``risk`` (assets and failures) or ``volume`` (tickets alone).
    blockers
        Why it cannot, and what to do; empty where it can.
    capability
        How well it can; None where it cannot.
    """

    name: str
    blockers: tuple[str, ...]
    capability: Capability | None

    @property
    def usable(self) -> bool:
        """Whether nothing stands against it."""
        return not self.blockers


@dataclass(frozen=True)
class ClassReadiness:
    """The verdicts for one asset class (`asset_class`, else `asset_model`, else ``all``).

    Where there are several classes, the first entry is :data:`FLEET`: all of them together.

    Attributes
    ----------
    modes
        Failures by failure mode.
    failure_days, ticket_days
        Days that hold the bulk of the whole fleet's failures, and of its tickets: a class without any
        was watched too, and a few stragglers months apart are no history.
    asset_days_read
        Share of the class's asset-days in service (first to last reading of the fleet) with a reading.
    """

    asset_class: str
    assets: int
    failures: int
    modes: Mapping[str, int]
    tickets: int
    failure_days: float
    ticket_days: float
    assets_read: int
    asset_days_read: float
    reading_days: float
    capabilities: tuple[Capability, ...]


def _bulk(events: str) -> str:
    """Days that hold the bulk of some events: 95 % of them, scaled up; a straggler months apart adds nothing."""
    times = "epoch(event_time)"
    spread = f"quantile_cont({times}, 0.975) - quantile_cont({times}, 0.025)"
    whole = f"max({times}) - min({times})"
    return f"SELECT coalesce(least(({spread}) / 0.95, {whole}) / 86400, 0) AS days FROM {events}"


_CLASSES = """
    CREATE OR REPLACE TEMP TABLE asset_classes AS
    SELECT asset_id, installed_at, retired_at,
        coalesce(nullif(trim(asset_class), ''), nullif(trim(asset_model), ''), 'all') AS asset_class
    FROM assets
"""

_ORGANIC = "coalesce(origin, 'organic') = 'organic'"

_DEMAND = f"""
    SELECT count(*) AS tickets, any_value(asking.days) AS ticket_days
    FROM tickets CROSS JOIN ({_bulk("tickets")}) AS asking WHERE {_ORGANIC}
"""

_FACTS = f"""
    WITH fleet AS (SELECT min(first_at) AS first_at, max(last_at) AS last_at FROM reading_days),
    served AS (
        SELECT asset_id, greatest(0, 1 + (epoch(least(retired_at, last_at)) - epoch(greatest(installed_at, first_at)))
            // 86400) AS days
        FROM asset_classes CROSS JOIN fleet),
    demand AS (
        SELECT asset_id, count(*) AS tickets FROM tickets WHERE {_ORGANIC} GROUP BY 1),
    broken AS (SELECT asset_id, count(*) AS failures FROM failures GROUP BY 1),
    failing AS ({_bulk("failures")}), asking AS ({_bulk("tickets")})
    SELECT coalesce(asset_class, '{FLEET}') AS asset_class, count(*) AS assets,
        coalesce(sum(failures), 0)::BIGINT AS failures,
        coalesce(sum(tickets), 0)::BIGINT AS tickets,
        any_value(failing.days) AS failure_days, any_value(asking.days) AS ticket_days,
        count(r.asset_id) AS assets_read,
        coalesce(epoch(max(r.last_at)) - epoch(min(r.first_at)), 0) / 86400 AS reading_days,
        least(1.0, coalesce(sum(r.days) / nullif(sum(served.days), 0), 0)) AS asset_days_read
    FROM asset_classes CROSS JOIN failing CROSS JOIN asking JOIN served USING (asset_id)
    LEFT JOIN broken USING (asset_id) LEFT JOIN demand AS d USING (asset_id)
    LEFT JOIN reading_days AS r USING (asset_id)
    GROUP BY GROUPING SETS ((asset_class), ()) HAVING grouping(asset_class) = 0 OR count(DISTINCT asset_class) > 1
    ORDER BY grouping(asset_class) DESC, assets DESC, asset_class
"""

_MODES = f"""
    SELECT coalesce(asset_class, '{FLEET}') AS asset_class, failure_mode, count(*) AS n
    FROM failures JOIN asset_classes USING (asset_id)
    GROUP BY GROUPING SETS ((asset_class, failure_mode), (failure_mode)) ORDER BY asset_class, n DESC, failure_mode
"""


def readiness(look: Look) -> tuple[ClassReadiness, ...]:
    """Judge every asset class; needs the relations ``failures`` and ``reading_days`` on the connection."""
    look.con.execute(_CLASSES)
    modes: dict[str, dict[str, int]] = {}
    for row in look.rows(_MODES):
        modes.setdefault(row["asset_class"], {})[row["failure_mode"]] = row["n"]
    return tuple(_judged(row, modes.get(row["asset_class"], {})) for row in look.rows(_FACTS))


def volume_purpose(look: Look) -> Purpose:
    """Judge all tickets, with an asset or without, and stop where a forecast would refuse."""
    facts = look.row(_DEMAND)
    if not facts["tickets"]:
        blocker = "no organic tickets: connect a source for the table `tickets`, or run `foremend ingest`"
        return Purpose("volume", (blocker,), None)
    days = complete_days(look.snapshot)
    if days < FEWEST_DAYS:
        blocker = f"{days:,} complete days of tickets, fewer than {FEWEST_DAYS}: load a longer history"
        return Purpose("volume", (blocker,), None)
    return Purpose("volume", (), _volume(facts))


def _judged(facts: dict[str, Any], modes: Mapping[str, int]) -> ClassReadiness:
    capabilities = (_by_component(facts, modes), _risk(facts), _volume(facts), _readings(facts))
    return ClassReadiness(modes=modes, capabilities=capabilities, **facts)


def _risk(facts: Mapping[str, Any]) -> Capability:
    events, days = facts["failures"], facts["failure_days"]
    why = f"{events:,} failures in {days:,.0f} days on {facts['assets']:,} assets"
    verdict: Verdict
    if events < EVENTS_AGE:
        verdict, why, code = "not ready", f"{why}, < {EVENTS_AGE}", "fleet_rate" if events else "no_failures"
    elif events < EVENTS_THIN:
        verdict, why, code = "not ready", f"{why}, < {EVENTS_THIN} failures", "age_only"
    elif days < HISTORY_THIN_DAYS:
        verdict, why, code = "not ready", f"{why}, < {HISTORY_THIN_DAYS} days", "short_history"
    elif events < EVENTS_READY:
        verdict, why, code = "thin", f"{why}, < {EVENTS_READY} failures", "small_trees"
    elif days < HISTORY_READY_DAYS:
        verdict, why, code = "thin", f"{why}, < {HISTORY_READY_DAYS} days", "one_season"
    else:
        verdict, code = "ready", "ready"
    return Capability("risk", verdict, why, code)


def _by_component(facts: Mapping[str, Any], modes: Mapping[str, int]) -> Capability:
    enough = [mode for mode, n in modes.items() if n >= EVENTS_THIN]
    why = f"{len(enough)} of {len(modes)} failure modes with {EVENTS_THIN} failures or more"
    fleet = _risk(facts)
    if len(modes) < 2 or len(enough) < 2:
        code = fleet.fallback if fleet.verdict == "not ready" else "pooled_modes"
        return Capability("risk_by_component", "not ready", why, code)
    if fleet.verdict == "not ready":
        return Capability("risk_by_component", "not ready", fleet.why, fleet.fallback)
    if len(enough) < len(modes):
        return Capability("risk_by_component", "thin", why, "rare_modes")
    return Capability("risk_by_component", fleet.verdict, why, fleet.fallback)


def _volume(facts: Mapping[str, Any]) -> Capability:
    tickets, days = facts["tickets"], facts["ticket_days"]
    why = f"{tickets:,} organic tickets in {days:,.0f} days"
    if not tickets:
        return Capability("volume", "not ready", "no organic tickets", "no_tickets")
    if tickets < ENOUGH_TICKETS or days < WEEKLY_DAYS:
        limit = f"{ENOUGH_TICKETS} tickets" if tickets < ENOUGH_TICKETS else f"{WEEKLY_DAYS} days"
        return Capability("volume", "not ready", f"{why}, < {limit}", "mean_rate")
    if days < YEARLY_DAYS:
        return Capability("volume", "thin", f"{why}, < {YEARLY_DAYS} days", "weekly_only")
    return Capability("volume", "ready", why, "ready")


def _readings(facts: Mapping[str, Any]) -> Capability:
    share, days = facts["asset_days_read"], facts["reading_days"]
    why = f"{facts['assets_read']:,} of {facts['assets']:,} assets, {share:.0%} of asset-days, {days:,.0f} days"
    if share < COVERAGE_THIN:
        return Capability("readings", "not ready", f"{why}, < {COVERAGE_THIN:.0%}", "events_only")
    if days < READING_DAYS:
        return Capability("readings", "thin", f"{why}, < {READING_DAYS} days", "short_readings")
    if share < COVERAGE_READY:
        return Capability("readings", "thin", f"{why}, < {COVERAGE_READY:.0%}", "part_covered")
    return Capability("readings", "ready", why, "ready")
