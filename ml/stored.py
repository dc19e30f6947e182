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
from ml.hazard import Blend, Constant, Hazard, Scorer
from ml.logistic import Linear
from ml.prior import Prior
from ml.remaining import Rul
from ml.risk import RiskConfig, RiskModel
from ml.stacking import Layout
from ml.telling import FOLDS, TOGETHER, Telling
from ml.trees import Trees

__all__ = ["FORMAT", "read", "write"]

FORMAT = 4
"""Version of the stored form; another one is refused."""


def write(model: RiskModel) -> dict[str, bytes]:
    """The model as files by name: ``model.json`` and the trees. The same model gives the same bytes."""
    content = {
        "format": FORMAT,
        "config": TypeAdapter(RiskConfig).dump_python(model.config, mode="json"),
        "layout": asdict(model.layout),
        "learner": model.learner,
        "hazards": [{"scorer": _scorer(h.scorer), "slope": h.slope, "intercept": h.intercept} for h in model.hazards],
        "baseline": [asdict(weibull) for weibull in model.baseline],
        "feature_set": model.feature_set,
        "trained_until": model.trained_until,
        "rebuilt": _stamps(model.rebuilt),
        "definitions": None if model.definitions is None else dict(model.definitions),
        "failure_rule": model.failure_rule,
        "base_rates": dict(model.base_rates),
        "rul": asdict(model.rul),
        "prior": None if model.prior is None else asdict(model.prior),
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    found = {_file(k): _trees(h.scorer) for k, h in enumerate(model.hazards)}
    return {"model.json": text.encode(), **{name: trees.text.encode() for name, trees in found.items() if trees}}


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
            telling=TypeAdapter(Telling).validate_python(layout["telling"]),
        ),
        learner=content["learner"],
        hazards=tuple(_hazard(k, stored, files) for k, stored in enumerate(content["hazards"])),
        baseline=tuple(Weibull(**weibull) for weibull in content["baseline"]),
        feature_set=content["feature_set"],
        trained_until=content["trained_until"],
        rebuilt=_instants(content["rebuilt"]),
        definitions=None if content["definitions"] is None else dict(content["definitions"]),
        failure_rule=content["failure_rule"],
        rul=TypeAdapter(Rul).validate_python(content["rul"]),
        base_rates={str(days): float(rate) for days, rate in content["base_rates"].items()},
        prior=TypeAdapter(Prior | None).validate_python(content.get("prior")),
    )
    _check(model)
    return model


def _trees(scorer: Scorer) -> Trees | None:
    """The trees of a scorer, which have a file of their own."""
    return scorer if isinstance(scorer, Trees) else scorer.trees if isinstance(scorer, Blend) else None


def _scorer(scorer: Scorer) -> dict[str, Any]:
    """A scorer as plain data, but for its trees."""
    if isinstance(scorer, Constant):
        return {"kind": "constant", "log_odds": scorer.log_odds}
    line = scorer if isinstance(scorer, Linear) else scorer.line if isinstance(scorer, Blend) else None
    kinds: dict[type, str] = {Trees: "trees", Linear: "line", Blend: "blend"}
    return {"kind": kinds[type(scorer)], "line": None if line is None else asdict(line)}


def _hazard(place: int, stored: Mapping[str, Any], files: Mapping[str, bytes]) -> Hazard:
    parts = stored["scorer"]
    scorer: Scorer
    if parts["kind"] == "constant":
        scorer = Constant(float(parts["log_odds"]))
    else:
        line = None if parts["line"] is None else TypeAdapter(Linear).validate_python(parts["line"])
        trees = None if parts["kind"] == "line" else Trees(files[_file(place)].decode())
        scorer = _either(line, trees)
    return Hazard(scorer, float(stored["slope"]), float(stored["intercept"]))


def _either(line: Linear | None, trees: Trees | None) -> Scorer:
    if line is not None and trees is not None:
        return Blend(line, trees)
    if line is None and trees is None:
        raise ValueError("a hazard of nothing")
    return line or trees  # type: ignore[return-value]  # one of them is there


def _file(place: int) -> str:
    return f"hazard_{place}.txt"


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
    told = model.layout.telling
    named = {name for by_mode in (*told.own.values(), *model.layout.own.values()) for name in by_mode.values()}
    if lost := {*told.read, *named} - set(model.layout.numbers):
        raise ValueError(f"features that the layout does not hold, {min(lost)} among them")
    held = {name: set(by_mode) for name, by_mode in told.times.items()}
    if told.lines:
        held[TOGETHER] = set(told.lines)
    if held != {name: set(by_mode) for name, by_mode in told.own.items()}:
        raise ValueError("spreads or lines of other modes than tell")
    for line in (line for lines in told.lines.values() for line in lines):
        wide = {len(line.means), len(line.spreads), len(line.slopes)}
        if wide != {len(told.read)} or any(not 0 <= column < len(told.read) for column, _, _ in line.flags):
            raise ValueError(f"a line that does not fit its {len(told.read)} changes")
    if any(len(lines) != FOLDS for lines in told.lines.values()):
        raise ValueError(f"modes whose lines are not {FOLDS}")
    for hazard in model.hazards:
        if other := _columns(hazard.scorer) - {len(model.layout.columns)}:
            raise ValueError(f"a hazard over {min(other)} columns, a layout of {len(model.layout.columns)}")


def _columns(scorer: Scorer) -> set[int]:
    """How many columns the parts of a scorer read; none where it reads none."""
    import lightgbm

    line = scorer if isinstance(scorer, Linear) else scorer.line if isinstance(scorer, Blend) else None
    found = set() if line is None else {len(line.means)}
    try:
        trees = _trees(scorer)
        return found if trees is None else found | {int(trees.booster.num_feature())}
    except lightgbm.basic.LightGBMError as error:
        raise ValueError(f"not a LightGBM model: {error}") from error
