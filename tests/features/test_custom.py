"""Groups of a company's own, as ``docs/features.md`` shows them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.assets import build_point
from features.custom import _KINDS
from features.workspace import Workspace

Made = Callable[..., Workspace]
PAGE = (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8")
AS_OF = datetime(2024, 3, 1, 16, tzinfo=UTC)


def ago(days: float) -> datetime:
    return AS_OF - timedelta(days=days)


def test_the_documented_groups_can_be_built_and_see_what_was_known(committed: Made) -> None:
    assets = [
        {"asset_id": f"M{n}", "supplier": "S", "installed_at": ago(90), "warranty_until_at": ago(-5)} for n in (1, 2)
    ]
    rows: dict[str, list[dict[str, Any]]] = {
        "assets": assets,
        "readings": [{"asset_id": "M1", "event_time": ago(n / 2), "pressure": float(n)} for n in range(60)],
        "alarms": [{"asset_id": "M1", "event_time": ago(n), "code": "e", "severity": "high"} for n in (0, 1, 9)],
        "services": [{"service_id": "s", "asset_id": "M1", "performed_at": ago(20), "action": "replaced"}],
        "work_logs": [{"engineer_id": "e", "asset_id": "M1", "event_time": ago(n), "activity": "work"} for n in (0, 1)],
    }
    groups = "\n".join(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
    snapshot = committed("[channels.pressure]\n" + groups, **rows).pin()
    first, second = build_point(snapshot, AS_OF, groups=["hot", "visits"]).to_pylist()
    told = {
        "hot_count_high_7d": 1.0, "hot_count_high_28d": 2.0, "hot_days_since_last": 20.0, "hot_supplier": "S",
        "hot_warranty_until_at_days": -5.0, "visits_number": 1.0, "visits_activity": "work",
    }  # fmt: skip
    assert first | told == first
    assert first["hot_pressure_slope_3d"] == pytest.approx(-2)
    assert second["visits_number"] is None


@pytest.mark.parametrize("kind", _KINDS)
def test_the_page_names_every_key_of_a_kind_and_its_default(kind: str) -> None:
    shown = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", PAGE, re.MULTILINE))
    assert shown.keys() == _KINDS.keys()
    form = {f.name: f for f in fields(_KINDS[kind][0])}
    assert set(re.findall(r"`(\w+)`", shown[kind])) == set(form)
    needed = {name for name, f in form.items() if f.default is MISSING and f.default_factory is MISSING}
    assert set(re.findall(r"\*\*`(\w+)`\*\*", shown[kind])) == needed
    for name, default in re.findall(r"`(\w+)` = (\[1\]|\d+|\"\w+\")", shown[kind]):
        assert str(form[name].default).rstrip(",)").lstrip("(") == default.strip('"[]')
