"""Write ``docs/data-dictionary.md`` from the catalogue and the reasons; ``--check`` only compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from features.tables import TABLES, Column, Table
from features.validation.reasons import REASONS

PAGE = Path(__file__).parents[1] / "docs" / "data-dictionary.md"

HEAD = """# Data dictionary

Written by `python scripts/data_dictionary.py` from `features/tables.py` and `features/validation/reasons.py`; a test checks
that it is current. Risk needs `assets` and failures (tickets or services), volume needs `tickets` alone.

Every stored row also carries `source` (the source that delivered it), `event_time` (the table's clock, below),
`known_at` (when we could know: features read a row only where `known_at < as_of`) and `ingested_at`.
*Facts* happen once and are never changed. *Versioned* rows are one version of one thing each; the latest counts.
**Known** says what reveals a value: `row` is known with its row; an instant's name means that features see the
value only after that instant of the same row, because before it the value did not exist; *itself* is an instant
that is known when it comes. All instants are UTC. Columns that a source adds are kept as attributes;
their names, and those of channels, must not begin with `__`.
"""


def page() -> str:
    """The whole page."""
    tables = "\n".join(f"- [`{t.name}`](#{t.name}): {t.meaning}" for t in TABLES.values())
    reasons = "\n".join(f"| `{r.code}` | {_cell(r.meaning)} | {_cell(r.advice)} |" for r in REASONS.values())
    parts = [HEAD, tables, *("\n".join(section(t)) for t in TABLES.values())]
    parts += [
        "## Codes\n\nOf the quarantine and of `foremend validate`.\n\n"
        f"| code | meaning | what to do |\n|---|---|---|\n{reasons}"
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def section(table: Table) -> Iterator[str]:
    """One table: what a row is, its key and clock, and its columns."""
    yield f"## {table.name}\n"
    meaning = table.meaning[0].upper() + table.meaning[1:]
    yield f"{meaning}. {table.kind.capitalize()}; key {_names(table.key)}; clock `{table.clock}`."
    if table.wide:
        yield "\nEvery channel declared as `[channels.NAME]` is a further column: a number, in its unit and range."
    elif table.extra_revealed_by != "known_at":
        yield f"\nAttributes of your own are known at `{table.extra_revealed_by}`, or as the source `reveals` them."
    yield "\n| column | type | unit | known | meaning |\n|---|---|---|---|---|"
    yield from (row(column) for column in table.columns)


def row(column: Column) -> str:
    """One column as a line of the table."""
    known = {"known_at": "row", column.name: "*itself*"}.get(column.revealed_by, f"`{column.revealed_by}`")
    meaning = column.meaning
    if column.choices:
        meaning += "; one of " + ", ".join(f"`{word}`" for word in column.choices)
    if column.references:
        meaning += f" → [`{column.references}`](#{column.references})"
    name = f"**`{column.name}`**" if column.required else f"`{column.name}`"
    return f"| {name} | {column.type} | {column.unit} | {known} | {_cell(meaning)} |"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(check: bool) -> int:
    """Write the page, or compare it; 1 where it is not current."""
    text = page()
    if not check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/data-dictionary.md is not current. Run: python scripts/data_dictionary.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
