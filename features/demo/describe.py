"""The ``foremend.toml`` of a made-up fleet: ordinary sources over its files."""

from __future__ import annotations

from features.demo.workdays import Calendar
from features.demo.world import CHANNELS, Channel

__all__ = ["toml"]

PLAIN = (
    "tickets", "ticket_events", "services", "customers", "contracts", "engineers", "work_logs", "parts", "part_orders",
    "calendar_events", "complaints", "approvals", "inspections",
)  # fmt: skip
_RENAMED = {
    "assets": "SELECT machine_no AS asset_id, commissioned_at AS installed_at,\n"
    "       * EXCLUDE (machine_no, commissioned_at)\nFROM 'data/assets.parquet'",
    "readings": "SELECT machine_no AS asset_id, ts AS event_time, * EXCLUDE (machine_no, ts)\n"
    "FROM 'data/readings-*.parquet'",
    "alarms": "SELECT machine_no AS asset_id, ts AS event_time, alarm_code AS code, severity, text\n"
    "FROM 'data/alarms.parquet'",
}


def toml(days: Calendar, identity: str, language: str, known_at: frozenset[str]) -> str:
    """The text of the file.

    Parameters
    ----------
    known_at
        Tables whose files say themselves when each row became known.
    """
    sources = [_source(name, query, known_at) for name, query in _RENAMED.items()]
    sources += [_source(name, f"SELECT * FROM 'data/{name}.parquet'", known_at) for name in PLAIN]
    plans = "SELECT * EXCLUDE (changed_at), changed_at AS known_at FROM 'data/maintenance_plans.parquet'"
    sources.append(_source("maintenance_plans", plans, frozenset({"maintenance_plans"})))
    return _HEAD.format(identity=identity, language=language, now=f"{str(days.now)[:19]}Z") + "\n".join(
        [*(_channel(c) for c in CHANNELS), _USAGE, *sources, _FAILURES, _POLICY]
    )  # fmt: skip


def _channel(channel: Channel) -> str:
    return (
        f'[channels.{channel.name}]\nunit = "{channel.unit}"\nrange = [{channel.low}, {channel.high}]\n'
        f"stuck_hours = 72\n"
        f'label = {{ "zh-CN" = "{channel.chinese}", en = "{channel.english}" }}\n'
    )


def _source(name: str, query: str, known_at: frozenset[str]) -> str:
    known = 'known_at = "known_at"\n' if name in known_at else ""
    system = 'system = "crm"\n' if name in {"tickets", "ticket_events"} else ""
    return f'[sources.{name}]\ntable = "{name}"\n{system}{known}query = """\n{query}\n"""\n'


_HEAD = """# A made-up fleet of screw compressors, written by `foremend fleet`.
# What really happens in it is in truth/, which no source reads.
[workspace]
id = "{identity}"
name = "空压机示范机队 / demo fleet"
language = "{language}"

[time]
cutoff_utc = "16:00"  # midnight in China
now = {now}
zone = "Asia/Shanghai"

[forecast]
country = "CN"
prophet_nodes = 14  # all, types and regions: the demo is to be quick

[risk]
max_rows = 21_000  # cut-offs some days apart: the demo is to be quick

"""
_USAGE = """[channels.running_hours]
unit = "h"
range = [0.0, 500000.0]
label = { "zh-CN" = "运行小时", en = "running hours" }
"""
_FAILURES = """[[failures]]
version = 1
note = "A component replaced after trouble; it failed when its ticket was opened."
query = \"\"\"
SELECT services.service_id AS failure_id, services.asset_id, services.component AS failure_mode,
       coalesce(tickets.opened_at, services.performed_at) AS event_time, services.known_at
FROM services LEFT JOIN tickets USING (ticket_id)
WHERE services.reason = 'corrective' AND services.action = 'replaced'
\"\"\"
"""
_POLICY = """[policy]
failure_cost = 40000.0  # yuan: the repair, and the customer's line that stands still
visit_cost = 600.0
capacity_per_run = 5  # visits that the crews can take on from one night
"""
