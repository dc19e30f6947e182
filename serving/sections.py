"""Sections of ``foremend.toml`` that only later commands read, checked where a user is still writing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.config import Config

__all__ = ["check_sections", "sections"]


def sections() -> Mapping[str, type[Any]]:
    """The dataclass of every section that belongs to a package above features."""
    from ml.policy import PolicyConfig
    from ml.risk import RiskConfig
    from ml.volume import VolumeSettings

    return {"risk": RiskConfig, "forecast": VolumeSettings, "policy": PolicyConfig}


def check_sections(config: Config) -> None:
    """Read every section, and every group of features, for their errors alone.

    Raises
    ------
    ConfigError
        A key or a value cannot be meant; the message names the nearest right key.
    """
    from features.selection import check_own

    for name, kind in sections().items():
        config.section(name, kind)
    check_own(config.features)
