"""What the service desk writes on a ticket: who, how urgent, what was found, what it cost, what the customer said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features.demo.fleet import Block
from features.demo.texts import FINDINGS, describe
from features.demo.workdays import Calendar, hours_between
from features.demo.world import PARTS, stream

__all__ = ["SYSTEM", "dress", "exported"]

SYSTEM = "crm"
PROOFS = ("customer", "signature", "system check", "call-back")
CHANNELS = ("phone", "WeChat", "web", "app", "e-mail", "portal")
CHANNEL_SHARES = (0.42, 0.27, 0.11, 0.10, 0.05, 0.05)
INSTANTS = (
    "first_response_at",
    "dispatched_at",
    "arrived_at",
    "resolved_at",
    "verified_at",
    "closed_at",
    "surveyed_at",
)
COLUMNS = (
    "system", "ticket_id", "asset_id", "customer_id", "region", "organisation", "ticket_type", "channel", "priority",
    "origin", "subject", "description", "engineer_id", "skill", "duplicate_of", "opened_at", "appointment_at",
    *INSTANTS, "finding", "component", "cause", "verified_by", "csat", "nps", "labour_hours", "cost", "billed",
)  # fmt: skip
FINAL = ("priority", "engineer_id", "duplicate_of", "finding", "component", "cause", "labour_hours", "cost", "billed")
"""Columns that the record shows only once the ticket is closed."""


def dress(block: Block, tickets: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Add everything a person or the system writes; the rows stay, in their order."""
    rng = stream(seed, "desk", block.number)
    asset, n = tickets["asset"].to_numpy(), len(tickets)
    owners = block.assets.iloc[asset].reset_index(drop=True)
    kind = tickets["kind"]
    fault = kind.isin(["failure", "repeat"]) | tickets["ticket_type"].eq("hardware_damage")
    tier = block.customers["tier"].to_numpy()[block.customer[asset]]
    topic = np.where(
        kind.isin(["planned", "preventive"]), "routine", tickets["component_name"].fillna(tickets["ticket_type"])
    )
    subject, description = describe(rng, topic.astype(object), tickets["english"].to_numpy(dtype=bool))
    channel = np.array(CHANNELS, dtype=object)[rng.choice(len(CHANNELS), n, p=CHANNEL_SHARES)]
    by_alarm = (kind == "failure") & (rng.random(n) < 0.25)
    tickets = tickets.assign(
        system=SYSTEM, asset_id=owners["asset_id"], customer_id=owners["customer_id"], region=owners["region"],
        organisation=owners["organisation"], engineer_id=block.engineers["engineer_id"].to_numpy()[block.region[asset]],
        group=block.engineers["group"].to_numpy()[block.region[asset]],
        channel=np.where(kind == "planned", "portal", np.where(by_alarm, "alarm", channel)),
        priority=np.where(fault & (tier == "A"), "urgent", np.where(fault | (tier == "A"), "high", "normal")),
        origin=np.where(kind == "planned", "planned", np.where(kind == "preventive", "preventive", "organic")),
        subject=subject, description=description,
        skill=np.select([tickets["component_name"] == "controller", fault], ["electrical", "mechanical"], "general"),
        verified_by=np.array(PROOFS, dtype=object)[rng.integers(0, len(PROOFS), n)],
    )  # fmt: skip
    tickets.loc[tickets["ticket_type"] == "billing", "asset_id"] = None
    return tickets.assign(**_costs(rng, tickets), **_findings(tickets), **_survey(rng, tickets))


def _findings(tickets: pd.DataFrame) -> dict[str, Any]:
    """What the work found, and on which component; a cause where it had to be done again."""
    kind = tickets["kind"]
    planned = kind.isin(["planned", "preventive"])
    found = np.select(
        [kind == "duplicate", tickets["cancelled"], kind == "failure", planned, tickets["remote"]],
        ["duplicate", "cancelled", tickets["component_name"].fillna("none"), "routine", "advice"], "none",
    )  # fmt: skip
    worked = tickets["performed_at"].notna()
    causes = pd.Series(np.array(["skill", "parts", "process"], dtype=object)[np.arange(len(tickets)) % 3])
    on_site = tickets["dispatched_at"].notna()
    begun = tickets["started_at"].dt.floor("30min")
    return {
        "finding": pd.Series(found, index=tickets.index).map(FINDINGS),
        "component": tickets["component_name"].where(worked & ~tickets["cancelled"]),
        "cause": causes.where(tickets["reopened_at"].notna()),
        "duplicate_of": tickets["cause_id"].where(kind == "duplicate"),
        "appointment_at": begun.where(on_site),
    }


def _costs(rng: np.random.Generator, tickets: pd.DataFrame) -> dict[str, Any]:
    """Labour by hours on site, parts by component; warranty work is not billed."""
    n = len(tickets)
    on_site = tickets["dispatched_at"].notna().to_numpy() & ~tickets["cancelled"].to_numpy()
    hours = np.where(on_site, 1 + rng.gamma(2, 0.9, n), 0.2 + rng.exponential(0.2, n)).round(2)
    assembly = {part.component: part.unit_cost for part in PARTS if part.part_class == "B"}
    parts = tickets["component_name"].map(assembly).where(tickets["performed_at"].notna(), 0.0).fillna(0.0).to_numpy()
    return {
        "labour_hours": hours,
        "cost": (hours * 180 + parts + on_site * 150).round(2),
        "billed": np.where(rng.random(n) < 0.45, "warranty", "customer"),
    }


def _survey(rng: np.random.Generator, tickets: pd.DataFrame) -> dict[str, Any]:
    """Answers worsen with time to solve, repeats and reopens; the dissatisfied answer more often."""
    n = len(tickets)
    hours = hours_between(tickets["opened_at"], tickets["resolved_at"])
    bad = tickets["reopened_at"].notna().to_numpy() * 1.0 + tickets["false_closure"].eq(True).to_numpy() * 1.2
    mood = 4.5 - 0.35 * np.log1p(np.maximum(hours, 0) / 8) - bad + rng.normal(0, 0.6, n)
    asked = ~tickets["cancelled"].to_numpy() & tickets["kind"].isin(["failure", "organic", "repeat"]).to_numpy()
    answered = asked & (rng.random(n) < np.clip(0.22 + 0.16 * (4 - mood), 0.08, 0.75))
    delay = (rng.exponential(14 * 3600e6, n) + 3600e6).astype("timedelta64[us]")
    return {
        "surveyed_at": tickets["closed_at"].where(answered) + delay,
        "csat": np.where(answered, np.clip(np.round(mood), 1, 5), np.nan),
        "nps": np.where(answered, np.clip(np.round(mood * 2.3 - 1 + rng.normal(0, 1, n)), 0, 10), np.nan),
    }


def exported(tickets: pd.DataFrame, days: Calendar) -> pd.DataFrame:
    """The record of each ticket as it stands at the end of the history: what has not happened is empty."""
    solved = tickets["resolved_again_at"].where(tickets["reopened_at"].notna(), tickets["resolved_at"])
    record = tickets.assign(resolved_at=solved)
    for name in INSTANTS:
        happened = record[name] < days.now
        cut = record["cancelled"] & (record[name] >= record["closed_at"]) & (name not in {"closed_at", "surveyed_at"})
        record[name] = record[name].where(happened & ~cut)
    for name in FINAL:
        record[name] = record[name].where(record["closed_at"].notna())
    record["verified_by"] = record["verified_by"].where(record["verified_at"].notna())
    for name in ("csat", "nps"):
        record[name] = record[name].where(record["surveyed_at"].notna())
    seen = record["appointment_at"].notna() & record["dispatched_at"].notna()
    record["appointment_at"] = record["appointment_at"].where(seen)
    return record[list(COLUMNS)]
