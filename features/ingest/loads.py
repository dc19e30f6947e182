"""One read of one source: what it declares, what it returned, and whether both can be meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from features.config import Channel, Source
from features.errors import ConfigError, DataError, nearest
from features.ingest.casting import family, instant
from features.tables import BOOKKEEPING, TABLES, Column, Table

__all__ = ["Load", "check_columns", "check_options", "extra_columns", "long_table"]

RESERVED = frozenset({*BOOKKEEPING, "month", "deleted"})
"""Columns that ingest sets; a query must not return them."""


@dataclass(frozen=True)
class Load:
    """One read of one source.

    Attributes
    ----------
    first
        No row of this source was ever committed, or all are being replaced.
    start
        The workspace's clock when the ingest began.
    raw
        DuckDB type by column name of what the source returned.
    stored
        DuckDB type by column name of what the table holds.
    mixed
        Canonical columns in which stamps with and without a zone stand side by side.
    """

    name: str
    source: Source
    first: bool
    start: datetime
    raw: Mapping[str, str]
    stored: Mapping[str, str]
    mixed: frozenset[str] = frozenset()

    @property
    def table(self) -> Table:
        """The table as the source fills it; readings in long form have one row per channel."""
        return long_table() if self.source.form == "long" else TABLES[self.source.table]

    @property
    def where(self) -> str:
        """Its place in ``foremend.toml``, for messages."""
        return f"foremend.toml [sources.{self.name}]"

    @property
    def clocked(self) -> bool:
        """The source says itself when it knew a row."""
        return bool(self._clock_column())

    def given(self, name: str) -> str:
        """The source's spelling of a column, or empty where it returns none; letter case does not matter."""
        return next((n for n in self.raw if n.casefold() == name.casefold()), "") if name else ""

    @property
    def stamped(self) -> bool:
        """The change column holds instants; else it holds whole numbers."""
        column = self.given(self.source.change_column)
        return bool(column) and family(self.raw[column]) not in {"integer", "number"}

    def _clock_column(self) -> str:
        if self.source.known_at:
            return self.given(self.source.known_at)
        return self.given(self.source.change_column) if self.stamped and not self.first else ""

    def own_clock(self) -> str:
        """SQL of the instant at which the source says that it knew the row, or empty."""
        column = self._clock_column()
        return instant("known_at", column, self.raw[column], self.source.zone).sql if column else ""


def long_table() -> Table:
    """``readings`` as they come in long form: one row per asset, instant and channel."""
    wide = TABLES["readings"]
    channel = Column("channel", "text", "name of the channel", required=True)
    value = Column("value", "number", "what it read")
    return Table(wide.name, "fact", wide.meaning, (*wide.key, "channel"), wide.clock, (*wide.columns, channel, value))


def check_options(name: str, source: Source) -> None:
    """Stop where a source declares what its table cannot mean.

    Raises
    ------
    ConfigError
        It names the key.
    """
    table, where = TABLES[source.table], f"foremend.toml [sources.{name}]"
    wrong = {
        "form = 'long'": source.form == "long" and not table.wide and "`form` is for readings",
        "corrections": source.corrections and table.kind != "fact" and "versions are kept, nothing is overwritten",
        "full": source.full and table.kind == "fact" and "facts are never taken back",
    }
    for key, why in wrong.items():
        if why:
            raise ConfigError(f"{key} makes no sense for {table.name}: {why}", where=where, todo="Leave it out")
    for column, revealing in source.reveals.items():
        if revealing != "known_at" and revealing not in {c.name for c in table.columns if c.type == "instant"}:
            instants = [c.name for c in table.columns if c.type == "instant"]
            raise ConfigError(
                f"'{column}' is revealed by '{revealing}', which is no instant of {table.name}",
                where=f"{where} reveals", todo=nearest(revealing, [*instants, "known_at"]),
            )  # fmt: skip


def check_columns(load: Load) -> None:
    """Stop where the query lacks a column.

    Raises
    ------
    DataError
        A required column is missing.
    ConfigError
        The column that `known_at`, `change_column` or a key of `reveals` names is missing.
    """
    filled = {"system"}  # by the source's name, where the query says nothing
    missing = [name for name in load.table.required if name not in filled and not load.given(name)]
    if missing:
        spare = [n for n in load.raw if n.casefold() not in load.table.names]
        raise DataError(
            f"the query returns no column '{missing[0]}'", where=f"{load.where} → {load.source.table}",
            expected=f"{', '.join(n for n in load.table.required if n not in filled)}",
            todo=f"Name it with AS in the query. {nearest(missing[0], spare) if spare else ''}".strip(),
        )  # fmt: skip
    for role in ("known_at", "change_column"):
        name = getattr(load.source, role)
        if name and not load.given(name):
            raise ConfigError(
                f"the query returns no column '{name}'", where=f"{load.where} {role}", todo=nearest(name, load.raw)
            )
    _check_revealed(load)


def _check_revealed(load: Load) -> None:
    """Stop where `reveals` names a column that is not there: the one that was meant would be read as declared."""
    catalogue = TABLES[load.source.table].names
    stored = [*catalogue, *(n for n in load.raw if n.casefold() not in catalogue)]
    for column in load.source.reveals:
        if column not in stored:
            raise ConfigError(
                f"{load.source.table} has no column '{column}', and the query returns none",
                where=f"{load.where} reveals", todo=nearest(column, stored),
            )  # fmt: skip


def extra_columns(load: Load, channels: Mapping[str, Channel]) -> tuple[str, ...]:
    """Columns of the source that the catalogue does not know: channels, or attributes to keep.

    Raises
    ------
    ConfigError
        A channel is not declared, or a name is reserved or cannot be stored.
    """
    clocks = {load.given(load.source.known_at), load.given(load.source.change_column)}
    extras = [n for n in load.raw if n.casefold() not in load.table.names and n not in clocks]
    for name in extras:
        _check_name(load, name)
        if load.table.wide and name not in channels:
            near = nearest(name, channels)
            raise ConfigError(
                f"the channel '{name}' is not declared", where=load.where,
                todo=f"{near if near.startswith('Did') else f'{near}.'} Else declare [channels.{name}]",
            )  # fmt: skip
    if load.source.form == "long":
        return ()
    return tuple(n for n in extras if n in load.stored or family(load.raw[n]) != "null")


def _check_name(load: Load, name: str) -> None:
    folded = name.casefold()
    if folded in RESERVED:
        advice = {
            "known_at": 'Declare known_at = "known_at" for the source, or leave it out',
            "event_time": f"Return it as '{load.table.clock}'",
        }
        raise ConfigError(
            f"the query returns '{name}', which ingest sets itself", where=load.where,
            todo=advice.get(folded, "Give it another name with AS"),
        )  # fmt: skip
    if name.startswith("__") or set(name) & set(" ,;{}()\n\t="):  # the engine's own columns begin so
        raise ConfigError(f"a column cannot be called '{name}'", where=load.where, todo="Name it with AS in the query")
