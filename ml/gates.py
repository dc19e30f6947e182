"""May a new model take over? Small pure functions, each with a reason for its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Verdict", "not_worse"]

MARGIN = 0.02
"""What a challenger may lose, as a part of the champion's figure: less than the noise of a test window (± .05)."""


@dataclass(frozen=True)
class Verdict:
    """Whether a model passes, and why in a sentence."""

    passed: bool
    reason: str


def not_worse(challenger: Mapping[str, float], champion: Mapping[str, float]) -> Verdict:
    """Compare two models on the same test window. What cannot be compared does not pass.

    Parameters
    ----------
    challenger, champion
        ``average_precision`` (larger is better) and ``brier`` (smaller is better), at the decision horizon.
    """
    if not all(map(math.isfinite, (*challenger.values(), *champion.values()))):
        return Verdict(False, "the test window holds no failure, so that nothing tells it from the champion")
    ap, ap_now = challenger["average_precision"], champion["average_precision"]
    error, error_now = challenger["brier"], champion["brier"]
    figures = f"average precision {ap:.3f} against {ap_now:.3f}, Brier {error:.4f} against {error_now:.4f}"
    if ap < ap_now * (1 - MARGIN) or error > error_now * (1 + MARGIN):
        return Verdict(False, f"worse than the champion on the same window: {figures}")
    return Verdict(True, f"not worse than the champion on the same window: {figures}")
