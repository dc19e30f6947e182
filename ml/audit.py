"""Leaks: has a feature seen what was not known yet? Three audits, none of which trusts the engine.

*rebuild*
    At some cut-offs every source is cut to what was known before (:mod:`features.rewind`), and the
    features are built again. A value that differs has seen the future, whoever wrote the feature.
*presence*
    A value that is there or missing may tell the outcome by itself: data collected because an asset
    failed. No rebuild sees that; the separation of failed from other rows by presence alone does.
*split*
    No label of a slice ends after the first cut-off of the next.

An honest feature may rank failures as well as a leak does (.977 against .980 on azure-pdm), so a
feature's own accuracy accuses nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.assets import rebuild
from features.errors import ModelError
from features.labels import Labels
from features.workspace import Snapshot
from ml.material import Material
from ml.protocol import SLICES

__all__ = ["Audit", "Leak", "audit", "changed", "presence", "split"]

Say = Callable[[str], None]
Kind = Literal["rebuild", "presence", "split"]

INSTANTS = 3
"""Cut-offs at which all features are built again."""
INSTANTS_OF_SQL = 16
"""Cut-offs at which the groups in SQL are: only they can leak by what somebody wrote."""
TOLERANCE = 1e-6
"""Difference, relative to 1 + the value, that sums in another order may make."""
TELLING = 0.8
"""Area under the ROC curve of presence alone from which on it accuses, and (1 less) below which."""
FEWEST = 20
"""Failed rows without which presence is not judged."""


@dataclass(frozen=True)
class Leak:
    """One thing that cannot be.

    Attributes
    ----------
    feature
        Its name; empty where the split is at fault.
    rows, of
        Rows concerned, of how many looked at.
    asset_id, as_of
        The first of them.
    sentence
        What was found there, for people.
    """

    kind: Kind
    feature: str
    rows: int
    of: int
    asset_id: str
    as_of: datetime | None
    sentence: str


@dataclass(frozen=True)
class Audit:
    """What was looked at, and what was found.

    Attributes
    ----------
    values
        Values that were built again and compared.
    instants
        Cut-offs at which all features were; groups in SQL at more.
    """

    values: int
    instants: int
    features: int
    leaks: tuple[Leak, ...]

    @property
    def passed(self) -> bool:
        """No leak was found."""
        return not self.leaks

    def require(self) -> None:
        """Stop where there is a leak.

        Raises
        ------
        ModelError
            It names the first feature and the row.
        """
        if self.leaks:
            first = self.leaks[0]
            more = f" (and {len(self.leaks) - 1} more)" if len(self.leaks) > 1 else ""
            raise ModelError(
                f"{first.sentence}{more}", where="leak audit", expected="features of what was known before as_of only",
                todo="Mend the group in foremend.toml, or declare when its columns become known; "
                "`foremend audit leaks` lists all",
            )  # fmt: skip


def audit(snapshot: Snapshot, material: Material, say: Say = lambda _: None) -> Audit:
    """Audit the material of a training."""
    taught = list(material.config.groups) or None
    own = [
        name for name, group in snapshot.workspace.config.features.items() if group.sql and name in (taught or [name])
    ]
    cutoffs = sorted(material.grid["as_of"].unique())
    rounds: list[tuple[list[str] | None, list[datetime]]] = [(taught, _spread(cutoffs, INSTANTS))]
    rounds += [(own, _spread(cutoffs, INSTANTS_OF_SQL))] if own else []
    found: dict[str, Leak] = {}
    values = 0
    for groups, instants in rounds:
        what = "groups in SQL" if groups == own else "all features"
        say(f"Auditing for leaks: {what} again at {len(instants)} cut-offs")
        for as_of, table in zip(instants, rebuild(snapshot, instants, groups=groups), strict=True):
            built = material.grid[material.grid["as_of"] == as_of]
            again = table.to_pandas()
            values += len(built) * (len(again.columns) - 2)
            for leak in changed(built, again):
                found.setdefault(leak.feature, leak)
    names, horizon = _written(material, own), material.config.decision_days
    told = presence(material.rows["train"], material.labels["train"], names, horizon)
    return Audit(values, INSTANTS, material.grid.shape[1] - 2, (*found.values(), *told, *split(material)))


def _written(material: Material, groups: Sequence[str]) -> list[str]:
    """Features of groups in SQL, and attributes of a company's own: what somebody else decides to deliver."""
    return [
        f.name for f in material.feature_set.features
        if f.name in material.grid.columns and (f.group in groups or (f.source == "assets" and f.window_days is None))
    ]  # fmt: skip


def changed(built: pd.DataFrame, again: pd.DataFrame) -> Iterator[Leak]:
    """Features of one cut-off whose values differ from those built of what was known before it.

    Parameters
    ----------
    built, again
        ``asset_id``, ``as_of`` and features. Only the rows of `built` count, and the features of `again`.
    """
    known = built[["asset_id"]].merge(again, on="asset_id", how="left")
    names = [c for c in again.columns if c not in {"asset_id", "as_of"}]
    numbers = [c for c in names if all(pd.api.types.is_numeric_dtype(frame[c]) for frame in (built, known))]
    unlike = dict(zip(numbers, _unlike(_matrix(built, numbers), _matrix(known, numbers)).T, strict=True))
    for name in names:
        ours, theirs = built[name].reset_index(drop=True), known[name]
        wrong = unlike[name] if name in unlike else ~((ours == theirs) | (ours.isna() & theirs.isna())).to_numpy()
        if wrong.any():
            place = int(wrong.argmax())
            asset, as_of = str(built["asset_id"].iloc[place]), built["as_of"].iloc[place]
            sentence = (
                f"{name} of {asset} at {as_of:%Y-%m-%d %H:%M} UTC is {_said(ours[place])}; "
                f"from what was known before it is {_said(theirs[place])}"
            )
            yield Leak("rebuild", name, int(wrong.sum()), len(built), asset, as_of, sentence)


def _matrix(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    return frame[list(names)].to_numpy(dtype=float, na_value=np.nan)


def _unlike(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where two numbers differ by more than another order of summing may; infinite ones are equal or not."""
    with np.errstate(invalid="ignore"):
        near = np.isfinite(ours) & (np.abs(ours - theirs) <= TOLERANCE * (1 + np.abs(ours)))
    return np.asarray(~(near | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))))


def presence(rows: pd.DataFrame, labels: Labels, features: Iterable[str], horizon: float) -> Iterator[Leak]:
    """Features whose being there, or missing, tells the failed rows from the others.

    Parameters
    ----------
    features
        Those to judge. Of the engine's own what is missing is known, and may honestly tell: days since
        the last failure are missing where there was none.
    horizon
        One of the labels'.
    """
    of_horizon = labels.horizons_days.index(horizon)
    seen = labels.known[:, of_horizon]
    outcome = labels.failed[seen, of_horizon]
    if min(outcome.sum(), (~outcome).sum()) < FEWEST:
        return
    for name in features:
        there = rows[name].notna().to_numpy()[seen]
        auc = 0.5 + (there[outcome].mean() - there[~outcome].mean()) / 2  # of a yes-or-no ranking
        if auc >= TELLING or auc <= 1 - TELLING:
            telling = (there == (auc > 0.5)) & outcome
            place = int(np.flatnonzero(seen)[telling][0])
            asset, as_of = str(rows["asset_id"].iloc[place]), rows["as_of"].iloc[place]
            sentence = (
                f"{name} is there for {there[outcome].mean():.0%} of the rows that fail within {horizon:g} days and for "
                f"{there[~outcome].mean():.0%} of the others: its presence alone ranks them "
                f"(ROC {max(auc, 1 - auc):.2f}), e.g. {asset} at {as_of:%Y-%m-%d %H:%M} UTC"
            )
            yield Leak("presence", name, int(telling.sum()), int(outcome.sum()), asset, as_of, sentence)


def split(material: Material) -> Iterator[Leak]:
    """Slices with a label that ends after the first cut-off of the next; by asset, slices that share an asset."""
    if material.split.owners:
        yield from _shared(material)
        return
    horizons = [pd.Timedelta(days=h) for h in material.config.horizons_days]
    for name, following in pairwise(SLICES):
        rows, labels = material.rows[name], material.labels[name]
        first = material.rows[following]["as_of"].min()
        for place, horizon in enumerate(horizons):
            late = labels.known[:, place] & (rows["as_of"] + horizon > first).to_numpy()
            if late.any():
                at = int(late.argmax())
                asset, as_of = str(rows["asset_id"].iloc[at]), rows["as_of"].iloc[at]
                sentence = f"a label of {name}, {asset} at {as_of:%Y-%m-%d %H:%M} UTC + {horizon.days} days, ends after {following} begins"
                yield Leak("split", "", int(late.sum()), len(rows), asset, as_of, sentence)


def _shared(material: Material) -> Iterator[Leak]:
    for one, other in combinations(SLICES, 2):
        both = set(material.rows[one]["asset_id"]) & set(material.rows[other]["asset_id"])
        if both:
            sentence = f"{len(both)} assets are in {one} and in {other}, {min(both)} among them"
            yield Leak("split", "", len(both), material.grid["asset_id"].nunique(), min(both), None, sentence)


def _spread(cutoffs: Sequence[datetime], count: int) -> list[datetime]:
    """So many of the cut-offs, spread evenly, the last among them."""
    places = np.unique(np.linspace(0, len(cutoffs) - 1, min(count, len(cutoffs)) + 1).round().astype(int)[1:])
    return [pd.Timestamp(cutoffs[place]).to_pydatetime() for place in places]


def _said(value: object) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN, whatever its type
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else f"'{value}'"
