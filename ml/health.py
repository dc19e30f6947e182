"""A health grade: one letter for how an asset's risk compares with the fleet's, for people who plan by letters.

What is compared is how fast failures are expected, ``-log(1 - P(H))``, and not P(H) itself: twice the
rate is twice as many failures, whereas no probability is twice 60 %. So the grades keep their meaning where a
failure within H is common, and each can be reached whatever the base rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, log1p

from features.wording import Words

__all__ = ["GRADES", "Grade", "grade", "grades"]


@dataclass(frozen=True)
class Grade:
    """One grade.

    Attributes
    ----------
    letter
        ``A`` is the best.
    below
        How many times as fast as the average asset of the training its failures are expected, at most.
    words
        What people call it.
    """

    letter: str
    below: float
    words: Words


GRADES: tuple[Grade, ...] = (
    Grade("A", 1.0, Words("good", "良好")),
    Grade("B", 2.0, Words("fair", "正常")),
    Grade("C", 4.0, Words("watch", "关注")),
    Grade("D", 8.0, Words("poor", "较差")),
    Grade("E", inf, Words("critical", "危险")),
)
"""From good to bad. Doubling from the average asset on: at a base rate of 2 % a week, E begins at 15 %, at 13 % at 67 %."""


def grade(probability: float, base_rate: float) -> str:
    """The letter of a probability; it never becomes better as the probability grows.

    Parameters
    ----------
    probability
        Of a failure within H, in [0, 1].
    base_rate
        Share of the training rows that failed within the same H, in (0, 1).

    Raises
    ------
    ValueError
        One of them lies outside.

    Examples
    --------
    >>> [grade(p, 0.02) for p in (0.01, 0.03, 0.07, 0.14, 0.2)]
    ['A', 'B', 'C', 'D', 'E']
    """
    if not (0 <= probability <= 1 and 0 < base_rate < 1):
        raise ValueError(f"probability {probability}, base rate {base_rate}; expected [0, 1] and (0, 1)")
    times = inf if probability == 1 else log1p(-probability) / log1p(-base_rate)
    return next((g.letter for g in GRADES if times < g.below), GRADES[-1].letter)


def grades(probabilities: Iterable[float], base_rate: float | None) -> list[str | None]:
    """The letters of many; None for all where the base rate says nothing, being unknown, 0 or 1."""
    if base_rate is None or not 0 < base_rate < 1:
        return [None for _ in probabilities]
    return [grade(float(p), base_rate) for p in probabilities]
