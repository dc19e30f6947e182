"""``foremend.toml``: the one loader.

The file declares where data come from and how they are meant. It is read into frozen
dataclasses; a key that is misspelt, missing or out of range is an error that names the key,
its place and the nearest right one. ``${VAR}`` stands for a variable of the environment and is
expanded only where the text is used, so that a secret is never kept, logged or fingerprinted.

Sections of the packages above (``[risk]``, ``[forecast]`` ...) are kept as they are and read by
their owner through :meth:`Config.section`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from features.errors import ConfigError, nearest, phrase
from features.tables import TABLES
from features.zones import check_zone

__all__ = [
    "Channel", "Config", "Connection", "FailureRule", "FeatureGroup", "Rule", "Source", "Time",
    "WorkspaceSection", "expand", "load", "parse",
]  # fmt: skip

FORMAT = 1
"""Version of the workspace format that this program writes and the newest that it reads."""

OWNED_ABOVE = ("risk", "forecast", "policy")
"""Sections that belong to ml and serving; see :meth:`Config.section`."""

T = TypeVar("T")
_frozen = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))

CUTOFF, NAME = r"^([01]\d|2[0-3]):[0-5]\d$", r"^[a-z][a-z0-9_]*$"
Cutoff = Annotated[str, Field(pattern=CUTOFF)]
Name = Annotated[str, Field(pattern=NAME)]
LANGUAGES = ("en", "zh-CN")


def _rising(value: object) -> object:
    if isinstance(value, list | tuple):
        numbers = [one for one in value if isinstance(one, int | float) and not isinstance(one, bool)]
        if len(numbers) == len(value) == 2 and numbers[0] < numbers[1]:
            return value
    raise ValueError(f"range = {value!r}: expected two numbers, the smaller first, e.g. [-40, 150]")


def _by_language(value: object) -> object:
    for name in value if isinstance(value, dict) else ():
        if name not in LANGUAGES:
            raise ValueError(f"label = {value!r}: '{name}' is no language. {nearest(str(name), LANGUAGES)}")
    return value


@_frozen
class WorkspaceSection:
    """``[workspace]``: written by ``foremend init``."""

    id: str
    format: int = FORMAT
    name: str = "Foremend workspace"
    language: Literal["en", "zh-CN"] = "en"


@_frozen
class Time:
    """``[time]``: the workspace's clock.

    Attributes
    ----------
    cutoff_utc
        Time of day, UTC, of the daily cut-off; ``16:00`` is midnight in China.
    now
        Freezes the clock, for demos, examples and replays. Must carry a zone.
    zone
        IANA zone of sites that name none.
    """

    cutoff_utc: Cutoff = "16:00"
    now: datetime | None = None
    zone: str = "UTC"


@_frozen
class Channel:
    """``[channels.NAME]``: one sensor channel of ``readings``.

    Attributes
    ----------
    range
        Smallest and largest value that can be meant; readings outside are quarantined values.
    stuck_hours
        Hours after which an unchanging value counts as stuck; 0 never does.
    label
        Name for people, by language (``{"zh-CN": "压力"}``).
    regime
        DuckDB SQL over one row of ``readings`` that says how the equipment was running, in one or more parts
        (``["round(speed)"]``). The channel's features then see its readings among those of the same regime:
        see :mod:`features.regimes`.
    """

    unit: str = ""
    range: Annotated[tuple[float, float] | None, BeforeValidator(_rising)] = None
    stuck_hours: Annotated[float, Field(ge=0)] = 0.0
    label: Annotated[dict[str, str], BeforeValidator(_by_language)] = field(default_factory=dict)
    regime: tuple[str, ...] = ()


@_frozen
class Connection:
    """``[connections.NAME]``: a database, by SQLAlchemy URL. Secrets as ``${VAR}``."""

    url: str


@_frozen
class Source:
    """``[sources.NAME]``: a query that fills one canonical table.

    Attributes
    ----------
    table
        The canonical table it fills.
    query
        DuckDB SQL over files, or the database's own SQL where `connection` is named. Its column
        names are the table's; further columns are kept as attributes.
    connection
        Name of a ``[connections]`` entry.
    system
        The ticket system that issued the ids; the source's name where empty.
    change_column
        Column of the query by which it is read incrementally (an instant or a whole number).
        It is also the row's ``known_at`` where it is an instant.
    zone
        IANA zone of stamps that carry none. Without it such stamps are an error.
    delay_hours
        How long after it happened a row can be known, on a first load.
    known_at
        Column of the query that says when each row became known, where the source knows it.
    form
        ``long`` for readings that come one channel per row (columns ``channel``, ``value``).
    corrections
        The source may correct facts: the months concerned are rewritten.
    full
        Every read is complete: rows gone at the source become tombstones.
    reveals
        Overrides, column → instant that reveals it (or ``known_at``).
    """

    table: str
    query: str
    connection: str = ""
    system: str = ""
    change_column: str = ""
    zone: str = ""
    delay_hours: Annotated[float, Field(ge=0)] = 0.0
    known_at: str = ""
    form: Literal["wide", "long"] = "wide"
    corrections: bool = False
    full: bool = False
    reveals: dict[str, str] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Hash of everything that decides what the rows mean; secrets and paths stay out."""
        meaning = {
            name: getattr(self, name)
            for name in ("table", "query", "connection", "system", "zone", "delay_hours", "known_at", "form")
        }
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


@_frozen
class FailureRule:
    """``[[failures]]``: one version of what counts as a failure; the highest version rules.

    Attributes
    ----------
    query
        DuckDB SQL over the current canonical tables. Returns ``asset_id``, ``event_time``, and
        optionally ``failure_mode``, ``known_at`` (features wait for it) and ``failure_id``.
    repeat_days
        A failure of the same asset and mode within so many days is the same failure.
    """

    version: Annotated[int, Field(ge=1)]
    query: str
    note: str = ""
    repeat_days: Annotated[float, Field(ge=0)] = 0.0

    def fingerprint(self) -> str:
        """Hash of everything that decides which failures it finds; the number and the note do not."""
        return hashlib.sha256(json.dumps([self.query, self.repeat_days]).encode()).hexdigest()[:16]


@_frozen
class Rule:
    """``[[rules]]``: a check of the company's own. `where` is true for a *bad* row."""

    table: str
    code: Name
    where: str
    advice: str
    severity: Literal["error", "warning"] = "error"


@_frozen
class FeatureGroup:
    """``[features.NAME]``: a group of the user's own: `entries` of the spec, or `sql`.

    `entries` cannot leak. `sql` is DuckDB SQL over all rows; it returns ``asset_id``, ``as_of`` and
    the features, and keeps ``known_at < as_of`` itself; `foremend audit leaks` finds what does not.
    """

    entries: tuple[dict[str, Any], ...] = ()
    sql: str = ""


@_frozen
class Config:
    """The whole file."""

    workspace: WorkspaceSection
    time: Time = field(default_factory=Time)
    channels: dict[Name, Channel] = field(default_factory=dict)
    connections: dict[str, Connection] = field(default_factory=dict)
    sources: dict[Name, Source] = field(default_factory=dict)
    failures: tuple[FailureRule, ...] = ()
    rules: tuple[Rule, ...] = ()
    features: dict[Name, FeatureGroup] = field(default_factory=dict)
    above: dict[str, dict[str, Any]] = field(default_factory=dict)

    def section(self, name: str, kind: type[T]) -> T:
        """Read a section that belongs to a package above into its own dataclass.

        Raises
        ------
        ConfigError
            A key is unknown, missing or out of range.
        """
        raw = self.above.get(name, {})
        known = [f.name for f in fields(cast("Any", kind))]
        for key in raw:  # a plain dataclass does not forbid what it does not know
            if key not in known:
                raise ConfigError(f"unknown key '{key}'", where=f"foremend.toml [{name}]", todo=nearest(key, known))
        return _validate(kind, raw, prefix=(name,))

    @property
    def failure_rule(self) -> FailureRule:
        """The failure rule in force: the one with the highest version.

        Raises
        ------
        ConfigError
            None is declared.
        """
        if not self.failures:
            raise ConfigError(
                "no failure rule is declared",
                where="foremend.toml [[failures]]",
                expected="at least one entry with `version` and `query`",
                todo='Say which records are failures, e.g. query = "SELECT asset_id, performed_at AS event_time, '
                "component AS failure_mode FROM services WHERE reason = 'corrective'\"",
            )
        return max(self.failures, key=lambda rule: rule.version)


def load(path: Path) -> Config:
    """Read and check ``foremend.toml``.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or holds something that cannot be meant.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            "no such file",
            where=str(path),
            todo="Make a workspace with `foremend init DIR`, or name one with --workspace",
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 ({error.reason} at byte {error.start})", where=str(path)) from error
    return parse(text, where=str(path))


def parse(text: str, where: str = "foremend.toml") -> Config:
    """Check the text of a ``foremend.toml``; see :func:`load`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", where=where) from error
    above = {name: raw.pop(name) for name in OWNED_ABOVE if name in raw}
    _check_format(raw.get("workspace"), where)
    config = _validate(Config, {**raw, "above": above}, prefix=(), where=where)
    _check_references(config, where)
    return config


def _check_format(head: object, where: str) -> None:
    """Stop before anything else is judged: a file of another format may hold what this program cannot know."""
    found = head.get("format", FORMAT) if isinstance(head, dict) else FORMAT
    if type(found) is int and found > FORMAT:  # a bool is an int, and 2.0 or "2" is what no version ever wrote
        raise ConfigError(
            f"the workspace has format {found}", where=where, expected=f"at most {FORMAT}", todo="Update foremend"
        )
    if type(found) is not int or found != FORMAT:
        raise ConfigError(
            f"format = {found!r} is no format of a workspace", where=f"{where} [workspace]",
            expected=f"the whole number {FORMAT}, as `foremend init` wrote it",
            todo="Write it so; or update foremend if a newer version made the file",
        )  # fmt: skip


def expand(text: str, where: str) -> str:
    """Replace every ``${VAR}`` by the environment's value.

    Raises
    ------
    ConfigError
        A variable is not set; the message names it and `where`, never a value.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise ConfigError(f"the variable {name} is not set", where=where, todo=f"Set it: export {name}=…")
        return os.environ[name]

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value, text)


def _check_references(config: Config, where: str) -> None:
    check_zone(config.time.zone, f"{where} [time] zone")
    for name, source in config.sources.items():
        place = f"{where} [sources.{name}]"
        if source.zone:
            check_zone(source.zone, f"{place} zone")
        _known(source.table, TABLES, f"{place} table")
        if source.connection:
            _known(source.connection, config.connections, f"{place} connection")
    for rule in config.rules:
        _known(rule.table, TABLES, f"{where} [[rules]] {rule.code}: table")
    versions = [rule.version for rule in config.failures]
    if len(set(versions)) != len(versions):
        raise ConfigError(
            f"versions {versions} repeat", where=f"{where} [[failures]]", expected="one entry per version"
        )
    if config.time.now is not None and config.time.now.tzinfo is None:
        raise ConfigError(
            f"now = {config.time.now} has no zone",
            where=f"{where} [time]",
            expected="an instant such as 2024-06-30T16:00:00Z",
        )


def _known(name: str, known: Mapping[str, object], where: str) -> None:
    if name not in known:
        raise ConfigError(f"'{name}' is not known", where=where, todo=nearest(name, known))


def _validate(kind: type[T], raw: Mapping[str, Any], *, prefix: tuple[str, ...], where: str = "foremend.toml") -> T:
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        raise _translate(error, kind, prefix, where) from None


def _translate(error: ValidationError, kind: Any, prefix: tuple[str, ...], where: str) -> ConfigError:
    """Turn pydantic's first complaint into our sentence; the rest are counted."""
    complaints = error.errors(include_url=False)
    first = next((c for c in complaints if c["type"] in _UNKNOWN_KEY), complaints[0])
    ours = {"above", "[key]"}  # words of the loader, not of the file
    steps = [part for part in (*prefix, *first["loc"]) if part not in ours]
    path = [str(part) for part in steps]
    more = f" (and {len(complaints) - 1} more)" if len(complaints) > 1 else ""
    place = f"{where} {_named(steps[:-1])}" if len(path) > 1 else where
    if first["type"] in _UNKNOWN_KEY:
        known = _keys_at(kind, first["loc"][:-1])
        known = [name for name in known if name != "above"] + (list(OWNED_ABOVE) if len(path) == 1 else [])
        return ConfigError(f"unknown key '{path[-1]}'{more}", where=place, todo=nearest(path[-1], known))
    if first["type"] in {"missing", "missing_argument"}:
        given = sorted(name for name in first["input"] if name != "above") if isinstance(first["input"], dict) else []
        return ConfigError(
            f"the key '{path[-1]}' is missing{more}",
            where=place,
            todo=f"Write it beside {', '.join(given) or 'the others'}",
        )
    if first["type"] == "value_error":  # a section's own check names its keys itself
        found = first["msg"].removeprefix("Value error, ")
        whole = f"{where} {_named(steps)}" if path else where
        return ConfigError(f"{found}{more}", where=place if path and found.startswith(f"{path[-1]} = ") else whole)
    said = _SAID.get(str(first.get("ctx", {}).get("pattern", first["type"])), phrase(first["msg"]))
    if isinstance(steps[-1], int):
        return ConfigError(f"{first['input']!r}: {said}{more}", where=f"{where} {_named(steps)}")
    name = f"the name {path[-1]!r}" if first["loc"][-1] == "[key]" else f"{path[-1]} = {first['input']!r}"
    return ConfigError(f"{name}: {said}{more}", where=place)


def _named(steps: Sequence[str | int]) -> str:
    """A place as the file writes it.

    >>> _named(["channels", "volt"]), _named(["failures", 0]), _named(["features", "own", "entries", 1, "of"])
    ('[channels.volt]', '[[failures]] number 1', '[features.own] entries number 2 of')
    """
    at = next((n for n, step in enumerate(steps) if isinstance(step, int)), len(steps))
    before, behind = [str(step) for step in steps[:at]], [str(step) for step in steps[at + 1 :]]
    if at == len(steps):
        return f"[{'.'.join(before)}]"
    listed = f"[[{before[0]}]]" if at == 1 else f"[{'.'.join(before[:-1])}] {before[-1]}"
    return " ".join([f"{listed} number {int(steps[at]) + 1}", *behind])


def _keys_at(kind: Any, loc: tuple[int | str, ...]) -> list[str]:
    """Field names of the dataclass that stands at `loc` below `kind`; the keys of dictionaries are passed over."""
    for part in loc:
        hints = {f.name: str(f.type) for f in fields(kind)}
        if part in hints:
            kind = next((c for c in _SECTIONS if re.search(rf"\b{c.__name__}\b", hints[str(part)])), kind)
    return [f.name for f in fields(kind)]


_SAID: Mapping[str, str] = {
    CUTOFF: "expected a time of day, UTC, between 00:00 and 23:59, e.g. '16:00'",
    NAME: "expected small letters, digits and _, a letter first",
    "tuple_type": "expected a list, in square brackets",
    "list_type": "expected a list, in square brackets",
    "dict_type": "expected a section, or { key = value }",
    "dataclass_type": "expected a section, or { key = value }",
}
"""What is said where a library's sentence would not be understood, by pattern or type of the complaint."""

_UNKNOWN_KEY = frozenset({"extra_forbidden", "unexpected_keyword_argument"})

_SECTIONS: tuple[type[Any], ...] = (
    WorkspaceSection,
    Time,
    Channel,
    Connection,
    Source,
    FailureRule,
    Rule,
    FeatureGroup,
)
