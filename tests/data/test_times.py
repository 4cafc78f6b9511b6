"""Times told by their size, and how they are written."""

from datetime import date

import pytest

from mtlbench.data.times import moment, periods, span, unit_of


@pytest.mark.parametrize(
    ("time", "unit", "said"),
    [
        (1_511_539_200, "seconds", "2017-11-24 16:00:00"),
        (956_703_932, "seconds", "2000-04-25 23:05:32"),
        (1_511_539_200_000, "milliseconds", "2017-11-24 16:00:00"),
        (1_511_539_200_000_000.0, "microseconds", "2017-11-24 16:00:00"),
        (1_511_539_200_000_000_000, "nanoseconds", "2017-11-24 16:00:00"),
        (20_171_125, "", "20171125"),
        (2_024_013_123, "", "2024013123"),
        (12.5, "", "12.5"),
        (-1_511_539_200, "", "-1511539200"),
    ],
)
def test_times_are_named_by_their_size(time: float, unit: str, said: str) -> None:
    assert unit_of(time) == unit
    assert moment(time) == said


def test_a_known_unit_needs_no_guess() -> None:
    assert moment(0, "seconds") == "1970-01-01 00:00:00"
    assert moment(-86_400_000_000, "microseconds") == "1969-12-31 00:00:00"


def test_periods_meet_where_the_splits_do() -> None:
    assert periods((3, 5)) == {"train": "before 3", "validation": "3 to 5", "test": "from 5"}


def test_a_single_day_is_named_once() -> None:
    first, last = date(2017, 12, 1), date(2017, 12, 3)
    assert span(first, last, "UTC+8") == "2017-12-01 .. 2017-12-03 (UTC+8)"
    assert span(first, first, "UTC") == "2017-12-01 (UTC)"
