"""What the made-up world consists of: screw compressors, their parts, and who serves them.

All figures are chosen, none is borrowed: rates that give a fleet a few failures per machine and
year, of which some announce themselves and some do not.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date

import numpy as np

__all__ = [
    "BAD_BATCH", "BLOCK", "CHANNELS", "COMPONENTS", "END", "MODELS", "ORGANISATIONS", "PARTS", "REGIONS",
    "TICKET_TYPES", "Channel", "Component", "MachineModel", "Part", "Region", "TicketType", "stream",
]  # fmt: skip

BLOCK = 100
"""Machines made at once. A block is always made whole and cut afterwards, so a machine's life does not depend on
the size of the fleet."""

END = date(2026, 1, 1)
"""Local date at whose beginning the history ends."""


@dataclass(frozen=True)
class Component:
    """A part of the machine that fails by itself.

    Attributes
    ----------
    channel, effect
        Channel that shows its degradation and the full shift in spreads; empty where none does.
    onset_days, onset_shape
        Weibull scale (days of age) and shape of the onset of degradation; 0 never degrades.
    sojourn_days
        Mean days from onset to failure.
    sudden_days, sudden_shape
        Weibull scale and shape of failures without degradation.
    interval_days
        Routine replacement; 0 has none.
    """

    name: str
    chinese: str
    channel: str
    effect: float
    onset_days: float
    onset_shape: float
    sojourn_days: float
    sudden_days: float
    sudden_shape: float
    interval_days: int
    alarm: str


COMPONENTS = (
    Component("bearing", "轴承", "vibration", 6.2, 560.0, 2.2, 5.0, 2500.0, 1.2, 480, "A101"),
    Component("seal", "密封件", "pressure", -6.0, 480.0, 1.8, 4.0, 2500.0, 1.1, 360, "A202"),
    Component("cooler", "冷却器", "temperature", 6.0, 620.0, 2.0, 6.0, 2900.0, 1.2, 420, "A303"),
    Component("controller", "控制器", "", 0.0, 0.0, 1.0, 0.0, 1000.0, 1.3, 0, "A404"),
)


@dataclass(frozen=True)
class Channel:
    """A sensor channel: level, spread between readings, and what moves it (in spreads)."""

    name: str
    unit: str
    low: float
    high: float
    level: float
    spread: float
    load: float
    summer: float
    chinese: str
    english: str


CHANNELS = (
    Channel("pressure", "bar", 0.0, 16.0, 7.5, 0.22, 0.5, -0.2, "排气压力", "discharge pressure"),
    Channel("vibration", "mm/s", 0.0, 30.0, 2.8, 0.32, 0.8, 0.1, "振动", "vibration"),
    Channel("temperature", "°C", -40.0, 160.0, 78.0, 2.6, 0.9, 1.6, "排气温度", "discharge temperature"),
    Channel("current", "A", 0.0, 400.0, 62.0, 3.8, 1.5, 0.4, "电流", "motor current"),
)


@dataclass(frozen=True)
class MachineModel:
    """A machine's model: share of the fleet, hazard relative to the others, shift of all levels in spreads."""

    name: str
    share: float
    hazard: float
    shift: float


MODELS = (
    MachineModel("LG-22A", 0.30, 0.75, -1.5),
    MachineModel("LG-37A", 0.30, 1.0, 0.0),
    MachineModel("LG-55V", 0.25, 1.15, 1.2),
    MachineModel("LG-75V", 0.15, 1.5, 2.5),
)
BATCHES = ("B2101", "B2107", "B2201", "B2207", "B2301", "B2307")
BAD_BATCH = ("LG-37A", "B2207", "bearing", 3.0)
"""Model, batch and component with a hazard this many times the others'."""


@dataclass(frozen=True)
class Region:
    """A service region: share of customers, yearly growth of demand, cities and a point on the map."""

    name: str
    share: float
    growth: float
    cities: tuple[str, ...]
    latitude: float
    longitude: float


REGIONS = (
    Region("华东", 0.30, 0.12, ("上海", "苏州", "杭州", "宁波"), 31.2, 120.6),
    Region("华北", 0.18, 0.05, ("北京", "天津", "石家庄"), 39.3, 116.4),
    Region("东北", 0.10, -0.04, ("沈阳", "大连", "长春"), 42.1, 123.5),
    Region("中南", 0.22, 0.15, ("武汉", "长沙", "广州", "深圳"), 27.9, 113.3),
    Region("西北", 0.08, 0.02, ("西安", "兰州", "乌鲁木齐"), 35.6, 106.3),
    Region("西南", 0.12, 0.20, ("成都", "重庆", "昆明"), 29.1, 105.2),
)
ORGANISATIONS = tuple(
    (f"{r.name}代表处", f"{r.cities[0]}恒力经销商", f"{r.cities[1]}华配供应商") for r in REGIONS
)  # fmt: skip
"""Per region: a representative office, a dealer and a supplier."""


@dataclass(frozen=True)
class TicketType:
    """Organic demand of one type.

    Attributes
    ----------
    per_day
        Tickets per machine and ordinary workday.
    weekend
        Weekend day relative to a workday; holidays are a fifth lower.
    summer
        Amplitude of the year; `peak` is its day of year.
    festival
        How far Spring Festival empties it, 0 to 1.
    promotion
        Relative rise during a promotion.
    remote
        Share solved without a visit.
    """

    name: str
    chinese: str
    per_day: float
    weekend: float
    summer: float
    peak: int
    festival: float
    promotion: float
    remote: float


TICKET_TYPES = (
    TicketType("question", "使用咨询", 0.026, 0.45, 0.08, 200, 0.70, 0.35, 0.95),
    TicketType("performance_fault", "性能故障", 0.010, 0.60, 0.30, 205, 0.55, 0.05, 0.35),
    TicketType("hardware_damage", "硬件损坏", 0.004, 0.55, 0.15, 15, 0.55, 0.00, 0.05),
    TicketType("maintenance", "保养", 0.012, 0.20, 0.20, 100, 0.85, 0.10, 0.00),
    TicketType("installation", "安装调试", 0.006, 0.25, 0.15, 130, 0.90, 0.60, 0.10),
    TicketType("first_service", "首保", 0.003, 0.20, 0.10, 160, 0.85, 0.25, 0.00),
    TicketType("billing", "账务", 0.006, 0.06, 0.05, 350, 0.90, 0.15, 1.00),
)


@dataclass(frozen=True)
class Part:
    """A part in stock: its class, cost, lead time, stock and weight."""

    part_id: str
    name: str
    component: str
    part_class: str
    unit_cost: float
    lead_time_days: float
    on_hand: float
    weight_kg: float


PARTS = tuple(
    Part(f"P-{100 * (c + 1) + p}", f"{component.chinese}{kind}", component.name, grade, cost, lead, stock, weight)
    for c, component in enumerate(COMPONENTS)
    for p, (kind, grade, cost, lead, stock, weight) in enumerate(
        (
            ("总成", "A", 5200.0, 14.0, 12.0, 18.0),
            ("维修包", "B", 860.0, 7.0, 60.0, 2.5),
            ("附件", "C", 95.0, 3.0, 400.0, 0.3),
        )
    )
)


def stream(seed: int, name: str, block: int = 0) -> np.random.Generator:
    """The random numbers of one purpose in one block; no purpose disturbs another."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), block])
