"""What ``validate`` and ``labels`` print on a terminal, from what :mod:`features` found."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from serving import console

if TYPE_CHECKING:
    import pandas as pd

    from features.failure_changes import Changes
    from features.failures import Failures
    from features.validation import Report
    from features.validation.findings import Finding
    from features.validation.readiness import Purpose

LISTED = 12
"""Findings and examples listed on a terminal; ``--json`` and ``--html`` have all."""

WIDTH = 110
"""Columns of running text."""

CAPABILITIES = {"risk_by_component": "risk by component", "risk": "risk", "volume": "volume", "readings": "readings"}


def print_report(report: Report) -> None:
    """Print what is there, what was found, what is set aside, and what can be learned."""
    console.table(
        ("table", "rows", "from", "to", "sources"),
        [(t.name, f"{t.rows:,}", _day(t.first_at), _day(t.last_at), ", ".join(t.sources)) for t in report.tables],
        title="What is there",
    )
    _print_set_aside(report)
    _print_findings(report)
    _print_knowing(report)
    _print_readiness(report)


def purpose_lines(purpose: Purpose) -> list[str]:
    """What the workspace can be used for and what happens instead of more, or what stands against it."""
    if purpose.capability is None:
        return [f"Not usable for {purpose.name}: {blocker}." for blocker in purpose.blockers]
    told = filter(None, (purpose.capability.why, purpose.capability.instead))
    return [f"Usable for {purpose.name}: {' → '.join(told)}."]


def print_sample(table: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Print drawn rows whole, one paragraph each, empty columns left out."""
    click.echo(f"\n{table}")
    for n, row in enumerate(rows, start=1):
        _block(f"{n:>5}", ", ".join(f"{name} = {value}" for name, value in row.items() if value))


def _print_findings(report: Report) -> None:
    found = [f for f in (*report.found("error"), *report.found("warning"), *report.found("note")) if not _absent(f)]
    if found:
        click.echo("\nWhat was found")
    for one in found[:LISTED]:
        _block(one.severity, f"{one.place}: {one.count:,} of {one.of:,} {one.unit}: {one.meaning}")
        for more in filter(None, (one.detail, _first(one))):
            _block("", more)
        _block("", f"→ {one.advice}.")
    if len(found) > LISTED:
        click.echo(f"… and {len(found) - LISTED} more: foremend validate --html report.html")
    absent = [f.table for f in report.findings if f.count and _absent(f)]
    if absent:
        _block("note", f"not connected (risk needs assets and failures, volume needs tickets): {', '.join(absent)}")


def _absent(one: Finding) -> bool:
    return one.code == "not_connected" and one.severity == "note"


def _first(one: Finding) -> str:
    if not one.examples:
        return ""
    return "first: " + ", ".join(f"{name} = {value}" for name, value in one.examples[0].items() if value)


def _block(label: str, text: str) -> None:
    click.echo(
        textwrap.fill(text, WIDTH, initial_indent=f"{label:<9}", subsequent_indent=" " * 9, break_on_hyphens=False)
    )


def _print_set_aside(report: Report) -> None:
    if report.set_aside:
        click.echo("\nIn quarantine: rows that were not used, or lost a value")
    for one in report.set_aside:
        _block("", f"{one.source} → {one.table}: {one.rows:,} rows: {one.code}: {one.meaning}")
        _block("", f"→ {one.advice}.")


def _print_knowing(report: Report) -> None:
    states = report.final_states
    if not states:
        return
    click.echo("\nFinal states: unusable as a feature before the instant that reveals them")
    for by in dict.fromkeys((s.table, s.revealed_by) for s in states):
        of = [s for s in states if (s.table, s.revealed_by) == by]
        never = [f"{s.column} ({s.never:,} of {s.filled:,})" for s in of if s.never]
        _block("", f"{by[0]}, known only at {by[1]}: {', '.join(s.column for s in of)}")
        if never:
            _block("", f"never known, because {by[1]} is empty: {', '.join(never)}")
    _block("", f"→ If your source gives the value as first entered, declare in it, e.g., {states[0].reveals}.")


def _print_readiness(report: Report) -> None:
    """A matrix of verdicts, then why, for every verdict below ready; classes alike are told together."""
    if not report.readiness:
        return
    console.table(
        ("class", "assets", "failures", *CAPABILITIES.values()),
        [
            (c.asset_class, f"{c.assets:,}", f"{c.failures:,}", *(p.verdict for p in c.capabilities))
            for c in report.readiness
        ],
        title="\nReadiness",
    )
    alike: dict[tuple[str, str, str], list[str]] = {}
    for one in report.readiness:
        for judged in one.capabilities:
            if judged.verdict != "ready":
                key = (judged.name, judged.verdict, judged.instead)
                alike.setdefault(key, []).append(f"{one.asset_class} ({judged.why})")
    for (name, verdict, instead), why in alike.items():
        more = f" and {len(why) - LISTED // 3} more" if len(why) > LISTED // 3 else ""
        click.echo(f"{CAPABILITIES[name]}, {verdict}:")
        _block("", "; ".join(why[: LISTED // 3]) + more)
        _block("", f"→ {instead}.")


def print_failures(found: Failures, *, as_json: bool) -> None:
    """Print failures per month and mode, and the first of them."""
    frame = found.frame
    months = frame.assign(month=frame["event_time"].dt.strftime("%Y-%m"))
    counts = months.groupby(["failure_mode", "month"]).size().rename("failures").reset_index()
    if as_json:
        console.to_json({
            "version": found.rule.version, "fingerprint": found.fingerprint, "failures": len(frame),
            "folded": found.folded, "incomplete": found.incomplete, "knows_when": found.knows_when,
            "by_mode_and_month": _records(counts), "first": _records(frame.head(LISTED)),
        })  # fmt: skip
        return
    table = counts.pivot_table(index="month", columns="failure_mode", values="failures", fill_value=0, aggfunc="sum")
    modes = list(table.columns)
    rows = [
        (month, *(int(n) for n in row), int(row.sum()))
        for month, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    rows.append(("total", *(int(table[m].sum()) for m in modes), len(frame)))
    console.table(("month", *modes, "all"), rows, title=f"Failures by rule version {found.rule.version}")
    _examples("First failures", frame)
    if found.folded or found.incomplete:
        console.say(
            f"{found.folded:,} repeats were folded; {found.incomplete:,} rows without asset or time were left out."
        )


def print_changes(changes: Changes, *, as_json: bool) -> None:
    """Print what a changed rule wins, loses, moves and renames."""
    parts = {
        "only_old": changes.only_old, "only_new": changes.only_new,
        "moved": changes.moved, "renamed": changes.renamed,
    }  # fmt: skip
    old, new = changes.old.rule.version, changes.new.rule.version
    if as_json:
        shown = {name: {"count": len(rows), "first": _records(rows.head(LISTED))} for name, rows in parts.items()}
        console.to_json({
            "old": old, "new": new, "same": changes.same, "by_mode": _records(changes.counts), **shown,
            "old_fingerprint": changes.old.fingerprint, "new_fingerprint": changes.new.fingerprint,
        })  # fmt: skip
        return
    counts = changes.counts
    rows = [
        (m, o, n, f"{n - o:+d}") for m, o, n in zip(counts["failure_mode"], counts["old"], counts["new"], strict=True)
    ]
    console.table(("mode", f"version {old}", f"version {new}", "change"), rows, title="Failures per mode")
    console.say(
        f"{changes.same:,} are the same; {len(changes.only_old):,} only in the old, {len(changes.only_new):,} only in "
        f"the new, {len(changes.moved):,} moved in time, {len(changes.renamed):,} under another mode."
    )
    titles = ("Only in the old", "Only in the new", "Moved in time", "Under another mode")
    for title, part in zip(titles, parts.values(), strict=True):
        _examples(title, part)


def _examples(title: str, frame: pd.DataFrame) -> None:
    rows = _records(frame.head(LISTED // 2))
    if rows:
        console.table(list(rows[0]), [list(row.values()) for row in rows], title=f"\n{title} ({len(frame):,})")


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries; instants as ISO 8601 in UTC."""
    text = frame.copy()
    for name in text.columns:
        if str(text[name].dtype).startswith("datetime64"):
            text[name] = text[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [{str(k): v for k, v in row.items()} for row in text.to_dict("records")]


def _day(at: Any) -> str:
    return f"{at:%Y-%m-%d}" if at else ""
