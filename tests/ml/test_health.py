"""Health grades: monotone, in multiples of the fleet's own rate, and reachable whatever that is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.health import GRADES, grade, grades

RATES = st.floats(1e-9, 1 - 1e-9)
LETTERS = "ABCDE"


def test_grades_have_letters_words_in_both_languages_and_limits_that_double():
    assert [g.letter for g in GRADES] == list(LETTERS)
    assert [g.below for g in GRADES] == [1, 2, 4, 8, math.inf]
    assert len({g.words for g in GRADES}) == 5


@given(st.lists(st.floats(0, 1), min_size=2), RATES)
def test_a_grade_never_becomes_better_as_the_probability_grows(probabilities, base):
    letters = [grade(p, base) for p in sorted(probabilities)]
    assert letters == sorted(letters)


@given(st.floats(0, 1), st.lists(RATES, min_size=2))
def test_a_grade_never_becomes_worse_as_the_fleet_does(probability, rates):
    letters = [grade(probability, base) for base in sorted(rates)]
    assert letters == sorted(letters, reverse=True)


@given(RATES.filter(lambda base: base < 0.5))
def test_limits_are_multiples_of_the_expected_failures_of_the_average_asset(base):
    for place, times in enumerate((1, 2, 4, 8)):
        limit = -math.expm1(times * math.log1p(-base))
        assert grade(limit * (1 - 1e-6), base) == LETTERS[place]
        assert grade(min(1.0, limit * (1 + 1e-6)), base) in LETTERS[place + 1 :]


def test_small_rates_are_compared_as_probabilities_are():
    assert [grade(times * 0.001, 0.001) for times in (0.9, 1.1, 2.1, 4.1, 8.1)] == list(LETTERS)


def test_every_grade_is_reached_where_half_the_fleet_fails():
    assert {grade(p, 0.49) for p in np.linspace(0, 1, 1_001)} == set(LETTERS)


@pytest.mark.parametrize("base", [None, 0.0, 1.0])
def test_a_base_rate_that_says_nothing_gives_no_grade(base):
    assert grades([0.1, 0.9], base) == [None, None]
    assert grades([], base) == []


@pytest.mark.parametrize(("probability", "base"), [(-0.1, 0.1), (1.1, 0.1), (math.nan, 0.1), (0.5, 0.0), (0.5, 1.0)])
def test_what_is_no_probability_is_refused(probability, base):
    with pytest.raises(ValueError, match="expected"):
        grade(probability, base)
