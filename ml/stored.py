"""The stored form of a risk model: ``model.json`` and one LightGBM text per interval.

Text and numbers only: reading runs no code. Whether the files are the ones that were written is
the registry's business (a SHA-256 manifest, checked before a byte is parsed).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from features.errors import ModelError
from ml.baseline import Weibull
from ml.hazard import Hazard
from ml.risk import RiskConfig, RiskModel
from ml.stacking import Layout

__all__ = ["FORMAT", "read", "write"]

FORMAT = 1
"""Version of the stored form; another one is refused."""


def write(model: RiskModel) -> dict[str, bytes]:
    """The model as files by name: ``model.json`` and the trees. The same model gives the same bytes."""
    content = {
        "format": FORMAT,
        "config": TypeAdapter(RiskConfig).dump_python(model.config, mode="json"),
        "layout": asdict(model.layout),
        "hazards": [
            {"trees": bool(h.text), "rate": h.rate, "slope": h.slope, "intercept": h.intercept} for h in model.hazards
        ],
        "baseline": [asdict(weibull) for weibull in model.baseline],
        "feature_set": model.feature_set,
        "trained_until": model.trained_until,
        "rebuilt": _stamps(model.rebuilt),
        "definitions": None if model.definitions is None else dict(model.definitions),
        "failure_rule": model.failure_rule,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    trees = {f"hazard_{k}.txt": h.text.encode() for k, h in enumerate(model.hazards) if h.text}
    return {"model.json": text.encode(), **trees}


def read(files: Mapping[str, bytes]) -> RiskModel:
    """Read what :func:`write` wrote. Check the files' hashes first: see :mod:`ml.registry`.

    Raises
    ------
    ModelError
        A file is missing, is not what it should be, or has another format.
    """
    try:
        content = json.loads(files["model.json"])
        form = content["format"]
        model = _model(content, files) if form == FORMAT else None
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise ModelError(
            f"the stored form cannot be read ({type(error).__name__}: {str(error)[:120]})",
            where="risk model",
            todo="Train again with `foremend train risk`",
        ) from error
    if model is None:
        raise ModelError(
            f"stored form {form}",
            where="risk model",
            expected=f"form {FORMAT}",
            todo="Update foremend, or train again with `foremend train risk`",
        )
    return model


def _model(content: Mapping[str, Any], files: Mapping[str, bytes]) -> RiskModel:
    layout = content["layout"]
    model = RiskModel(
        config=TypeAdapter(RiskConfig).validate_python(content["config"]),
        layout=Layout(
            numbers=tuple(layout["numbers"]),
            categories={name: tuple(words) for name, words in layout["categories"].items()},
            own={name: dict(by_mode) for name, by_mode in layout["own"].items()},
            modes=tuple(layout["modes"]),
        ),
        hazards=tuple(
            Hazard(files[f"hazard_{k}.txt"].decode() if h["trees"] else "", h["rate"], h["slope"], h["intercept"])
            for k, h in enumerate(content["hazards"])
        ),
        baseline=tuple(Weibull(**weibull) for weibull in content["baseline"]),
        feature_set=content["feature_set"],
        trained_until=content["trained_until"],
        # Models stored before these were kept know nothing of them, which is not the same as none.
        rebuilt=_instants(content.get("rebuilt")),
        definitions=None if content.get("definitions") is None else dict(content["definitions"]),
        failure_rule=content.get("failure_rule", ""),
    )
    _check(model)
    return model


def _stamps(rebuilt: Mapping[str, datetime] | None) -> dict[str, str] | None:
    return None if rebuilt is None else {name: at.isoformat() for name, at in sorted(rebuilt.items())}


def _instants(stamps: Mapping[str, str] | None) -> dict[str, datetime] | None:
    return None if stamps is None else {name: datetime.fromisoformat(at) for name, at in stamps.items()}


def _check(model: RiskModel) -> None:
    """Refuse parts that do not fit each other."""
    if len(model.baseline) != len(model.layout.modes):
        raise ValueError(f"{len(model.baseline)} baselines for {len(model.layout.modes)} failure modes")
    if len(model.hazards) not in {0, len(model.config.edges_days) - 1}:
        raise ValueError(f"{len(model.hazards)} hazards for {len(model.config.edges_days) - 1} intervals")
    for hazard in model.hazards:
        if hazard.text and _columns(hazard) != len(model.layout.columns):
            raise ValueError(f"trees over {_columns(hazard)} columns, a layout of {len(model.layout.columns)}")


def _columns(hazard: Hazard) -> int:
    import lightgbm

    try:
        return int(hazard.booster.num_feature())
    except lightgbm.basic.LightGBMError as error:
        raise ValueError(f"not a LightGBM model: {error}") from error
