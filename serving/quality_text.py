"""What ``validate`` and ``labels`` print on a terminal, from what :mod:`features` found."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from features.wording import singular
from serving import console

if TYPE_CHECKING:
    import pandas as pd

    from features.failure_changes import Changes
    from features.failures import Failures
    from features.validation import Report
    from features.validation.findings import Finding
    from features.validation.readiness import Purpose
    from ml.report import Wording

LISTED = 12
"""Findings and examples listed on a terminal; ``--json`` and ``--html`` have all."""

WIDTH = 110
"""Columns of running text; a Chinese letter takes two."""

TRIED = "--compare-sql"
"""The note of a failure rule that is not declared, only tried."""

LABEL = 9
"""Columns of the label before it."""


def print_report(report: Report, words: Wording) -> None:
    """Print what is there, what was found, what is set aside, and what can be learned."""
    console.table(
        [words.text(head) for head in ("table", "rows", "from", "to", "sources")],
        [(t.name, f"{t.rows:,}", _day(t.first_at), _day(t.last_at), ", ".join(t.sources)) for t in report.tables],
        title=words.text("What is there"),
    )
    _print_set_aside(report, words)
    _print_findings(report, words)
    _print_knowing(report, words)
    _print_readiness(report, words)


def purpose_lines(purpose: Purpose, words: Wording) -> list[str]:
    """What the workspace can be used for and what happens instead of more, or what stands against it."""
    name, judged = words.text(purpose.name), purpose.capability
    if judged is None:
        pattern = "Not usable for {purpose}: {why}."
        return [words.line(pattern, purpose=name, why=singular(words.said(blocker))) for blocker in purpose.blockers]
    told = " → ".join(filter(None, (singular(words.said(judged.why)), words.instead(judged))))
    return [words.line("Usable for {purpose}: {why}.", purpose=name, why=told)]


def count_line(report: Report, words: Wording) -> str:
    """How many checks found what."""
    return words.line(
        "{checks} checks: {errors} errors, {warnings} warnings, {notes} notes, {passed} passed.",
        checks=len(report.findings), errors=len(report.found("error")), warnings=len(report.found("warning")),
        notes=len(report.found("note")), passed=report.passed,
    )  # fmt: skip


def blamed(table: str, code: str, columns: Sequence[str]) -> str:
    """The columns to blame, to stand before an example: with their words where it holds one that is not among them."""
    from features.tables import TABLES

    known = {c.name: c.choices for c in TABLES[table].columns} if code == "bad_state" else {}
    return "".join(f"{c} ∈ {{{', '.join(known[c])}}}: " if known.get(c) else f"{c}: " for c in columns)


def print_sample(table: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Print drawn rows whole, one paragraph each, empty columns left out."""
    click.echo(f"\n{table}")
    for n, row in enumerate(rows, start=1):
        _block(f"{n:>5}", ", ".join(f"{name} = {value}" for name, value in row.items() if value))


def _print_findings(report: Report, words: Wording) -> None:
    found = [f for f in (*report.found("error"), *report.found("warning"), *report.found("note")) if not _absent(f)]
    if found:
        click.echo(f"\n{words.text('What was found')}")
    for one in found[:LISTED]:
        told = {"count": f"{one.count:,}", "of": f"{one.of:,}", "unit": words.unit(one.unit)}
        pattern = "{place}: {count} of {of} {unit}: {meaning}"
        if one.of == 1:  # as a whole
            pattern = "{place}: {meaning}"
        _block(words.text(one.severity), words.line(pattern, place=one.place, meaning=words.meaning(one), **told))
        for more in filter(None, (words.said(one.detail), _first(one, words))):
            _block("", more)
        _block("", words.line("→ {advice}.", advice=words.advice(one)))
    if len(found) > LISTED:
        click.echo(words.line("… and {more} more: foremend validate --html report.html", more=len(found) - LISTED))
    absent = [f.table for f in report.findings if f.count and _absent(f)]
    if absent:
        pattern = "not connected (risk needs assets and failures, volume needs tickets): {tables}"
        _block(words.text("note"), words.line(pattern, tables=", ".join(absent)))


def _absent(one: Finding) -> bool:
    return one.code == "not_connected" and one.severity == "note"


def _first(one: Finding, words: Wording) -> str:
    if not one.examples:
        return ""
    return words.line("first: {example}", example=", ".join(f"{n} = {v}" for n, v in one.examples[0].items() if v))


def _block(label: str, text: str) -> None:
    from rich.cells import cell_len

    width = max(1, WIDTH - LABEL) * len(text) // max(1, cell_len(text))  # of letters, by their mean width
    lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    click.echo(label + " " * (LABEL - cell_len(label)) + f"\n{' ' * LABEL}".join(lines))


def _print_set_aside(report: Report, words: Wording) -> None:
    if report.set_aside:
        click.echo(f"\n{words.line('In quarantine: rows that were not used, or lost a value')}")
    for one in report.set_aside:
        told = {"source": one.source, "table": one.table, "rows": f"{one.rows:,}", "code": one.code}
        _block("", words.line("{source} → {table}: {rows} rows: {code}: {meaning}", meaning=words.meaning(one), **told))
        for example in one.examples[:1]:
            shown = blamed(one.table, one.code, one.columns) + console.cut(example)
            _block("", words.line("first: {example}", example=shown))
        _block("", words.line("→ {advice}.", advice=words.advice(one)))


def _print_knowing(report: Report, words: Wording) -> None:
    states = report.final_states
    if not states:
        return
    click.echo(f"\n{words.line('Final states: unusable as a feature before the instant that reveals them')}")
    for table, by in dict.fromkeys((s.table, s.revealed_by) for s in states):
        of = [s for s in states if (s.table, s.revealed_by) == (table, by)]
        never = [
            words.line("{column} ({never} of {filled})", column=s.column, never=f"{s.never:,}", filled=f"{s.filled:,}")
            for s in of if s.never
        ]  # fmt: skip
        columns = ", ".join(s.column for s in of)
        _block("", words.line("{table}, known only at {by}: {columns}", table=table, by=by, columns=columns))
        if never:
            _block("", words.line("never known, because {by} is empty: {columns}", by=by, columns=", ".join(never)))
    pattern = "→ If your source gives the value as first entered, declare in it, e.g., {reveals}."
    _block("", words.line(pattern, reveals=states[0].reveals))


def _print_readiness(report: Report, words: Wording) -> None:
    """A matrix of verdicts, then why, for every verdict below ready; classes alike are told together."""
    if not report.readiness:
        return
    heads = [words.text(head) for head in ("class", "assets", "failures")]
    console.table(
        [*heads, *(_capability(judged.name, words) for judged in report.readiness[0].capabilities)],
        [
            (_class(c.asset_class, words), f"{c.assets:,}", f"{c.failures:,}",
             *(words.text(p.verdict) for p in c.capabilities))
            for c in report.readiness
        ],
        title=f"\n{words.line('Readiness')}",
    )  # fmt: skip
    alike: dict[tuple[str, str, str], list[str]] = {}
    for one in report.readiness:
        for judged in one.capabilities:
            if judged.verdict != "ready":
                key = (judged.name, judged.verdict, words.instead(judged))
                told = words.line(
                    "{kind} ({why})", kind=_class(one.asset_class, words), why=singular(words.said(judged.why))
                )
                alike.setdefault(key, []).append(told)
    for (name, verdict, instead), why in alike.items():
        capability = _capability(name, words)
        click.echo(words.line("{capability}, {verdict}:", capability=capability, verdict=words.text(verdict)))
        shown, more = "; ".join(why[: LISTED // 3]), len(why) - LISTED // 3
        _block("", words.line("{shown} and {more} more", shown=shown, more=more) if more > 0 else shown)
        _block("", words.line("→ {advice}.", advice=instead))


def _capability(name: str, words: Wording) -> str:
    return words.text(name).replace("_", " ")


def _class(name: str, words: Wording) -> str:
    """The name of a class; those of ours are worded, the company's are kept."""
    from features.validation.readiness import FLEET

    return words.text(name) if name in {FLEET, "all"} else name


def print_failures(found: Failures, *, as_json: bool) -> None:
    """Print failures per month and mode, and the first of them."""
    frame = found.frame
    months = frame.assign(month=frame["event_time"].dt.strftime("%Y-%m"))
    counts = months.groupby(["failure_mode", "month"]).size().rename("failures").reset_index()
    if as_json:
        console.to_json({
            "version": found.rule.version, "fingerprint": found.fingerprint, "failures": len(frame),
            "folded": found.folded, "incomplete": found.incomplete,
            "by_mode_and_month": _records(counts), "first": _records(frame.head(LISTED)),
        })  # fmt: skip
        return
    table = counts.pivot_table(index="month", columns="failure_mode", values="failures", fill_value=0, aggfunc="sum")
    modes = list(table.columns)
    rows = [
        (month, *(int(n) for n in row), int(row.sum()))
        for month, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    rows.append((console.worded("total"), *(int(table[m].sum()) for m in modes), len(frame)))
    title = f"Failures by rule version {found.rule.version}"
    console.table(("month", *modes, "all"), rows, title=title, names=modes)
    _examples(f"First failures ({len(frame):,})", frame)
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
    now = "your query" if changes.new.rule.note == TRIED else f"version {new}"
    console.table(("mode", f"version {old}", now, "change"), rows, title="Failures per mode")
    console.say(
        f"{changes.same:,} are the same; {len(changes.only_old):,} only in the old, {len(changes.only_new):,} only in "
        f"the new, {len(changes.moved):,} moved in time, {len(changes.renamed):,} under another mode."
    )
    _examples(f"Only in the old ({len(changes.only_old):,})", changes.only_old)
    _examples(f"Only in the new ({len(changes.only_new):,})", changes.only_new)
    _examples(f"Moved in time ({len(changes.moved):,})", changes.moved)
    _examples(f"Under another mode ({len(changes.renamed):,})", changes.renamed)


def _examples(title: str, frame: pd.DataFrame) -> None:
    rows = _records(frame.head(LISTED // 2))
    if rows:
        console.table([*rows[0]], [list(row.values()) for row in rows], title=f"\n{title}", names=rows[0])


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries; instants as ISO 8601 in UTC."""
    text = frame.copy()
    for name in text.columns:
        if str(text[name].dtype).startswith("datetime64"):
            text[name] = text[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [{str(k): v for k, v in row.items()} for row in text.to_dict("records")]


def _day(at: Any) -> str:
    return f"{at:%Y-%m-%d}" if at else ""
