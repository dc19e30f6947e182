"""Words for people, in both languages beside each other: what tables and columns are called, and windows.

The entries of :mod:`features.point_in_time` make the meanings of features from them. What a company
names itself (components, codes, columns of its own) is data and stands in both as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "AsIs", "Words", "after", "attribute_words", "column_words", "days_words", "label_words", "length_words", "noun_words", "row_words",
    "singular", "told_words", "within_regime",
]  # fmt: skip


class AsIs(str):
    """A text that is said as it is: worded already, or not ours to word."""

    __slots__ = ()


@dataclass(frozen=True)
class Words:
    """One thing said in English and in Simplified Chinese."""

    en: str
    zh: str

    def said(self, language: str) -> str:
        """In one language: ``zh-CN``, else English."""
        return self.zh if language == "zh-CN" else self.en

    def as_dict(self) -> dict[str, str]:
        """By language, as it is stored."""
        return {"en": self.en, "zh-CN": self.zh}


_ROWS: Mapping[str, str] = MappingProxyType(
    {
        "assets": "设备", "tickets": "工单", "ticket_events": "工单事件", "alarms": "报警", "readings": "读数",
        "services": "维保", "maintenance_plans": "维保计划", "customers": "客户", "contracts": "合同",
        "engineers": "工程师", "work_logs": "工作记录", "parts": "备件", "part_orders": "备件申请",
        "calendar_events": "日历事件", "complaints": "投诉", "approvals": "审批", "inspections": "质检",
        "failures": "故障",
    }
)  # fmt: skip
"""What a row of each table is called; in English the table's name says it, in the plural."""

_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "asset_model": "机型", "asset_class": "类别", "batch": "批次", "region": "区域", "organisation": "服务组织",
        "installed_at": "投用", "warranty_until_at": "保修截止", "retired_at": "退役",
        "code": "代码", "severity": "级别", "component": "部件", "action": "作业", "reason": "原因", "initiator": "发起方",
        "ticket_type": "类型", "channel": "渠道", "priority": "优先级", "origin": "来源", "skill": "技能",
        "finding": "诊断结果", "cause": "原因", "verified_by": "验证方", "csat": "满意度", "nps": "净推荐值",
        "labour_hours": "工时", "cost": "费用", "state": "状态", "activity": "活动", "failure_mode": "故障模式",
    }
)  # fmt: skip
"""What columns of the catalogue are called, where features name them."""


def row_words(table: str) -> Words:
    """What one row of a table is called, in the singular; English forms the plural with an s."""
    return Words(table.replace("_", " ").removesuffix("s"), _ROWS[table])


def column_words(name: str) -> Words:
    """What a column is called; a company's own column by its name."""
    return Words(name.replace("_", " "), _COLUMNS.get(name, name))


def attribute_words(name: str) -> Words:
    """What an attribute of an asset is called."""
    column = column_words(name)
    return Words(f"{column.en} of the asset", after("设备", column.zh))


def label_words(name: str, label: Mapping[str, str]) -> Words:
    """What a channel is called: its label in each language, else its name."""
    return Words(label.get("en") or name, label.get("zh-CN") or name)


def within_regime(channel: Words) -> Words:
    """What a channel is called where its readings are seen among those of the same regime."""
    return Words(f"{channel.en} within its regime", f"{channel.zh}（工况内）")


def length_words(window: float) -> Words:
    """How long a window is: ``7d`` and ``7 天``, ``6h`` and ``6 小时``."""
    count, en, zh = (round(window * 24), "h", "小时") if window < 1 else (round(window), "d", "天")
    return Words(f"{count}{en}", f"{count} {zh}")


def days_words(window: float) -> Words:
    """How long a window is, in full: ``7 days`` and ``7 天``.

    >>> days_words(7).en, days_words(1).en, days_words(.25).en
    ('7 days', '1 day', '6 hours')
    """
    count, en, zh = (round(window * 24), "hour", "小时") if window < 1 else (round(window), "day", "天")
    return Words(f"{count} {en}{'' if count == 1 else 's'}", f"{count} {zh}")


def noun_words(row: Words, column: str = "", value: str = "") -> Words:
    """Rows with one value of a column, as they are called in a sentence; the English noun is left open for its plural.

    >>> noun_words(Words("alarm", "报警"), "code", "E2"), noun_words(Words("service", "维保"), "component", "轴承")
    (Words(en='alarm{s} E2', zh='E2 报警'), Words(en='service{s} of 轴承', zh='轴承维保'))
    """
    if not column:
        return Words(f"{row.en}{{s}}", row.zh)
    if column in {"code", "component", "failure_mode"}:
        return Words(f"{row.en}{{s}} {'' if column == 'code' else 'of '}{value}", after(value, row.zh))
    told = told_words([(column, value)])
    en = f" of type {value}" if column == "ticket_type" else told.en
    return Words(f"{row.en}{{s}}{en}", f"{row.zh}{told.zh}")


def told_words(told: Sequence[tuple[str, str]], more: Sequence[Words] = ()) -> Words:
    """Which of the rows: those with these values of columns, and what else holds of them; empty for all rows.

    >>> told_words([("code", "A101"), ("component", "pump")])
    Words(en=' of pump with code A101', zh='（部件 pump，代码 A101）')
    """
    first = sorted(told, key=lambda pair: pair[0] != "component")
    parts = [*(_valued(column, value) for column, value in first), *more]
    zh = "，".join(part.zh for part in parts)
    return Words("".join(f" {part.en}" for part in parts), f"（{zh}）" if zh else "")


def _valued(column: str, value: str) -> Words:
    words = column_words(column)
    return Words(f"of {value}" if column == "component" else f"with {words.en} {value}", f"{words.zh} {value}")


_NOUNS = (
    "row", "error", "warning", "note", "check", "failure", "ticket", "asset", "day", "repeat", "source", "rule",
    "visit", "leak", "cut-off", "feature", "machine", "instant", "stamp", "value",
)  # fmt: skip


def singular(text: str) -> str:
    """English text in which one of a thing is called so.

    >>> singular("1 rows, 11 rows, 1 warnings, 0 notes")
    '1 row, 11 rows, 1 warning, 0 notes'
    """
    return re.sub(rf"(?<![\d.,])1 ({'|'.join(_NOUNS)})s\b", r"1 \1", text)


def after(first: str, then: str) -> str:
    """Chinese text after a name: a space stands between them where either is Latin.

    >>> after("压力", "均值"), after("volt", "均值")
    ('压力均值', 'volt 均值')
    """
    return f"{first} {then}" if first[-1:].isascii() or then[:1].isascii() else first + then
