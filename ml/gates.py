"""May a new model take over? Small pure functions, each with a reason for its verdict in a sentence.

A gate looks at a :class:`Candidate` and at nothing else; what cannot be judged passes with a note,
except that nothing takes a champion's place unseen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ml.audit import Audit
    from ml.policy import Replay
    from ml.quality import Quality

__all__ = ["GATES", "PROMISED", "Candidate", "Gate", "Judgement", "Verdict", "judge_all", "misses"]

MARGIN = 0.02
"""What a challenger may lose, as a part of the champion's figure: less than the noise of a test window (± .05)."""
PROMISED = (2 / 3, 3 / 2)
"""Bounds of observed over expected. A visit is worth F · p − V: a probability that is wrong by a factor moves the least
one that pays as a wrong cost of a failure would, and costs are seldom known closer than to a half of themselves."""
LEVEL = 0.95

PASSED, FAILED = "passed", "failed"
_TAG = "gate."


@dataclass(frozen=True)
class Verdict:
    """Whether a model passes, and why in a sentence."""

    passed: bool
    reason: str


@dataclass(frozen=True)
class Candidate:
    """A new version on its test window.

    Attributes
    ----------
    quality
        Its figures at the decision horizon.
    champion
        The champion's on the very same rows; or the verdict, where the two are not compared.
    probabilities
        Of every test row: shape (rows, horizons), from the shortest horizon on.
    audit
        Of the leaks.
    replay
        What visits by the index rule would have cost, with the crews of ``[policy]``; None where none were counted.
    """

    quality: Quality
    champion: Quality | Verdict
    probabilities: NDArray[np.float64]
    audit: Audit
    replay: Replay | None


@dataclass(frozen=True)
class Gate:
    """One rule of promotion.

    Attributes
    ----------
    meaning
        What passes, in a few words.
    """

    meaning: str
    judge: Callable[[Candidate], Verdict]


def no_leak(candidate: Candidate) -> Verdict:
    """The audit found no feature that has seen the future."""
    audit = candidate.audit
    if not audit.passed:
        return Verdict(False, f"{len(audit.leaks)} leaks, the first: {audit.leaks[0].sentence}")
    return Verdict(True, f"no leak in {audit.values:,} values of {audit.features} features that were built again")


def coherent(candidate: Candidate) -> Verdict:
    """No row's probability falls as the horizon grows, and all lie in [0, 1]."""
    p = candidate.probabilities
    rows = f"of {len(p):,} test rows"
    outside = int((~((p >= 0) & (p <= 1))).any(axis=1).sum())  # NaN among them
    if outside:
        return Verdict(False, f"{outside:,} {rows} have a probability that is none")
    falling = int((np.diff(p, axis=1) < 0).any(axis=1).sum())
    if falling:
        return Verdict(False, f"{falling:,} {rows} have a probability that falls as the horizon grows")
    return Verdict(True, f"none {rows} has a probability that falls as the horizon grows")


def calibrated(candidate: Candidate) -> Verdict:
    """Observed over expected may lie within `PROMISED`, as far as the failures of the window tell."""
    quality, failures = candidate.quality, _failures(candidate.quality)
    low, high = _plausible(quality)
    least, most = PROMISED
    figures = (
        f"observed over expected {quality.observed_over_expected:.2f}, 95 % {low:.2f} to {high:.2f} on "
        f"{failures:,} failures, {least:.2f} to {most:.2f} allowed"
    )
    if low <= least and high >= most:
        return Verdict(True, f"too few failures to judge calibration: {figures}")
    if misses(quality):
        return Verdict(False, f"promises too {'little' if low > most else 'much'}: {figures}")
    return Verdict(True, f"promises what happens: {figures}")


def within_cost(candidate: Candidate) -> Verdict:
    """Visits by its probabilities would not have cost more than doing nothing."""
    replay = candidate.replay
    if replay is None:
        return Verdict(True, "no visits to count: no crew in [policy], or assets on clocks of their own")
    if not replay.run_to_failure:
        return Verdict(True, f"the test window holds no failure that its {replay.visits:,} visits could have saved")
    figures = f"{_amount(replay.cost)} with {replay.visits:,} visits against {_amount(replay.run_to_failure)} without"
    if replay.cost > replay.run_to_failure:
        return Verdict(False, f"costs more than doing nothing over the test window: {figures}")
    return Verdict(True, f"costs no more than doing nothing over the test window: {figures}")


def not_worse(candidate: Candidate) -> Verdict:
    """As good as the champion on the same window, in ranking and in distance; what cannot be compared does not pass."""
    ours, now = candidate.quality, candidate.champion
    if isinstance(now, Verdict):
        return now
    if not all(map(math.isfinite, (ours.average_precision, ours.brier, now.average_precision, now.brier))):
        return Verdict(False, "the test window holds no failure, so that nothing tells it from the champion")
    figures = (
        f"average precision {ours.average_precision:.3f} against {now.average_precision:.3f}, "
        f"Brier {ours.brier:.4f} against {now.brier:.4f}"
    )
    if ours.average_precision < now.average_precision * (1 - MARGIN) or ours.brier > now.brier * (1 + MARGIN):
        return Verdict(False, f"worse than the champion on the same window: {figures}")
    return Verdict(True, f"not worse than the champion on the same window: {figures}")


GATES: Mapping[str, Gate] = MappingProxyType(
    {
        "no_leak": Gate("no feature has seen the future", no_leak),
        "coherent": Gate("no probability falls as the horizon grows", coherent),
        "calibrated": Gate("as many fail as it says", calibrated),
        "within_cost": Gate("its visits cost no more than doing nothing", within_cost),
        "not_worse": Gate("as good as the champion on the same window", not_worse),
    }
)
"""Every gate, by name; all must pass."""


@dataclass(frozen=True)
class Judgement:
    """The verdict of every gate, by name."""

    verdicts: Mapping[str, Verdict]

    @property
    def failed(self) -> tuple[str, ...]:
        """The gates that it did not pass."""
        return tuple(name for name, verdict in self.verdicts.items() if not verdict.passed)

    @property
    def reason(self) -> str:
        """Why it failed; where it did not, how it stands beside the champion."""
        return "; ".join(self.verdicts[name].reason for name in self.failed) or self.verdicts["not_worse"].reason

    def tags(self) -> dict[str, str]:
        """The verdicts as tags of a run; :meth:`of_tags` reads them."""
        said = {True: PASSED, False: FAILED}
        return {f"{_TAG}{name}": f"{said[one.passed]}: {one.reason}" for name, one in self.verdicts.items()}

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> Judgement:
        """The verdicts among the tags of a run; gates of another time too, and none where none was asked."""
        found = {key.removeprefix(_TAG): text.partition(": ") for key, text in tags.items() if key.startswith(_TAG)}
        return cls({name: Verdict(said == PASSED, reason) for name, (said, _, reason) in found.items()})


def judge_all(candidate: Candidate) -> Judgement:
    """Ask every gate, also after one has failed: a reader wants to know all that is wrong."""
    return Judgement({name: gate.judge(candidate) for name, gate in GATES.items()})


_UNSEEN = 3.69
"""The largest Poisson mean that may well show no event: its 95 % two-sided limit (Garwood, 1936)."""


def _amount(cost: float) -> str:
    """A cost for a sentence, to three figures at least."""
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"


def _failures(quality: Quality) -> int:
    """Failures of the window that the horizon could see, or rows where they were not counted."""
    return quality.at_capacity[0].events if quality.at_capacity else quality.positives


def _looks(quality: Quality) -> float:
    """Rows that see one failure, at most: its horizon in days."""
    return max(1.0, quality.horizon_days)


def misses(quality: Quality) -> bool:
    """Whether observed over expected surely lies outside `PROMISED`."""
    low, high = _plausible(quality)
    least, most = PROMISED
    return low > most or high < least


def _plausible(quality: Quality) -> tuple[float, float]:
    """What observed over expected may be, with 95 %.

    The bootstrap over assets, widened to the exact Poisson interval of so many failures: with few, all
    replicates resemble the few that were seen, and their spread promises what is not known.

    References
    ----------
    Garwood, *Fiducial limits for the Poisson distribution* (1936), by the incomplete gamma function.
    """
    from scipy.special import gammaincinv

    ratio, failures = quality.observed_over_expected, _failures(quality)
    if not math.isfinite(ratio):
        return 0.0, math.inf
    if not failures:
        return 0.0, _UNSEEN / max(sum(month.expected for month in quality.months) / _looks(quality), 1e-9)
    tail = (1 - LEVEL) / 2
    low = ratio * float(gammaincinv(failures, tail)) / failures
    high = ratio * float(gammaincinv(failures + 1, 1 - tail)) / failures
    drawn = quality.intervals.get("observed_over_expected")
    return (min(low, drawn.low), max(high, drawn.high)) if drawn and math.isfinite(drawn.low) else (low, high)
