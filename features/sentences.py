"""What a feature's value says, as a sentence: the patterns, English and Chinese beside each other.

A feature carries its own :class:`Sentence`, made by its entry (see :mod:`features.point_in_time`), so
that a reason reads as a technician would say it: *mean of pressure over 7 d is 2.3σ above its own
baseline*, *41 days since the last service of bearing*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType

from features.wording import Words, after, column_words, days_words, length_words

__all__ = [
    "IN_SERVICE", "PLURAL", "SIGMA", "VALUE", "WARRANTY", "Sentence", "ahead", "attribute", "baseline_level", "baseline_shift", "calendar",
    "count", "delivered", "delivery", "due", "open_now", "plain", "since", "since_reset", "statistic",
]  # fmt: skip

VALUE = "{value}"
"""Stands for the value in a pattern. What a company names itself may hold any other braces."""

PLURAL = "{s}"
"""Stands where English has an s, but for one."""

SIGMA = "σ"
"""The unit of what is told in standard deviations; it stands close to its number."""

DAYS = 2
"""Digits of days and of standard deviations: nobody plans by the tenth of a day in forty."""


@dataclass(frozen=True)
class Sentence:
    """A pattern for each kind of value; where one is not given, `usual` says it.

    Attributes
    ----------
    usual
        Of any value.
    missing
        Where nothing was known.
    below
        Of a value below 0, which then stands without its sign.
    zero
        Of a value that is shown as 0.
    unit
        Behind the value.
    digits
        Significant digits; a number with more of them before its point is whole.
    names
        What the values 0, 1, 2, … are called.
    """

    usual: Words
    missing: Words
    below: Words | None = None
    zero: Words | None = None
    unit: str = ""
    digits: int = 3
    names: tuple[Words, ...] = ()

    def say(self, value: object) -> Words:
        """The sentence of a value: a number, a text, or None where it is missing.

        >>> since(Words("service{s} of bearing", "轴承维保")).say(41.3)
        Words(en='41 days since the last service of bearing', zh='距上次轴承维保 41 天')
        """
        if value is None or value != value:  # noqa: PLR0124 - NaN, whatever its type
            return self.missing
        if not isinstance(value, int | float):
            return _filled(self.usual, str(value), str(value))
        if value in range(len(self.names)):
            name = self.names[int(value)]
            return _filled(self.usual, name.en, name.zh)
        shown = _number(value, self.digits)
        pattern = (self.zero if shown == "0" else None) or self.usual
        if shown.startswith("-") and self.below:
            shown, pattern = shown.removeprefix("-"), self.below
        amount = f"{shown}{'' if self.unit == SIGMA else ' '}{self.unit}".rstrip()
        return _filled(pattern, amount, amount)


def plain(meaning: Words, unit: str = "") -> Sentence:
    """Of a feature that has no better sentence: its meaning and its value."""
    return Sentence(
        Words(f"{meaning.en}: {VALUE}", f"{meaning.zh}：{VALUE}"), _unknown(meaning.en, meaning.zh), unit=unit
    )


def statistic(stat: str, of: Words, window: float, unit: str = "") -> Sentence:
    """Of a statistic of a column over a window."""
    made = {"count": _values, "slope": _slope, "last_minus_mean": _last, "day_minus_mean": _last_day}.get(stat)
    if made:
        return made(of, length_words(window), unit)
    long, what = length_words(window), _STATISTIC[stat]
    return _is(Words(f"{what.en} {of.en} over {_apart(long.en)}", _zh(of.zh, f"{long.zh}{what.zh}")), unit)


def _values(of: Words, long: Words, _: str) -> Sentence:
    none = Words(f"no value of {of.en} over {_apart(long.en)}", _zh(of.zh, f"近 {long.zh}无数据"))
    en = f"{VALUE} value{PLURAL} of {of.en} over {_apart(long.en)}"
    return Sentence(Words(en, _zh(of.zh, f"近 {long.zh}有 {VALUE} 条数据")), none, zero=none)


def _slope(of: Words, long: Words, unit: str) -> Sentence:
    over, zh = f"over {_apart(long.en)}", _zh(of.zh, f"近 {long.zh}")
    return Sentence(
        Words(f"{of.en} is rising by {VALUE} a day {over}", f"{zh}每天上升 {VALUE}"),
        _unknown(f"trend of {of.en} {over}", f"{zh}变化趋势"),
        Words(f"{of.en} is falling by {VALUE} a day {over}", f"{zh}每天下降 {VALUE}"),
        Words(f"{of.en} is steady {over}", f"{zh}持平"), unit=unit,
    )  # fmt: skip


def _last(of: Words, long: Words, unit: str) -> Sentence:
    return _against_mean(f"last {of.en}", of, "最近值", long, unit)


def _last_day(of: Words, long: Words, unit: str) -> Sentence:
    return _against_mean(f"mean of {of.en} over the last day", of, "最近 1 天均值", long, unit)


def _against_mean(recent: str, of: Words, recent_zh: str, long: Words, unit: str) -> Sentence:
    """Of something recent against the column's own mean of a window."""
    mean, zh = f"its mean over {_apart(long.en)}", f"{long.zh}均值"
    return Sentence(
        Words(f"{recent} is {VALUE} above {mean}", _zh(of.zh, f"{recent_zh}比 {zh}高 {VALUE}")),
        _unknown(f"{recent} against {mean}", _zh(of.zh, f"{recent_zh}与 {zh}之差")),
        Words(f"{recent} is {VALUE} below {mean}", _zh(of.zh, f"{recent_zh}比 {zh}低 {VALUE}")),
        Words(f"{recent} equals {mean}", _zh(of.zh, f"{recent_zh}等于 {zh}")), unit=unit,
    )  # fmt: skip


def baseline_level(of: Words, *, spread: bool, unit: str = "") -> Sentence:
    """Of the mean or the standard deviation of a column's own baseline."""
    what = _STATISTIC["std" if spread else "mean"]
    return _is(Words(f"{what.en} {of.en} in its own baseline", _zh(of.zh, f"自身基线{what.zh}")), unit)


def baseline_shift(of: Words, window: float, unit: str) -> Sentence:
    """Of the mean of a window against the column's own baseline: in its standard deviations (:data:`SIGMA`), or in a unit."""
    long = length_words(window)
    mean, zh = f"mean of {of.en} over {_apart(long.en)}", f"{long.zh}均值"
    return Sentence(
        Words(f"{mean} is {VALUE} above its own baseline", _zh(of.zh, f"{zh}比自身基线高 {VALUE}")),
        _unknown(f"{mean} against its own baseline", _zh(of.zh, f"{zh}相对自身基线的偏离")),
        Words(f"{mean} is {VALUE} below its own baseline", _zh(of.zh, f"{zh}比自身基线低 {VALUE}")),
        Words(f"{mean} is at its own baseline", _zh(of.zh, f"{zh}与自身基线持平")), digits=DAYS, unit=unit,
    )  # fmt: skip


def delivered(row: Words) -> Sentence:
    """Of the hours since the last row of a table."""
    return Sentence(
        Words(f"last {row.en} {VALUE} h before", f"最近一次{row.zh}在 {VALUE} 小时前"),
        Words(f"no {row.en} on record", f"无{row.zh}记录"), digits=DAYS,
    )  # fmt: skip


def delivery(row: Words, window: float) -> Sentence:
    """Of the last day's rows over the daily mean of a window."""
    long = length_words(window)
    return Sentence(
        Words(f"{row.en}s of the last day are {VALUE} × the daily mean of {_apart(long.en)}",
              f"最近 1 天{row.zh}条数为近 {long.zh}日均的 {VALUE} 倍"),
        Words(f"no {row.en} over {_apart(long.en)}", f"近 {long.zh}无{row.zh}"),
    )  # fmt: skip


def count(event: Words, window: float | None) -> Sentence:
    """Of events in a window, or ever; their English noun is followed by :data:`PLURAL`."""
    long = None if window is None else days_words(window)
    en, zh = (f"in {long.en}", f"近 {long.zh}") if long else ("on record", "历史累计")
    return _counted(event, en, zh, _zh(zh if long else "从", "无", event.zh))


def since(event: Words) -> Sentence:
    """Of the days since the last event."""
    one = _one(event.en)
    return Sentence(
        Words(f"{VALUE} day{PLURAL} since the last {one}", _zh("距上次", event.zh, f"{VALUE} 天")),
        Words(f"no {one} on record", _zh("无", event.zh, "记录")), digits=DAYS,
    )  # fmt: skip


def since_reset(event: Words, reset: Words) -> Sentence:
    """Of the events since the last reset."""
    zh = f"上次{reset.zh}以来"
    return _counted(event, f"since the last {reset.en}", zh, _zh(zh, "无", event.zh))


def open_now(row: Words) -> Sentence:
    """Of how many rows are open."""
    none = Words(f"no open {row.en}", f"没有未关闭{row.zh}")
    return Sentence(Words(f"{VALUE} open {row.en}{PLURAL}", f"未关闭{row.zh} {VALUE} 个"), none, zero=none)


def attribute(name: str) -> Sentence:
    """Of an attribute of the asset."""
    column = column_words(name)
    return Sentence(Words(f"{column.en} = {VALUE}", f"{column.zh} = {VALUE}"), _unknown(column.en, column.zh))


def due(visit: Words) -> Sentence:
    """Of the days to a planned visit, which may be overdue."""
    one = _one(visit.en)
    return Sentence(
        Words(f"{VALUE} day{PLURAL} to the next {one}", _zh("距下次", visit.zh, f"{VALUE} 天")),
        Words(f"no {one} ahead", _zh("无", visit.zh)),
        Words(f"{one} {VALUE} day{PLURAL} overdue", _zh(visit.zh, f"已逾期 {VALUE} 天")), digits=DAYS,
    )  # fmt: skip


def ahead(name: str) -> Sentence:
    """Of the days since an instant of the asset, which may lie ahead."""
    column = column_words(name)
    return Sentence(
        Words(f"{VALUE} day{PLURAL} since {column.en}", _zh("自", column.zh, f"起 {VALUE} 天")),
        _unknown(column.en, column.zh),
        Words(f"{VALUE} day{PLURAL} to {column.en}", _zh("距", column.zh, f"还有 {VALUE} 天")), digits=DAYS,
    )  # fmt: skip


def calendar(part: str) -> Sentence:
    """Of a part of the cut-off itself."""
    usual, names = _PART[part]
    return Sentence(usual, _filled(usual, "not known", "未知"), names=names)


def _is(what: Words, unit: str) -> Sentence:
    return Sentence(Words(f"{what.en} is {VALUE}", f"{what.zh}为 {VALUE}"), _unknown(what.en, what.zh), unit=unit)


def _counted(event: Words, en: str, zh: str, none: str) -> Sentence:
    nothing = Words(f"no {_one(event.en)} {en}", none)
    return Sentence(Words(f"{VALUE} {event.en} {en}", _zh(zh, event.zh, f"{VALUE} 次")), nothing, zero=nothing)


def _one(noun: str) -> str:
    return noun.replace(PLURAL, "")


def _unknown(en: str, zh: str) -> Words:
    return Words(f"{en} is not known", _zh(zh, "未知"))


def _filled(pattern: Words, en: str, zh: str) -> Words:
    plural = "" if en == "1" else "s"
    return Words(pattern.en.replace(PLURAL, plural).replace(VALUE, en), pattern.zh.replace(VALUE, zh))


def _zh(*parts: str) -> str:
    """Chinese text in one piece."""
    return reduce(lambda first, then: first + then if first.endswith("）") else after(first, then), filter(None, parts))


def _apart(length: str) -> str:
    """``7 d`` of ``7d``: in a sentence a unit stands apart."""
    return f"{length[:-1]} {length[-1]}"


def _number(value: float, digits: int) -> str:
    """Rounded for people; whole numbers are never written with a power of ten.

    >>> _number(41.27, 2), _number(99.97, 2), _number(84712.3, 3), _number(0.012345, 3), _number(-2.30, 2)
    ('41', '100', '84,712', '0.0123', '-2.3')
    """
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 10**digits:
        return f"{value:,.0f}"
    return "0" if rounded == 0 else f"{rounded:.{digits}g}"


IN_SERVICE = Sentence(
    Words(f"{VALUE} day{PLURAL} in service", f"已投用 {VALUE} 天"),
    _unknown("start of service", "投用日期"),
    digits=DAYS,
)
WARRANTY = Sentence(
    Words(f"{VALUE} day{PLURAL} of warranty left", f"保修剩余 {VALUE} 天"),
    _unknown("end of warranty", "保修截止日期"),
    Words(f"warranty ended {VALUE} day{PLURAL} before", f"已过保 {VALUE} 天"), digits=DAYS,
)  # fmt: skip

_STATISTIC: Mapping[str, Words] = MappingProxyType(
    {
        "mean": Words("mean of", "均值"), "std": Words("standard deviation of", "标准差"),
        "min": Words("smallest", "最小值"), "max": Words("largest", "最大值"), "sum": Words("sum of", "合计"),
        "last": Words("last", "最近值"),
    }
)  # fmt: skip

_WEEKDAYS = tuple(
    Words(en, f"星期{zh}")
    for en, zh in zip(
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), "一二三四五六日", strict=True
    )
)

_PART: Mapping[str, tuple[Words, tuple[Words, ...]]] = MappingProxyType(
    {
        "weekday": (Words(f"the weekday is {VALUE}", f"当天是{VALUE}"), _WEEKDAYS),
        "month": (Words(f"the month is {VALUE}", f"月份为 {VALUE}"), ()),
        "day_of_year": (Words(f"day {VALUE} of the year", f"当年第 {VALUE} 天"), ()),
    }
)
