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


# ---------------------------------------------------------------------------------------------- failures
# Which records are failures: SQL over the canonical tables. The highest version rules; keep the older ones.
#
# [[failures]]
# version = 1
# query = """
# SELECT ticket_id AS failure_id, asset_id, opened_at AS event_time, component AS failure_mode
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
'''
