"""What the value of a feature says, in English and in Chinese."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.point_in_time import (
    Baseline,
    Counts,
    CountSince,
    Events,
    Feature,
    Level,
    Moment,
    Silence,
    Since,
    Statistics,
)  # fmt: skip
from features.sentences import (
    IN_SERVICE,
    SIGMA,
    WARRANTY,
    Sentence,
    ahead,
    attribute,
    baseline_shift,
    due,
    plain,
    since,
)  # fmt: skip
from features.wording import Words, noun_words

PRESSURE = Words("pressure", "压力")
ALARMS = Events("alarm", "alarms", by="code")
SERVICES = Events("service", "services", by="component")
TICKETS = Events("ticket", "tickets", at="opened_at", by="ticket_type", words=Words("ticket", "工单创建"))
CLOSED = Events("ticket_closed", "tickets", at="closed_at", words=Words("closed ticket", "工单关闭"))
STATS = ("count", "mean", "std", "min", "max", "slope", "last", "last_minus_mean", "day_minus_mean")
TOLD = {
    f.name: f
    for entry in (
        Statistics("reading", "readings", "pressure", STATS, (7,), "bar", label=PRESSURE),
        Statistics("reading", "readings", "volt", ("mean",), (0.25,)),
        Baseline("reading", "readings", "pressure", 14, (7,), SERVICES, "bar", label=PRESSURE),
        Silence("reading", "readings"),
        Counts(ALARMS, (1, 7, None), ("E2",)),
        Counts(TICKETS, (30,), ("fault",)),
        Since(SERVICES, ("轴承", "pump")),
        CountSince(ALARMS, SERVICES),
        Level("ticket_open", TICKETS, CLOSED),
        Moment("weekday"),
        Moment("month"),
    )
    for f in entry.features()
}


@pytest.mark.parametrize(
    ("name", "value", "english", "chinese"),
    [
        ("reading_pressure_z_7d", 2.31, "mean of pressure over 7 d is 2.3σ above its own baseline", "压力 7 天均值比自身基线高 2.3σ"),
        ("reading_pressure_z_7d", -12.7, "mean of pressure over 7 d is 13σ below its own baseline", "压力 7 天均值比自身基线低 13σ"),
        ("reading_pressure_z_7d", 0.0, "mean of pressure over 7 d is at its own baseline", "压力 7 天均值与自身基线持平"),
        ("reading_pressure_z_7d", None, "mean of pressure over 7 d against its own baseline is not known", "压力 7 天均值相对自身基线的偏离未知"),
        ("reading_pressure_mean_7d", 3.512, "mean of pressure over 7 d is 3.51 bar", "压力 7 天均值为 3.51 bar"),
        ("reading_pressure_mean_7d", None, "mean of pressure over 7 d is not known", "压力 7 天均值未知"),
        ("reading_volt_mean_6h", 230.44, "mean of volt over 6 h is 230", "volt 6 小时均值为 230"),
        ("reading_pressure_std_7d", 0.04567, "standard deviation of pressure over 7 d is 0.0457 bar", "压力 7 天标准差为 0.0457 bar"),
        ("reading_pressure_max_7d", 101_325.2, "largest pressure over 7 d is 101,325 bar", "压力 7 天最大值为 101,325 bar"),
        ("reading_pressure_count_7d", 1.0, "1 value of pressure over 7 d", "压力近 7 天有 1 条数据"),
        ("reading_pressure_count_7d", 0.0, "no value of pressure over 7 d", "压力近 7 天无数据"),
        ("reading_pressure_slope_7d", 0.3, "pressure is rising by 0.3 bar a day over 7 d", "压力近 7 天每天上升 0.3 bar"),
        ("reading_pressure_slope_7d", -0.3, "pressure is falling by 0.3 bar a day over 7 d", "压力近 7 天每天下降 0.3 bar"),
        ("reading_pressure_last_minus_mean_7d", -2.0, "last pressure is 2 bar below its mean over 7 d", "压力最近值比 7 天均值低 2 bar"),
        ("reading_pressure_day_minus_mean_7d", 1.5, "mean of pressure over the last day is 1.5 bar above its mean over 7 d",
         "压力最近 1 天均值比 7 天均值高 1.5 bar"),
        ("reading_pressure_baseline_mean", 3.0, "mean of pressure in its own baseline is 3 bar", "压力自身基线均值为 3 bar"),
        ("reading_silence_hours", 3.46, "last reading 3.5 h before", "最近一次读数在 3.5 小时前"),
        ("reading_silence_hours", None, "no reading on record", "无读数记录"),
        ("reading_rate_1d_30d", 0.4, "readings of the last day are 0.4 × the daily mean of 30 d", "最近 1 天读数条数为近 30 天日均的 0.4 倍"),
        ("alarm_count_e2_7d", 3.0, "3 alarms E2 in 7 days", "近 7 天 E2 报警 3 次"),
        ("alarm_count_e2_1d", 1.0, "1 alarm E2 in 1 day", "近 1 天 E2 报警 1 次"),
        ("alarm_count_e2_7d", 0.0, "no alarm E2 in 7 days", "近 7 天无 E2 报警"),
        ("alarm_count_ever", 1_204.0, "1,204 alarms on record", "历史累计报警 1,204 次"),
        ("alarm_count_e2_ever", 0.0, "no alarm E2 on record", "从无 E2 报警"),
        ("ticket_count_fault_30d", 2.0, "2 tickets of type fault in 30 days", "近 30 天工单创建（类型 fault）2 次"),
        ("service_days_since_last_pump", 41.3, "41 days since the last service of pump", "距上次 pump 维保 41 天"),
        ("service_days_since_last_轴承", 1.0, "1 day since the last service of 轴承", "距上次轴承维保 1 天"),
        ("service_days_since_last_轴承", math.nan, "no service of 轴承 on record", "无轴承维保记录"),
        ("alarm_count_since_service", 5.0, "5 alarms since the last service", "上次维保以来报警 5 次"),
        ("ticket_open", 0.0, "no open ticket", "没有未关闭工单"),
        ("calendar_weekday", 0.0, "the weekday is Monday", "当天是星期一"),
        ("calendar_month", 6.0, "the month is 6", "月份为 6"),
    ],
)  # fmt: skip
def test_a_value_reads_as_a_technician_would_say_it(name: str, value: object, english: str, chinese: str) -> None:
    assert TOLD[name].say(value) == Words(english, chinese)


@pytest.mark.parametrize(
    ("sentence", "value", "english", "chinese"),
    [
        (attribute("asset_model"), "M3", "asset model = M3", "机型 = M3"),
        (attribute("asset_model"), None, "asset model is not known", "机型未知"),
        (IN_SERVICE, 412.4, "412 days in service", "已投用 412 天"),
        (WARRANTY, -12.0, "warranty ended 12 days before", "已过保 12 天"),
        (due(noun_words(Words("planned maintenance", "计划维保"), "component", "泵")), -1.0,
         "planned maintenance of 泵 1 day overdue", "泵计划维保已逾期 1 天"),
        (baseline_shift(PRESSURE, 7, "bar"), -1.2,
         "mean of pressure over 7 d is 1.2 bar below its own baseline", "压力 7 天均值比自身基线低 1.2 bar"),
        (ahead("installed_at"), -3.0, "3 days to installed at", "距投用还有 3 天"),
        (plain(Words("hot", "热"), "K"), 3.0, "hot: 3 K", "热：3 K"),
    ],
)  # fmt: skip
def test_what_groups_word_themselves(sentence: Sentence, value: object, english: str, chinese: str) -> None:
    assert sentence.say(value) == Words(english, chinese)


def test_names_of_a_company_may_hold_whatever_a_pattern_may() -> None:
    odd = Words("{0} {x} 100%", "{0} {x} 100%")
    assert baseline_shift(odd, 1, SIGMA).say(2.0).en == "mean of {0} {x} 100% over 1 d is 2σ above its own baseline"
    assert attribute("asset_model").say("{value}{s}").en == "asset model = {value}{s}"


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_number_is_said_rounded_and_never_by_a_power_of_ten(value: float) -> None:
    for feature in (*TOLD.values(), Feature("f", "number", "", Words("it", "它"), "sql")):
        said = feature.say(value)
        assert "{" not in said.en + said.zh
        assert said.en
        assert math.isinf(value) or abs(value) < 1e-3 or "e+" not in said.en
        if math.isfinite(value) and 1e-4 < abs(value) < 999:
            digits = [c for c in since(Words("x", "x")).say(value).en.split(" day")[0].lstrip("-0.") if c.isdigit()]
            assert len(digits) <= 3


def test_windows_and_statistics_of_one_thing_are_views_of_one_quantity() -> None:
    def of(*names: str) -> set[str]:
        return {TOLD[name].quantity for name in names}

    channel = [n for n in TOLD if n.startswith("reading_pressure_") and n != "reading_pressure_count_7d"]
    assert len(channel) == 11
    assert of(*channel) == {"readings.pressure"}
    assert of("reading_pressure_count_7d", "reading_silence_hours", "reading_rate_1d_30d") == {"readings"}
    assert of("alarm_count_e2_1d", "alarm_count_e2_7d", "alarm_count_e2_ever") == {"alarms.code=e2"}
    assert of("alarm_count_7d", "alarm_count_since_service") == {"alarms"}
    assert of("ticket_count_30d", "ticket_open") == {f.quantity for f in Since(CLOSED).features()} == {"tickets"}
    assert of("service_days_since_last_pump") == {"services.component=pump"}
    repeats = Counts(Events("ticket_repeat", "tickets", repeat_days=30, where=(("origin", "x"),)), (90,)).features()
    assert repeats[0].quantity == "tickets.repeated.origin=x"


def test_neither_wording_nor_quantity_is_part_of_what_a_feature_is() -> None:
    one, other = (Feature("f", "number", "", Words(w, w), "t", quantity=w, sentence=attribute(w)) for w in "ab")
    assert one == other
    assert repr(one) == repr(other)
    assert one.fingerprint == other.fingerprint
