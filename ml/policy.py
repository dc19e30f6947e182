"""Which assets get a preventive visit: pure, and the same for tonight, a backtest and a what-if.

A visit is worth what it is expected to save, less what it costs::

    value = F · (p_short + w · (p_next − p_short)) − V

F is the cost of a failure and V that of a visit. `p_short` is the probability of a failure within
the shortest horizon: a failure that only a visit tonight can prevent. What comes later, up to the
next horizon, could be prevented by a later visit as well, and counts with the weight w only. The K
most valuable assets with a value above zero are visited; K is what the crews can do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from features.config import Config

__all__ = ["PROPOSED", "WHY_NOT", "Past", "PolicyConfig", "Replay", "placeholders", "propose", "replay", "walk"]

Numbers: TypeAlias = "npt.NDArray[np.float64]"

PROPOSED = "proposed"

WHY_NOT: Mapping[str, str] = MappingProxyType(
    {
        "open_episode": "a visit is proposed or under way already",
        "cooling_down": "work on it ended a short while ago",
        "later_night": "a later night has been scored: nothing is proposed for an earlier one",
        "no_saving": "a visit would cost more than it is expected to save",
        "no_capacity": "the crews are full with more valuable visits",
    }
)
"""Every reason for which an asset is passed over; the first that holds is the one given."""

_Cost = Annotated[float, Field(gt=0)]
_Days = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PolicyConfig:
    """``[policy]`` of ``foremend.toml``.

    Attributes
    ----------
    failure_cost, visit_cost
        F and V, in one currency; by default in visits.
    later_weight
        w in [0, 1]: what a failure counts that a later visit could still prevent. Fewer crews want
        more of it; :func:`replay` says what a value would have cost.
    capacity_per_run
        K: visits that the crews can take on from one cut-off.
    protects_days
        For how long a visit is taken to prevent failures: an assumption, named with every saving.
    cool_down_days
        How long an asset is left alone after its episode ended.
    expires_days
        After how long a proposal that nobody took is void.
    """

    failure_cost: _Cost = 10.0
    visit_cost: _Cost = 1.0
    later_weight: Annotated[float, Field(ge=0, le=1)] = 0.2
    capacity_per_run: Annotated[int, Field(ge=0)] = 5
    protects_days: _Days = 7.0
    cool_down_days: _Days = 7.0
    expires_days: Annotated[float, Field(gt=0)] = 7.0


def placeholders(config: Config) -> Iterator[str]:
    """A note where nobody has said what failures and visits cost."""
    if "policy" not in config.above:
        costs = PolicyConfig()
        yield (
            f"[policy] is not set in foremend.toml: a failure's cost of {costs.failure_cost:g} and a visit's of "
            f"{costs.visit_cost:g} are placeholders, and so are the savings. Say your own costs there"
        )


def propose(
    probabilities: pd.DataFrame,
    policy: PolicyConfig,
    *,
    horizons: tuple[float, float] = (1, 7),
    held: Mapping[str, str] = MappingProxyType({}),
    capacity: int | None = None,
) -> pd.DataFrame:
    """Decide about every asset.

    Parameters
    ----------
    probabilities
        One row per asset: ``asset_id`` and ``p_{h}d``, in [0, 1], for both `horizons`.
    horizons
        The shortest horizon and the next one, in days. The same one twice where there is but one.
    held
        Assets that may get no second visit now, with the reason: a key of `WHY_NOT`.
    capacity
        Visits still free; ``policy.capacity_per_run`` by default.

    Returns
    -------
    pandas.DataFrame
        One row per asset, in the order given: ``asset_id``; ``value``: expected saving of a visit
        tonight, in the costs' currency; ``horizon_days`` and ``probability``: the horizon that
        carries most of the value, and its probability; ``decision``: ``proposed`` or a key of
        `WHY_NOT`; ``rank``: 1 is the most valuable proposal, 0 where none.

    Raises
    ------
    ValueError
        A probability is missing, outside [0, 1], or falls as the horizon grows.
    """
    import numpy as np

    decided = _value(probabilities, policy, horizons)
    decision = np.array([held.get(asset, "") for asset in decided["asset_id"]], dtype=object)
    value = decided["value"].to_numpy()
    decision[(decision == "") & ~(value > 0)] = "no_saving"
    crews = max(policy.capacity_per_run if capacity is None else capacity, 0)
    wanting = np.flatnonzero(decision == "")
    best = wanting[
        most_valuable(value[wanting], decided["probability"].to_numpy()[wanting], _ordinals(decided)[wanting])
    ]
    decision[best[:crews]], decision[best[crews:]] = PROPOSED, "no_capacity"
    rank = np.zeros(len(decided), dtype=int)
    rank[best[:crews]] = np.arange(1, len(best[:crews]) + 1)
    return decided.assign(decision=decision, rank=rank)


def most_valuable(value: Numbers, probability: Numbers, asset: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Places from the most valuable on. Ties go to the likelier asset, then to the smaller id: the same in any order."""
    import numpy as np

    return np.lexsort((asset, -probability, -value))


@dataclass(frozen=True)
class Replay:
    """What a policy would have done over some nights, and what that would have cost.

    Attributes
    ----------
    prevented, failures
        Failures that its visits would have prevented, and those that happen all the same.
    cost, run_to_failure
        Of the visits and failures, and of doing nothing; in the costs' currency.
    """

    visits: int
    prevented: int
    failures: int
    cost: float
    run_to_failure: float

    @property
    def relative(self) -> float:
        """Cost over that of doing nothing; 1 where there was nothing to do."""
        return self.cost / self.run_to_failure if self.run_to_failure else 1.0


def replay(
    probabilities: pd.DataFrame, failures: pd.DataFrame, policy: PolicyConfig, *, horizons: tuple[float, float] = (1, 7)
) -> Replay:
    """Walk past nights with a policy: what it would have created, cost and saved.

    A visited asset does not fail for ``protects_days``, and gets no other visit in that time: an
    assumption, for no past night can show what a visit would have done. Every other failure costs F,
    several at one instant once.

    Parameters
    ----------
    probabilities
        As :func:`propose` takes them, with ``as_of``: one row per asset and night.
    failures
        ``asset_id`` and ``event_time`` of the failures from the first night on, to the end that is judged.
    """
    valued = _value(probabilities, policy, horizons)
    past = Past.of(probabilities, failures)
    return walk(past, valued["value"].to_numpy(), valued["probability"].to_numpy(), policy)


@dataclass(frozen=True, config=ConfigDict(arbitrary_types_allowed=True))
class Past:
    """Nights and failures as numbers, read once for many replays.

    Attributes
    ----------
    asset, at
        Per row: number of the asset in order of the ids, and microseconds of the night.
    nights
        Places of the rows of every night, in order of time.
    failed_asset, failed_at
        Per failure, several of one asset at one instant once.
    """

    asset: Any
    at: Any
    nights: Any
    failed_asset: Any
    failed_at: Any

    @classmethod
    def of(cls, rows: pd.DataFrame, failures: pd.DataFrame) -> Past:
        """Read ``asset_id, as_of`` of every row, and ``asset_id, event_time`` of every failure."""
        import numpy as np
        import pandas as pd

        names = pd.Index(sorted({*rows["asset_id"], *failures["asset_id"]}))
        at = pd.DatetimeIndex(rows["as_of"]).as_unit("us").asi8
        order = np.argsort(at, kind="stable")
        nights = np.split(order, np.flatnonzero(np.diff(at[order])) + 1) if len(order) else []
        happened = failures[["asset_id", "event_time"]].drop_duplicates()
        failed_at = pd.DatetimeIndex(happened["event_time"]).as_unit("us").asi8
        return cls(
            names.get_indexer(pd.Index(rows["asset_id"])), at, nights,
            names.get_indexer(pd.Index(happened["asset_id"])), failed_at,
        )  # fmt: skip


def walk(past: Past, value: Numbers, probability: Numbers, policy: PolicyConfig) -> Replay:
    """Replay any rule: every night the K most valuable assets that are not protected, where their value is above zero.

    Parameters
    ----------
    value, probability
        Of a visit to each row's asset in its night; the probability decides between equal values.
    """
    import numpy as np

    protects = round(policy.protects_days * 86_400e6)
    free_from = np.full(
        int(max(past.asset.max(initial=-1), past.failed_asset.max(initial=-1))) + 1, np.iinfo(np.int64).min
    )
    visited = [np.empty(0, dtype=np.intp)]
    for places in past.nights:
        asset = past.asset[places]
        wanted = np.flatnonzero((value[places] > 0) & (free_from[asset] <= past.at[places]))
        best = most_valuable(value[places[wanted]], probability[places[wanted]], asset[wanted])
        chosen = places[wanted[best[: policy.capacity_per_run]]]
        free_from[past.asset[chosen]] = past.at[chosen] + protects
        visited.append(chosen)
    visits = np.concatenate(visited)
    prevented = _prevented(past, visits, protects)
    left = len(past.failed_at) - prevented
    return Replay(
        visits=len(visits), prevented=prevented, failures=left,
        cost=policy.visit_cost * len(visits) + policy.failure_cost * left,
        run_to_failure=policy.failure_cost * len(past.failed_at),
    )  # fmt: skip


def _prevented(past: Past, visits: npt.NDArray[np.intp], protects: int) -> int:
    """Failures not longer after their asset's last visit than it protects; visits of one asset never overlap."""
    import numpy as np

    if not len(visits) or not len(past.failed_at):
        return 0
    order = visits[np.lexsort((past.at[visits], past.asset[visits]))]
    ranks = np.unique(np.concatenate([past.at[visits], past.failed_at]))
    key = past.asset[order] * len(ranks) + np.searchsorted(ranks, past.at[order])
    before = np.searchsorted(key, past.failed_asset * len(ranks) + np.searchsorted(ranks, past.failed_at)) - 1
    last = order[np.maximum(before, 0)]
    ago = past.failed_at - past.at[last]
    return int(((before >= 0) & (past.asset[last] == past.failed_asset) & (ago > 0) & (ago <= protects)).sum())


def _ordinals(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Assets numbered in order of their ids."""
    import pandas as pd

    return pd.factorize(frame["asset_id"], sort=True)[0]


def _value(probabilities: pd.DataFrame, policy: PolicyConfig, horizons: tuple[float, float]) -> pd.DataFrame:
    """What a visit tonight is worth for every asset, and the horizon that carries most of it."""
    import numpy as np

    short, later = (probabilities[f"p_{days:g}d"].to_numpy(float) for days in horizons)
    _check(probabilities, short, later)
    postponable = policy.later_weight * (later - short)
    soon = short >= postponable
    return probabilities[["asset_id"]].assign(
        value=policy.failure_cost * (short + postponable) - policy.visit_cost,
        horizon_days=np.where(soon, *horizons),
        probability=np.where(soon, short, later),
    )


def _check(probabilities: pd.DataFrame, short: npt.NDArray[np.float64], later: npt.NDArray[np.float64]) -> None:
    bad = ~((short >= 0) & (short <= later) & (later <= 1))
    if bad.any():
        first = int(bad.argmax())
        raise ValueError(
            f"{int(bad.sum())} rows whose probabilities are missing, outside [0, 1], or fall as the horizon grows; "
            f"first: {probabilities['asset_id'].iloc[first]}: {short[first]}, {later[first]}"
        )
