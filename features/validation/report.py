"""Every rule over the committed tables, with counts, first examples and advice.

``validate`` reads one snapshot and says, for a planner and for whoever owns the sources:

* what is there (:class:`~features.validation.table_checks.TableProfile`), and what was set aside at ingest
  (:class:`SetAside`);
* what every check found (:class:`~features.validation.findings.Finding`; a count of 0 is a check passed);
* which columns hold only their final state, and how late rows arrive (:mod:`features.validation.knowing`);
* what the workspace can be used for, what can be learned per asset class, and what happens where it cannot
  (:mod:`features.validation.readiness`).

Everything is set-based SQL; a table is read a few times however many rules there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from features.failures import COLUMNS, Failures, attach
from features.tables import TABLES
from features.validation.findings import Finding, Look, Severity, finding
from features.validation.knowing import Arrival, FinalState, arrivals, final_states, late_findings, stale
from features.validation.readiness import Capability, ClassReadiness, Purpose, readiness, volume_purpose
from features.validation.reading_checks import readings
from features.validation.reasons import blamed, reason
from features.validation.table_checks import (
    TableProfile,
    before_installed,
    own_rules,
    plans_by_usage,
    profile,
    references,
    two_sources,
)
from features.validation.ticket_checks import ticket_history
from features.workspace import Snapshot, local_files, quote

__all__ = ["SCHEMA", "Report", "SetAside", "as_data", "sample", "validate"]

SCHEMA = 1
"""Version of the report's JSON form; a field is never renamed without a new one."""

VALUE_CODES = frozenset({"bad_state", "below_minimum", "not_finite", "out_of_range", "retired_before_installed",
                         "unknown_zone", "bad_type"})  # fmt: skip
"""Reasons that usually cost a value, not the row."""


@dataclass(frozen=True)
class SetAside:
    """Rows, or single values, that ingest put into quarantine for one reason.

    Attributes
    ----------
    code
        The reason; a row with two reasons is counted under both.
    examples
        The first rows as the source delivered them, as JSON text.
    columns
        Columns of the first example that are to blame, where that is known.
    """

    source: str
    table: str
    code: str
    rows: int
    meaning: str
    advice: str
    examples: tuple[str, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What ``foremend validate`` found.

    Attributes
    ----------
    purposes
        What the workspace can be used for: risk, then volume.
    failures
        Failures that the rule finds; `failure_rule` is its version, 0 where none is declared.
    """

    schema: int
    workspace: str
    language: str
    at: datetime
    versions: Mapping[str, int]
    purposes: tuple[Purpose, ...]
    failure_rule: int
    failures: int
    tables: tuple[TableProfile, ...]
    set_aside: tuple[SetAside, ...]
    findings: tuple[Finding, ...]
    final_states: tuple[FinalState, ...]
    arrivals: tuple[Arrival, ...]
    readiness: tuple[ClassReadiness, ...]

    @property
    def usable(self) -> bool:
        """Whether anything can be learned from it."""
        return any(purpose.usable for purpose in self.purposes)

    @property
    def blockers(self) -> tuple[str, ...]:
        """Why the workspace cannot be used at all; empty where it can, be it for one purpose."""
        return () if self.usable else tuple(why for purpose in self.purposes for why in purpose.blockers)

    def found(self, severity: Severity) -> tuple[Finding, ...]:
        """Findings of one severity that found something, the most frequent first."""
        hits = (f for f in self.findings if f.count and f.severity == severity)
        return tuple(sorted(hits, key=lambda f: -f.count / max(f.of, 1)))

    @property
    def passed(self) -> int:
        """Checks that found nothing."""
        return sum(not f.count for f in self.findings)


def validate(snapshot: Snapshot, *, say: Callable[[str], None] = lambda _: None) -> Report:
    """Check a snapshot against every rule.

    Raises
    ------
    ConfigError
        The SQL of a failure rule or of the company's own ``[[rules]]`` fails.
    """
    config, at = snapshot.workspace.config, snapshot.workspace.now()
    with snapshot.connect() as con:
        look = Look(con, snapshot, at, _sizes(Look(con, snapshot, at)))
        found: list[Finding] = []
        views = dict(_tables(look, found, say))
        say("readings, tickets and your own rules")
        found += [*readings(look), *ticket_history(look), *own_rules(look)]
        known = _failures(look)
        found += [*_missing(look), *_judge_failures(look, known)]
        late = arrivals(look, views)
        found += [*late_findings(look, late), *stale(look)]
        say("readiness")
        classes = readiness(look)
        return Report(
            schema=SCHEMA, workspace=config.workspace.name, language=config.workspace.language, at=at,
            versions=snapshot.versions, purposes=(_risk_purpose(look, known, classes), volume_purpose(look)),
            failure_rule=known.rule.version if known else 0, failures=len(known.frame) if known else 0,
            tables=tuple(views.values()), set_aside=_set_aside(snapshot, look), findings=tuple(found),
            final_states=tuple(final_states(look, views)), arrivals=late, readiness=classes,
        )  # fmt: skip


def sample(snapshot: Snapshot, rows: int, seed: int = 0) -> Mapping[str, list[dict[str, object]]]:
    """Draw `rows` random rows of every table that has any, for review by hand; the same for the same seed."""
    with snapshot.connect() as con:
        look = Look(con, snapshot, snapshot.workspace.now())
        drawn = {}
        for name, size in _sizes(look).items():
            order = ", ".join(f'"{key}"' for key in ("source", *TABLES[name].key))
            ordered = f"SELECT * FROM {name} ORDER BY hash({order}, {seed}) LIMIT {rows}"
            if size:
                drawn[name] = look.rows(ordered)
        return drawn


def _sizes(look: Look) -> dict[str, int]:
    counts = " UNION ALL ".join(f"SELECT '{name}' AS name, count(*) AS n FROM {name}" for name in TABLES)
    sizes = {row["name"]: row["n"] for row in look.rows(counts)}
    return {name: sizes[name] for name in TABLES}


def _tables(look: Look, found: list[Finding], say: Callable[[str], None]) -> Iterator[tuple[str, TableProfile]]:
    for name, size in look.sizes.items():
        if size:
            say(f"{name}: {size:,} rows")
            view, broken = profile(look, TABLES[name])
            found += [*broken, *two_sources(look, TABLES[name], view), *references(look, TABLES[name])]
            found += [*before_installed(look, TABLES[name]), *plans_by_usage(look, TABLES[name])]
            yield name, view


def _missing(look: Look) -> Iterator[Finding]:
    """Tables without rows: a note, but for assets."""
    declared = {source.table for source in look.snapshot.workspace.config.sources.values()}
    for name, size in look.sizes.items():
        severity = _risk_severity(look) if name == "assets" else "note"
        code = "not_ingested" if name in declared else "not_connected"
        yield finding(severity, code, name, count=int(not size), of=1, unit="tables")


def _risk_severity(look: Look) -> Severity:
    """How bad it is that risk lacks assets or a rule: nobody asked for it where tickets stand alone."""
    asked = look.has("assets") or look.snapshot.workspace.config.failures or not look.has("tickets")
    return "error" if asked else "note"


def _failures(look: Look) -> Failures | None:
    """Attach the failures of the rule in force as ``failures``; an empty relation where none is declared."""
    if look.snapshot.workspace.config.failures:
        return attach(look.con, look.snapshot)
    types = ("VARCHAR", "VARCHAR", "VARCHAR", "TIMESTAMPTZ", "TIMESTAMPTZ")
    empty = ", ".join(f"NULL::{kind} AS {name}" for name, kind in zip(COLUMNS, types, strict=True))
    look.con.execute(f"CREATE OR REPLACE TEMP VIEW failures AS SELECT {empty} WHERE false")
    return None


def _judge_failures(look: Look, known: Failures | None) -> Iterator[Finding]:
    place = "failures"
    yield finding(_risk_severity(look), "no_failure_rule", place, count=int(known is None), of=1, unit="rules")
    if known is None:
        return
    total = len(known.frame)
    yield finding("error", "no_failures", place, count=int(not total), of=1, unit="rules")
    yield finding("warning", "failure_incomplete", place, count=known.incomplete, of=total + known.incomplete)
    lost = "SELECT * FROM failures ANTI JOIN assets USING (asset_id)"
    count = look.row(f"SELECT count(*) AS n FROM ({lost})")["n"]
    shown = look.examples(lost) if count else ()
    yield finding("error", "failure_without_asset", place, count=count, of=total, unit="failures", examples=shown)


def _risk_purpose(look: Look, known: Failures | None, classes: tuple[ClassReadiness, ...]) -> Purpose:
    blockers = tuple(_risk_blockers(look, known, classes))
    fleet = () if blockers else classes[0].capabilities
    return Purpose("risk", blockers, next((one for one in fleet if one.name == "risk"), None))


def _risk_blockers(look: Look, known: Failures | None, classes: tuple[ClassReadiness, ...]) -> Iterator[str]:
    if not look.has("assets"):
        yield "no assets: connect a source for the table `assets`, or run `foremend ingest`"
    if known is None:
        yield "no failures: declare [[failures]] in foremend.toml"
    elif known.frame.empty:
        yield f"no failures: rule version {known.rule.version} finds none; `foremend labels` shows what it reads"
    elif classes and not classes[0].failures:
        yield "no failures: none is of an asset that stands in `assets`; write the ids alike in both"


def _set_aside(snapshot: Snapshot, look: Look) -> tuple[SetAside, ...]:
    """The quarantine by source, table and reason, the most frequent first."""
    delta = snapshot.tables.get("quarantine")
    files = local_files(delta) if delta else []
    if not files:
        return ()
    paths = ", ".join(map(quote, files))
    known = [column.name for column in delta.schema().fields] if delta else ()
    places = "places" if "places" in known else "NULL"  # the quarantine of an earlier version
    rows = look.rows(
        f"SELECT source, table_name, code, count(*) AS rows, list(row ORDER BY row_hash)[:3] AS examples, "
        f"min_by(coalesce({places}, ''), row_hash) AS places "
        f"FROM (SELECT *, trim(unnest(string_split(reasons, ','))) AS code FROM read_parquet([{paths}], "
        f"hive_partitioning = true, union_by_name = true)) GROUP BY ALL ORDER BY rows DESC, source, code"
    )
    return tuple(_aside(row, snapshot) for row in rows)


def _aside(row: Mapping[str, object], snapshot: Snapshot) -> SetAside:
    code = str(row["code"])
    why = reason(code)
    own = {rule.code: rule.advice for rule in snapshot.workspace.config.rules}
    examples = tuple(str(text) for text in row["examples"] or ())  # type: ignore[attr-defined]
    return SetAside(
        str(row["source"]), str(row["table_name"]), code, int(str(row["rows"])), why.meaning,
        own.get(code, why.advice), examples, blamed(str(row["places"]), code),
    )  # fmt: skip


def as_data(report: Report) -> dict[str, Any]:
    """The report as plain data for JSON; ``docs/validate.md`` describes every field."""
    data = asdict(report)
    data["at"] = report.at.isoformat()
    data["usable"], data["blockers"], data["passed"] = report.usable, report.blockers, report.passed
    for one, purpose in zip(data["purposes"], report.purposes, strict=True):
        one["usable"] = purpose.usable
        one["capability"] = _plain(purpose.capability) if purpose.capability else None
    for table in data["tables"]:
        table["first_at"], table["last_at"] = (
            at.isoformat() if at else None for at in (table["first_at"], table["last_at"])
        )
    for one, kind in zip(data["readiness"], report.readiness, strict=True):
        one["capabilities"] = [_plain(judged) for judged in kind.capabilities]
    return data


def _plain(judged: Capability) -> dict[str, str]:
    return {**asdict(judged), "instead": judged.instead}
