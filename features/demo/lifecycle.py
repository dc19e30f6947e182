"""What happens to a ticket between opening and follow-up, and the rows of ``ticket_events``.

Work on a component has its instant given by the history (`performed_at`); the stages before it are
laid out by fractions of the time in between. Everything else runs on business hours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.demo.workdays import HOUR, Calendar, Instants

__all__ = ["STAGES", "events_of", "live_through"]

STAGES = (
    "first_response",
    "dispatched",
    "accepted",
    "departed",
    "arrived",
    "started",
    "on_hold",
    "resumed",
    "resolved",
)
"""Stages up to the solution, in order; the frame holds one column ``STAGE_at`` each."""
QUICK = (0.03, 0.06, 0.10, 0.45, 0.72, 0.74, np.nan, np.nan, 1.0)
WAITING = (0.01, 0.02, 0.03, 0.06, 0.09, 0.10, 0.14, 0.94, 1.0)
PLANNED = (np.nan, 0.10, 0.12, 0.96, 0.975, 0.98, np.nan, np.nan, 1.0)
"""Fractions of the time from opening to the work: usual, waiting for parts, planned ahead."""
NAT = np.datetime64("NaT", "us")
Flags = NDArray[np.bool_]


def live_through(
    rng: np.random.Generator, tickets: pd.DataFrame, days: Calendar, masters: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Add the instants of all stages, and who was slow, reopened or cancelled.

    Parameters
    ----------
    masters
        The tickets that `cause_of` points to; a duplicate is cancelled with its master's closing at the latest.
    """
    n = len(tickets)
    opened = tickets["opened_at"].to_numpy().astype("datetime64[us]")
    performed = tickets["performed_at"].to_numpy().astype("datetime64[us]")
    wait_hours = np.nan_to_num((performed - opened) / HOUR)
    waits = np.where(np.isnat(performed), rng.random(n) < 0.12, wait_hours > 34) & ~tickets["remote"].to_numpy()
    planned = tickets["kind"].isin(["planned", "preventive"]).to_numpy()
    stages = np.where(
        np.isnat(performed)[:, None], _by_business_hours(rng, tickets, days, waits),
        _by_fractions(rng, opened, performed, waits & ~planned, planned),
    )  # fmt: skip
    after = _afterwards(rng, tickets, days, stages, masters)
    columns = {f"{name}_at": stages[:, i] for i, name in enumerate(STAGES)} | after
    return tickets.assign(**columns, waits=waits & ~planned)


def _by_fractions(
    rng: np.random.Generator, opened: Instants, performed: Instants, waits: Flags, planned: Flags
) -> Instants:
    shares = np.where(waits[:, None], WAITING, np.where(planned[:, None], PLANNED, QUICK))
    shares = shares * np.exp(rng.normal(0, 0.05, (len(opened), 1)) * (np.arange(len(STAGES)) < len(STAGES) - 1))
    shares = np.minimum(shares, 1.0)
    span = np.where(np.isnat(performed), 0, (performed - opened).astype("int64"))
    return np.where(
        np.isnan(shares), NAT, opened[:, None] + (np.nan_to_num(shares) * span[:, None]).astype("timedelta64[us]")
    )


def _by_business_hours(rng: np.random.Generator, tickets: pd.DataFrame, days: Calendar, waits: Flags) -> Instants:
    """Sum lognormal stage times in business hours; remote tickets are answered and solved without a visit."""
    n = len(tickets)
    medians = np.array([0.4, 0.5, 0.3, 4.0, 1.3, 0.2, 0.6, 14.0, 1.6])
    hours = medians * np.exp(rng.normal(0, 0.7, (n, len(medians))))
    hours[:, 6:8] *= waits[:, None]
    remote = tickets["remote"].to_numpy()
    hours[remote, 1:8] = 0
    hours[remote, 8] = np.exp(rng.normal(0.2, 0.9, remote.sum()))
    at = days.advance(
        np.repeat(tickets["opened_at"].to_numpy().astype("datetime64[us]"), len(STAGES)),
        np.cumsum(hours, axis=1).ravel(),
    ).reshape(hours.shape)
    at[:, 6:8][~waits] = NAT
    at[remote, 1:8] = NAT
    return at


def _afterwards(
    rng: np.random.Generator, tickets: pd.DataFrame, days: Calendar, stages: Instants, masters: pd.DataFrame | None
) -> dict[str, NDArray[np.generic]]:
    """Transfers, escalations, verification, closing, reopening, follow-up; or the ticket is cancelled."""
    n, resolved = len(tickets), stages[:, -1]
    opened = tickets["opened_at"].to_numpy().astype("datetime64[us]")
    duplicate = (tickets["kind"] == "duplicate").to_numpy()
    cancelled = duplicate | (rng.random(n) < 0.02) & (tickets["kind"] == "organic").to_numpy()
    on_site = ~np.isnat(stages[:, 1])
    closed = days.advance(resolved, rng.exponential(6, n)) + _spell(rng, n, 2.0) + 4 * HOUR
    reopened = (rng.random(n) < 0.04) & (tickets["kind"] != "planned").to_numpy() & ~cancelled
    again = np.where(reopened, closed + _spell(rng, n, 40.0), NAT)
    resolved_again = days.advance(np.where(reopened, again, resolved), rng.exponential(9, n) + 1)
    solved = np.where(reopened, resolved_again, resolved)
    verified = np.where(rng.random(n) < 0.7, solved + np.minimum(_spell(rng, n, 1.5), 4 * HOUR), NAT)
    finally_closed = np.where(reopened, resolved_again + 4 * HOUR + _spell(rng, n, 6.0), closed)
    ended = np.minimum(opened + _spell(rng, n, 5.0), resolved - (resolved - opened) // 8)
    if masters is not None and duplicate.any():
        closing = masters["closed_at"].to_numpy()[tickets["cause_of"].to_numpy().astype("int64")]
        ended = np.where(duplicate, np.maximum(np.minimum(ended, closing), opened + HOUR // 60), ended)
    slow = (resolved - opened) / HOUR > 60
    return {
        "transferred_at": np.where(on_site & (rng.random(n) < 0.06), _midway(stages, 1), NAT),
        "escalated_at": np.where(on_site & slow & (rng.random(n) < 0.25), _midway(stages, 2), NAT),
        "verified_at": verified, "first_closed_at": np.where(cancelled, NAT, closed), "reopened_at": again,
        "resolved_again_at": np.where(reopened, resolved_again, NAT), "cancelled": cancelled,
        "closed_at": np.where(cancelled, ended, finally_closed),
        "followed_up_at": np.where((rng.random(n) < 0.4) & ~cancelled, finally_closed + _spell(rng, n, 30.0), NAT),
    }  # fmt: skip


def _midway(stages: Instants, stage: int) -> Instants:
    """Halfway between a stage and the next."""
    return np.asarray(stages[:, stage] + (stages[:, stage + 1] - stages[:, stage]) // 2)


def _spell(rng: np.random.Generator, n: int, mean_hours: float) -> NDArray[np.timedelta64]:
    return np.asarray((rng.exponential(mean_hours * 3600e6, n) + 60e6).astype("timedelta64[us]"))


def events_of(tickets: pd.DataFrame, days: Calendar) -> pd.DataFrame:
    """One row per change of state that had happened by the end of the history, in the columns of ``ticket_events``."""
    cancelled = tickets["cancelled"].to_numpy(dtype=bool)
    again = tickets["reopened_at"].notna().to_numpy()
    ended = tickets["closed_at"].to_numpy().astype("datetime64[us]")
    states = [(name, tickets[f"{name}_at"].to_numpy()) for name in ("opened", *STAGES, *_MORE)]
    states += [("resolved", tickets["resolved_again_at"].to_numpy()), ("closed", tickets["first_closed_at"].to_numpy())]
    states += [("closed", np.where(again & ~cancelled, ended, NAT)), ("cancelled", np.where(cancelled, ended, NAT))]
    happened = [(at < days.now) & (~cancelled | (at < ended) | (state == "cancelled")) for state, at in states]
    row = np.concatenate([np.flatnonzero(mask) for mask in happened])
    at = np.concatenate([stamps[mask] for (_, stamps), mask in zip(states, happened, strict=True)])
    code = np.repeat(np.arange(len(states)), [mask.sum() for mask in happened])
    order = np.lexsort((code, at, row))
    row, at, state = row[order], at[order], np.array([name for name, _ in states], dtype=object)[code[order]]
    events = tickets[["system", "ticket_id", "asset_id", "engineer_id"]].take(row).assign(event_time=at, state=state)
    reason = pd.Series(state).map(
        {"transferred": "skill", "escalated": "overdue", "on_hold": "parts", "reopened": "not_solved"}
    )
    duplicate = (tickets["kind"] == "duplicate").to_numpy()[row]
    by_customer = pd.Series(state).isin(["opened", "verified", "followed_up"])
    return events.assign(
        reason=reason.mask(state == "cancelled", pd.Series(np.where(duplicate, "duplicate", "customer"))).to_numpy(),
        actor=np.where(by_customer, "customer", "desk"),
        group=tickets["group"].take(row).mask(state == "opened").to_numpy(),
    )  # fmt: skip


_MORE = ("transferred", "escalated", "verified", "reopened", "followed_up")
