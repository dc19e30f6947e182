"""What is written down beside tickets: services, plans, parts, hours, complaints, approvals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.demo.degradation import NEVER, History
from features.demo.fleet import Block
from features.demo.workdays import DAY, HOUR, Calendar, Instants, hours_between
from features.demo.world import COMPONENTS, PARTS, stream

__all__ = ["approvals", "complaints", "part_orders", "plans", "services", "work_logs"]

NAMES = np.array([c.name for c in COMPONENTS], dtype=object)
NAT = np.datetime64("NaT", "us")


def services(block: Block, tickets: pd.DataFrame, days: Calendar, seed: int) -> pd.DataFrame:
    """One row per work on a component done by the end of the history: replacements, and inspections that found nothing.

    Replacements before the first day give every component the beginning of its clock.
    """
    rng = stream(seed, "services", block.number)
    worked = tickets[tickets["performed_at"].notna() & (tickets["performed_at"] < days.now)]
    looked = tickets[
        tickets["kind"].isin(["organic", "repeat"]) & tickets["dispatched_at"].notna() & ~tickets["cancelled"]
        & (tickets["resolved_at"] < days.now) & tickets["ticket_type"].isin(["performance_fault", "hardware_damage"])
    ]  # fmt: skip
    planned = worked["kind"].isin(["planned", "preventive"])
    replaced = worked.assign(
        action="replaced", reason=np.where(planned, "planned", "corrective"), component=worked["component_name"],
        initiator=worked["kind"].map({"planned": "routine", "preventive": "ours"}),
    )  # fmt: skip
    inspected = looked.assign(
        action="inspected", reason="corrective", component=None, initiator=None, performed_at=looked["resolved_at"]
    )
    frame = pd.concat([_before(block, days), replaced, inspected], ignore_index=True).sort_values(
        "performed_at", kind="stable"
    )
    frame["service_id"] = [f"S{block.number:04d}-{n:06d}" for n in range(len(frame))]
    frame["cost"] = frame["cost"].fillna(pd.Series(rng.uniform(800, 2500, len(frame)).round(2), index=frame.index))
    return frame[_SERVICE]


_SERVICE = ["service_id", "asset_id", "component", "action", "reason", "initiator", "ticket_id", "performed_at", "cost"]


def _before(block: Block, days: Calendar) -> pd.DataFrame:
    """The last replacement before the first day, where the component is younger than its machine."""
    installed = np.maximum(hours_between(block.assets["installed_at"], days.start) // 24, 0)
    asset, component = np.nonzero((block.lives.age < installed[:, None]) & (block.lives.age > 0))
    return pd.DataFrame({
        "asset_id": block.assets["asset_id"].to_numpy()[asset], "component": NAMES[component], "action": "replaced",
        "reason": "planned", "initiator": "routine", "ticket_id": None,
        "performed_at": days.start - block.lives.age[asset, component] * DAY + 6 * HOUR,
    })  # fmt: skip


def plans(block: Block, history: History, days: Calendar) -> pd.DataFrame:
    """One row per version of a routine plan: at the beginning, and after every replacement."""
    fresh = np.concatenate([
        history.replacements[["asset", "component", "day"]].to_numpy(),
        np.floor(history.failures[["asset", "component", "repaired"]].to_numpy()).astype("int64"),
    ]).astype("int64")  # fmt: skip
    routine = np.array([c.interval_days > 0 for c in COMPONENTS])
    fresh = fresh[routine[fresh[:, 1]] & (fresh[:, 2] + 1 < days.days)]
    asset, component = np.nonzero(np.broadcast_to(routine, block.lives.due.shape))
    first = block.lives.starts[asset]
    begin = np.column_stack(
        [asset, component, first, block.lives.due[asset, component], -block.lives.age[asset, component]]
    )
    later = np.column_stack([fresh, history.renews[fresh[:, 2] + 1, fresh[:, 0], fresh[:, 1]] - 1, fresh[:, 2]])
    rows = pd.DataFrame(np.concatenate([begin, later]), columns=["asset", "component", "changed", "due", "done"])
    rows = rows[(rows["due"] < NEVER) & (rows["changed"] < days.days)].sort_values(
        ["asset", "component", "changed"], kind="stable"
    )
    rows = rows.drop_duplicates(["asset", "component", "changed"], keep="last")
    names = block.assets["asset_id"].to_numpy()[rows["asset"]]
    installed = block.assets["installed_at"].to_numpy()[rows["asset"]]
    done = rows["done"].to_numpy()
    changed = np.where(rows["changed"] > 0, days.start + rows["changed"].to_numpy() * DAY + 18 * HOUR, installed)
    return pd.DataFrame({
        "plan_id": names + "-" + NAMES[rows["component"]], "asset_id": names, "component": NAMES[rows["component"]],
        "interval_days": np.array([float(c.interval_days) for c in COMPONENTS])[rows["component"]],
        "planned_at": installed,
        "last_done_at": np.where(rows["changed"] > 0, days.start + done * DAY + 16 * HOUR, installed),
        "due_at": days.start + rows["due"].to_numpy() * DAY + 10 * HOUR,
        "changed_at": np.maximum(changed, installed),
    })  # fmt: skip


def part_orders(tickets: pd.DataFrame, days: Calendar, rng: np.random.Generator) -> pd.DataFrame:
    """One row per part asked for: at once where the work waits for it, else from the van's stock beforehand."""
    needs = tickets[
        tickets["performed_at"].notna() & tickets["dispatched_at"].notna() & (tickets["dispatched_at"] < days.now)
    ]
    n = len(needs)
    waits = needs["waits"].to_numpy()
    asked = np.where(waits, needs["on_hold_at"], needs["dispatched_at"])
    arrived = np.where(waits, needs["resumed_at"] - 2 * HOUR, needs["dispatched_at"] + 2 * HOUR)
    arrived = np.maximum(arrived, asked + HOUR)
    collected = np.maximum(np.where(waits, needs["resumed_at"], needs["departed_at"]), arrived + HOUR // 2)
    shipped = asked + (arrived - asked) // 3
    grade = rng.choice(3, n, p=(0.35, 0.45, 0.20))
    frame = pd.DataFrame({
        "order_id": "PO" + needs["ticket_id"].str[2:], "ticket_id": needs["ticket_id"], "asset_id": needs["asset_id"],
        "part_id": [PARTS[3 * c + g].part_id for c, g in zip(needs["component_no"], grade, strict=True)],
        "quantity": 1.0 + (rng.random(n) < 0.1), "requested_at": asked, "promised_at": asked + 48 * HOUR,
        "shipped_at": shipped, "arrived_at": arrived, "collected_at": collected,
    })  # fmt: skip
    frame = frame[frame["requested_at"] < days.now]
    for name in ("shipped_at", "arrived_at", "collected_at"):
        frame[name] = frame[name].where(frame[name] < days.now)
    return frame.assign(status=np.where(frame["collected_at"].notna(), "已领取", "在途"))


def work_logs(tickets: pd.DataFrame, days: Calendar, block: Block, rng: np.random.Generator) -> pd.DataFrame:
    """One row per activity: travel and work of every visit, and the week's office hours."""
    visits = tickets[tickets["arrived_at"].notna() & ~tickets["cancelled"]]
    worked_from = visits["resumed_at"].fillna(visits["started_at"])
    place = block.assets.iloc[visits["asset"].to_numpy()]
    common = {"engineer_id": visits["engineer_id"], "ticket_id": visits["ticket_id"], "asset_id": visits["asset_id"],
              "latitude": place["latitude"].to_numpy(), "longitude": place["longitude"].to_numpy()}  # fmt: skip
    begins = np.maximum(visits["departed_at"], visits["arrived_at"] - 4 * HOUR)
    travel = pd.DataFrame(common | {"event_time": begins, "activity": "travel", "ended_at": visits["arrived_at"]})
    ends = np.minimum(visits["resolved_at"], worked_from + 6 * HOUR)
    work = pd.DataFrame(common | {"event_time": worked_from, "activity": "work", "ended_at": ends})
    mondays = np.flatnonzero(days.workday[days.history])[::5]
    day, engineer = (
        ordinal.ravel() for ordinal in np.meshgrid(mondays, np.arange(len(block.engineers)), indexing="ij")
    )
    begin = days.start + day * DAY + 9 * HOUR + rng.integers(0, 1800, len(day)).astype("timedelta64[s]")
    office = pd.DataFrame({
        "engineer_id": block.engineers["engineer_id"].to_numpy()[engineer], "event_time": begin,
        "activity": rng.choice(["office", "training", "absence"], len(day), p=(0.8, 0.1, 0.1)),
        "ended_at": begin + 2 * HOUR,
    })  # fmt: skip
    frame = pd.concat([travel, work, office], ignore_index=True)
    frame = frame[frame["event_time"] < days.now].drop_duplicates(["engineer_id", "event_time", "activity"])
    frame["ended_at"] = frame["ended_at"].where(frame["ended_at"] < days.now)
    return frame.sort_values(["engineer_id", "event_time"], kind="stable")


def complaints(tickets: pd.DataFrame, days: Calendar, rng: np.random.Generator) -> pd.DataFrame:
    """One row per complaint: seldom, more often about slow or repeated trouble."""
    hours = hours_between(tickets["opened_at"], tickets["resolved_at"])
    chance = 0.004 + 0.02 * (hours > 72) + 0.05 * tickets["reopened_at"].notna()
    about = tickets[(rng.random(len(tickets)) < chance) & ~tickets["cancelled"]]
    n = len(about)
    opened, closed = (about[name].to_numpy().astype("datetime64[us]") for name in ("opened_at", "closed_at"))
    raised = np.maximum(closed - rng.exponential(6 * 3600e6, n).astype("timedelta64[us]"), opened + HOUR)
    solved = days.advance(raised, rng.exponential(30, n) + 4)
    frame = pd.DataFrame({
        "complaint_id": "TS" + about["ticket_id"].str[2:], "customer_id": about["customer_id"],
        "asset_id": about["asset_id"], "ticket_id": about["ticket_id"],
        "complaint_source": rng.choice(["电话", "微信", "业务员"], n),
        "cause": rng.choice(["响应慢", "重复故障", "费用", "态度"], n), "raised_at": raised, "solved_at": solved,
    })  # fmt: skip
    frame = frame[frame["raised_at"] < days.now]
    done = frame["solved_at"] < days.now
    return frame.assign(
        solved_at=frame["solved_at"].where(done),
        cause=frame["cause"].where(done),
        status=np.where(done, "已解决", "处理中"),
    )


def approvals(tickets: pd.DataFrame, days: Calendar, rng: np.random.Generator) -> pd.DataFrame:
    """One row per warranty claim that somebody must approve; some are decided late."""
    claims = tickets[(tickets["billed"] == "warranty") & tickets["performed_at"].notna() & ~tickets["cancelled"]]
    asked: Instants = np.asarray(claims["resolved_at"] + pd.Timedelta(hours=1), dtype="datetime64[us]")
    decided = days.advance(asked, rng.lognormal(2.2, 0.9, len(claims)))
    frame = pd.DataFrame({
        "approval_id": "SP" + claims["ticket_id"].str[2:], "process": "保修索赔",
        "organisation": claims["organisation"], "ticket_id": claims["ticket_id"], "requested_at": asked,
        "due_at": days.advance(asked, np.full(len(claims), 19.0)), "decided_at": decided,
        "decision": np.where(rng.random(len(claims)) < 0.93, "approved", "refused"),
    })  # fmt: skip
    frame = frame[frame["requested_at"] < days.now]
    done = frame["decided_at"] < days.now
    return frame.assign(decided_at=frame["decided_at"].where(done), decision=frame["decision"].where(done))
