"""The ``foremend.toml`` that ``foremend init`` writes: everything a company needs to begin, commented."""

from __future__ import annotations

from pathlib import Path

from features.config import FORMAT
from features.errors import WorkspaceError
from features.workspace import CONFIG_NAME, new_workspace_id

__all__ = ["TEMPLATE", "make_workspace"]


def make_workspace(folder: Path, name: str) -> Path:
    """Make the folder and its ``foremend.toml``; returns the file's path.

    Raises
    ------
    WorkspaceError
        There is one already: it is never overwritten.
    """
    path = folder / CONFIG_NAME
    if path.exists():
        raise WorkspaceError("there is a workspace already", where=str(path), todo="Edit it, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(TEMPLATE.format(id=new_workspace_id(), format=FORMAT, name=_quoted(name)), encoding="utf-8")
    except OSError as error:
        raise WorkspaceError(f"cannot be written: {error.strerror}", where=str(path)) from error
    return path


def _quoted(name: str) -> str:
    """The body of a TOML basic string."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped)


TEMPLATE = '''\
# A Foremend workspace. Every key is explained where it stands; a misspelt one is named with the nearest right one.
#
#   foremend ingest --dry-run    read every source, report, write nothing
#   foremend ingest              fill the tables; again tomorrow: only what is new
#   foremend validate            check every rule, and say what is ready

[workspace]
id = "{id}"        # made by `foremend init`; tickets are recognised by it: never change it
format = {format}
name = "{name}"
language = "en"              # of reports: en or zh-CN

[time]
cutoff_utc = "16:00"         # the daily cut-off, UTC; 16:00 is midnight in China
zone = "UTC"                 # IANA zone of sites that name none
# now = 2025-06-30T16:00:00Z # freezes the clock, to replay the past


# ---------------------------------------------------------------------------------------------- sources
# A source is a query that fills one canonical table. Name its columns as the table's (docs/data-dictionary.md);
# further columns are kept as attributes. Risk needs `assets` and failures; volume `tickets`.
#
# Over files the query is DuckDB SQL: CSV, Parquet, JSON, globs, and read_excel('file.xlsx', 'Sheet').
# Paths are relative to this folder. ${{VAR}} is taken from the environment.
#
# [sources.machines]
# table = "assets"
# zone = "Asia/Shanghai"     # of stamps that carry none; without it such stamps are an error
# query = """
# SELECT serial_no AS asset_id, model AS asset_model, province AS region, installed_on AS installed_at
# FROM 'exports/machines.csv'
# """
#
# [sources.gateway]
# table = "readings"         # wide: one column per channel; form = "long" for columns channel, value
# zone = "UTC"
# delay_hours = 1            # how long after it happened a row can be known (first load)
# query = "SELECT device AS asset_id, ts AS event_time, temp_c AS temperature FROM 'gateway/*.parquet'"
#
# Over a database the query is the database's own SQL: PostgreSQL, MySQL, MariaDB, SQLite, or what SQLAlchemy reaches.
#
# [connections.crm]
# url = "postgresql://reader:${{CRM_PASSWORD}}@db.example.com:5432/crm"
#
# [sources.crm_tickets]
# table = "tickets"
# connection = "crm"
# system = "crm"             # the ticket system that issued the ids
# zone = "Asia/Shanghai"
# change_column = "updated_at" # read incrementally by it; an instant is also the row's known_at
# query = """
# SELECT id AS ticket_id, serial_no AS asset_id, kind AS ticket_type, created_at AS opened_at,
#        solved_at AS resolved_at, closed_at, part_replaced AS component, updated_at
# FROM service_ticket
# """
#
# More keys of a source:
#   known_at = "column"      the source says when each row became known
#   corrections = true       the source may correct facts (readings, alarms ...): the months concerned are rewritten
#   full = true              every read is complete: rows gone at the source become tombstones
#   reveals = {{ finding = "resolved_at" }}   another instant than the catalogue's reveals the column


# ---------------------------------------------------------------------------------------------- channels
# Every sensor channel of `readings`. Another unit is another channel; convert in the query.
#
# [channels.temperature]
# unit = "°C"
# range = [-40, 150]         # outside: set aside, with the reason
# stuck_hours = 48           # unchanged for longer counts as stuck; 0 never does
# label = {{ en = "oil temperature", "zh-CN" = "油温" }}   # what people call it, in reasons
# regime = ["round(speed)"]  # its level follows the speed: seen among readings of one regime (docs/features.md)


# ---------------------------------------------------------------------------------------------- failures
# Which records are failures: SQL over the canonical tables. The highest version rules; keep the older ones.
#
# [[failures]]
# version = 1
# query = """
# SELECT ticket_id AS failure_id, asset_id, opened_at AS event_time, component AS failure_mode,
#        coalesce(closed_at, known_at) AS known_at   -- the component is found by the work; else when it happened
# FROM tickets WHERE ticket_type = 'fault' AND component IS NOT NULL
# """
# repeat_days = 7            # the same asset and mode again within so many days is the same failure


# ---------------------------------------------------------------------------------------------- rules of your own
# `where` is true for a bad row. An error goes to quarantine; a warning is reported.
#
# [[rules]]
# table = "tickets"
# code = "closed_without_finding"
# where = "closed_at IS NOT NULL AND finding IS NULL AND ticket_type = 'fault'"
# advice = "Ask the branch for the finding"
# severity = "warning"


# ---------------------------------------------------------------------------------------------- features of your own
# Beside those that are made of every table. Entries cannot leak; SQL must keep `known_at < as_of` itself, in every
# join. Kinds and keys: docs/features.md.
#
# [features.hot]
# entries = [
#     {{ kind = "statistics", column = "temperature", stats = ["mean", "slope"], windows = [3, 14] }},
#     {{ kind = "count", table = "alarms", by = "severity", values = ["high"], windows = [7] }},
#     {{ kind = "since", table = "services", where = {{ action = "replaced" }} }},
# ]
#
# [features.visits]
# sql = """
# SELECT s.asset_id, s.as_of, count(*) AS number
# FROM spine AS s JOIN work_logs AS w
#   ON w.asset_id = s.asset_id AND w.known_at < s.as_of AND w.event_time < s.as_of
# GROUP BY ALL
# """


# ---------------------------------------------------------------------------------------------- risk
# How `foremend train risk` learns. Shown are the defaults.
#
# [risk]
# horizons_days = [1, 7, 14, 30] # "fails within so many days"; each must be an edge
# edges_days = [0, 1, 3, 7, 14, 30] # the days ahead are cut here, and a hazard is learnt for each part
# decision_days = 7          # its likeliest failure mode names the ticket; a new model is judged by it
# every_days = 0             # between the cut-offs that are learnt from; 0: so many that max_rows suffice
# max_rows = 30000           # rows (asset, cut-off) that are learnt from
# max_modes = 8              # failure modes told apart, the most frequent; the rest is `other`
# min_mode_failures = 10     # of a mode that is told apart
# min_failures = 20          # in training; with fewer, age alone is learnt
# capacities = [1, 2, 5]     # visits a day, for the figures of the report
# threads = 2
# seed = 1
# groups = []                # feature groups that it learns from, as `foremend features --list` names them; empty: all
# protocol = "by_time"       # or "by_asset": every slice has assets of its own, for fleets that ran to failure
# split_by = ""              # by_asset: a column of assets with train, calibrate, test; empty: by a hash of the id
# test_rows = "all"          # by_asset: "last" judges a test asset at the end of its record only
# trees = {{ rounds = 0, leaves = 0, learning_rate = 0.07, min_leaf = 0, l2 = 5.0, feature_fraction = 0.3 }} # 0: by failures
# owner = ""                 # who answers for the model, for its card; empty: the workspace's name
# expires_days = 180         # after the last data that it was judged on; `score` says so from then on
#
# More keys of [risk], instants or days (a day means its cut-off); by default the history is divided by shares:
#   start = 2024-01-01       the first cut-off that is learnt from
#   train_until = 2024-09-01
#   calibrate_until = 2024-11-01   from here on the model is judged, once
#   observed_until = 2024-12-31    to when the record of failures is complete; not ahead of the clock


# ---------------------------------------------------------------------------------------------- policy
# Which visits `foremend score` proposes: those that are expected to save more than they cost, while crews are free.
# Say both costs in one currency. Shown are the defaults, whose currency is the cost of a visit.
#
# [policy]
# failure_cost = 10.0        # of a failure: the repair, and what stands still meanwhile
# visit_cost = 1.0
# later_weight = 0.2         # 0 to 1: what a failure counts that a later visit could prevent as well
# capacity_per_run = 5       # visits that the crews can take on from one night
# protects_days = 7.0        # for how long a visit is taken to prevent failures
# cool_down_days = 7.0       # how long an asset is left alone after a visit
# expires_days = 7.0         # when a proposal that nobody took is void


# ---------------------------------------------------------------------------------------------- forecast
# How `foremend forecast` counts the tickets to come. Shown are the defaults.
#
# [forecast]
# country = ""               # whose holidays hold, ISO 3166: "CN", "DE"; empty: none are known
# subdivision = ""           # of the country, where its parts have holidays of their own: "BY"
# horizon = 28               # days
# models = ["seasonal_naive", "prophet"] # run side by side; the better one on the last days is used
# prophet_nodes = 50         # prophet runs on so many of the largest series: it takes its time
'''
