"""Names of time zones: those of the IANA list, and the nearest to one that is not."""

from __future__ import annotations

import difflib
import zoneinfo

from features.errors import ConfigError

__all__ = ["check_zone", "nearest_zone"]


def check_zone(name: str, where: str) -> None:
    """Stop where `name` is no zone.

    Raises
    ------
    ConfigError
        It names the nearest that is one.
    """
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"'{name}' is no time zone", where=where, expected="a name of the IANA list", todo=nearest_zone(name)
        ) from None


def nearest_zone(name: str) -> str:
    """Suggest the zone closest to `name`; letter case, blanks and a lost continent do not matter."""
    known = {zone.casefold(): zone for zone in sorted(zoneinfo.available_timezones())}
    cities = {zone.rsplit("/", maxsplit=1)[-1]: zone for zone in known}
    wanted = name.strip().casefold().replace(" ", "_")
    close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.7)
    close = close or [cities[city] for city in difflib.get_close_matches(wanted, cities, n=1, cutoff=0.7)]
    return f"Did you mean '{known[close[0]]}'?" if close else "Use a name such as Asia/Shanghai"
