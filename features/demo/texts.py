"""What people write: names, subjects and descriptions, in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from features.demo.world import REGIONS

__all__ = ["ALARM_TEXTS", "FINDINGS", "customer_names", "describe", "engineer_names"]

Texts = NDArray[np.object_]

_INDUSTRIES = (
    "精密机械",
    "新能源",
    "纺织",
    "食品",
    "汽车零部件",
    "制药",
    "电子",
    "化工",
    "建材",
    "包装",
    "玻璃",
    "轮胎",
)
_WORDS = ("恒达", "瑞丰", "华鑫", "东泰", "金石", "宏远", "永盛", "天合", "国腾", "嘉禾", "中瑞", "博阳")
_ENGLISH = ("Hartmann", "Brightwell", "Nordic", "Apex", "Kestrel", "Orion", "Sterling", "Waypoint")
_TRADES = ("Pumps", "Packaging", "Textiles", "Foods", "Castings", "Plastics", "Motors", "Glass")
_PLACES = ("East China", "North China", "Northeast", "Central South", "Northwest", "Southwest")
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = ("伟", "强", "磊", "军", "洋", "勇", "杰", "涛", "明", "超", "秀英", "丽华", "建国", "志强", "海燕", "晓东")


def _pick(rng: np.random.Generator, choices: Sequence[str], size: int) -> Texts:
    return np.array(choices, dtype=object)[rng.integers(0, len(choices), size)]


def customer_names(rng: np.random.Generator, region: NDArray[np.int64], english: NDArray[np.bool_]) -> Texts:
    """A company's name per region ordinal; some are foreign companies with English names."""
    n = len(region)
    city = np.array([REGIONS[r].cities[0] for r in region], dtype=object)
    chinese = city + _pick(rng, _WORDS, n) + _pick(rng, _INDUSTRIES, n) + "有限公司"
    place = np.array([_PLACES[r] for r in region], dtype=object)
    foreign = _pick(rng, _ENGLISH, n) + " " + _pick(rng, _TRADES, n) + " (" + place + ") Ltd."
    return np.asarray(np.where(english, foreign, chinese))


def engineer_names(rng: np.random.Generator, size: int) -> Texts:
    """Names of people."""
    return np.asarray(_pick(rng, tuple(_SURNAMES), size) + _pick(rng, _GIVEN, size))


ALARM_TEXTS: Mapping[str, tuple[str, str]] = {
    "A101": ("warning", "主机振动偏高 / main bearing vibration high"),
    "A202": ("warning", "排气压力偏低 / discharge pressure low"),
    "A303": ("warning", "排气温度偏高 / discharge temperature high"),
    "A404": ("info", "控制器通讯重试 / controller communication retry"),
    "A900": ("info", "滤芯压差提示 / filter differential pressure notice"),
    "F001": ("critical", "故障停机 / emergency stop"),
}
"""Severity and message by alarm code."""

FINDINGS: Mapping[str, str] = {
    "bearing": "轴承磨损，已更换", "seal": "密封件泄漏，已更换",
    "cooler": "冷却器堵塞，已更换", "controller": "控制器损坏，已更换",
    "none": "未发现故障", "advice": "已指导用户操作", "routine": "按计划更换",
    "duplicate": "重复工单", "cancelled": "客户取消",
}  # fmt: skip
"""What the work found, by what it was."""

_SUBJECTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bearing": (
        ("主机异响振动大", "空压机震动严重", "轴承位置噪音大"),
        ("Loud bearing noise", "Strong vibration at the airend")),
    "seal": (("压力上不去", "漏油漏气", "排气压力低"), ("Pressure drops", "Oil leak at the shaft seal")),
    "cooler": (("高温停机", "排气温度过高", "温度报警频繁"), ("High temperature shutdown", "Unit overheats")),
    "controller": (
        ("控制面板黑屏", "设备无法启动", "控制器死机"), ("Controller screen is blank", "Unit does not start")),
    "question": (
        ("咨询加载卸载压力设置", "如何设置定时启停", "咨询润滑油型号"),
        ("How to set the load pressure", "Which oil to use")),
    "performance_fault": (("产气量不足", "能耗偏高", "偶发停机"), ("Low air delivery", "Occasional stops")),
    "hardware_damage": (("外壳变形", "显示屏碎裂", "管路接头损坏"), ("Broken display", "Damaged pipe fitting")),
    "maintenance": (
        ("申请更换三滤", "预约年度保养", "请求更换润滑油"), ("Request for filter change", "Annual maintenance visit")),
    "installation": (
        ("新机安装调试", "移机后重新调试", "联控参数配置"), ("Installation of a new unit", "Set-up after relocation")),
    "first_service": (("首保预约", "500小时首保"), ("First service, 500 hours",)),
    "billing": (
        ("发票问题", "对账咨询", "保修费用疑问"), ("Question about an invoice", "Warranty charge unclear")),
    "routine": (("计划性更换", "例行保养更换"), ("Planned replacement", "Routine replacement")),
}  # fmt: skip
_TROUBLE = ("bearing", "seal", "cooler", "controller", "performance_fault", "hardware_damage")
_OPENINGS = (
    ("客户来电反映：", "用户报修，", "现场人员反馈，", "微信报修："),
    ("Customer reports: ", "Site staff say: ", "By e-mail: "),
)
_URGENT = (
    ("，请尽快安排上门。", "，影响生产，急。", "，请联系现场王工。", "，已重启仍未恢复。", "。"),
    (". Please send someone.", ". Production is affected.", ". Restart did not help.", "."),
)
_CALM = (("，请联系现场王工。", "，方便时回电即可。", "。"), (". Please call back.", ". No hurry.", "."))


def describe(rng: np.random.Generator, topic: Texts, english: NDArray[np.bool_]) -> tuple[Texts, Texts]:
    """Subject and description per ticket, by topic (a component, a ticket type or ``routine``) and language."""
    subject = np.empty(len(topic), dtype=object)
    opening, ending = np.empty(len(topic), dtype=object), np.empty(len(topic), dtype=object)
    trouble = np.isin(topic.astype(str), _TROUBLE)
    for language in (0, 1):
        speaks = english == bool(language)
        opening[speaks] = _pick(rng, _OPENINGS[language], int(speaks.sum()))
        for endings, here in ((_URGENT, speaks & trouble), (_CALM, speaks & ~trouble)):
            ending[here] = _pick(rng, endings[language], int(here.sum()))
        for name, phrases in _SUBJECTS.items():
            here = speaks & (topic == name)
            subject[here] = _pick(rng, phrases[language], int(here.sum()))
    return subject, opening + subject + ending
