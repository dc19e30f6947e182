"""What goes over the wire: queries, pages, and the one error body.

Instants are UTC in ISO 8601; what is missing is null and never left out.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

__all__ = [
    "AssetHealth", "Chance", "Cursor", "Explanation", "Forecast", "ForecastPage", "ForecastQuery", "Health", "Invalid",
    "ProblemBody", "Proposal", "ProposalPage", "ProposalQuery", "Quantile", "Reason", "RiskPage", "RiskQuery", "RiskScore",
]  # fmt: skip

Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
"""A name in a query; the store takes no NUL."""

Words = Annotated[list[Word], Field(max_length=100)]

Days = Annotated[float, PlainSerializer(lambda days: int(days) if days == int(days) else days, return_type=int | float)]
"""A number of days: 7, not 7.0."""

Probability = Annotated[float, Field(ge=0, le=1)]

SAVING = (
    "Expected saving of the visit, in the costs' currency: F (p_short + w (p_next - p_short)) - V, with [policy]'s "
    "failure_cost F, visit_cost V and later_weight w, and the probabilities of the two shortest horizons."
)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Query(BaseModel):
    """Parameters of a list; an unknown one is refused, for it would silently be no filter at all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=500, description="Rows of a page.")] = 100
    cursor: Annotated[str, Field(max_length=2000, description="`next_cursor` of the page before.")] | None = None

    def meaning(self) -> dict[str, Any]:
        """What the query asks for, apart from where in the list it stands."""
        return self.model_dump(mode="json", exclude={"limit", "cursor"})


class RiskQuery(_Query):
    """Filters and order of risk scores."""

    asset: Annotated[Words, Field(description="Only these assets; repeat the parameter for several.")] = []
    region: Annotated[Words, Field(description="Only these regions.")] = []
    asset_model: Annotated[Words, Field(description="Only these models of machine.")] = []
    horizon: (
        Annotated[float, Field(gt=0, le=10_000, description="Days; one of the model's. The shortest if absent.")] | None
    ) = None
    min_probability: Annotated[Probability, Field(description="Within `horizon`.")] | None = None
    sort: Literal["-probability", "probability", "-value", "asset_id", "-asset_id"] = "-probability"


class ForecastQuery(_Query):
    """Filters of forecasts."""

    region: Annotated[Words, Field(description="Only these regions.")] = []
    ticket_type: Annotated[Words, Field(description="Only these types of ticket.")] = []
    model: Annotated[Word, Field(description="The champion's if absent.")] | None = None


class ProposalQuery(_Query):
    """Filters of proposals."""

    asset: Annotated[Words, Field(description="Only these assets.")] = []
    region: Annotated[Words, Field(description="Only these regions.")] = []
    state: list[Literal["proposed", "expired"]] = []


class Chance(_Answer):
    """The probability of a failure within a horizon."""

    horizon_days: Days
    probability: Probability


class Reason(_Answer):
    """What moved the hazard that is explained; windows and statistics of one quantity are one reason."""

    quantity: Annotated[str | None, Field(description="What it is about.", examples=["readings.pressure"])] = None
    feature: Annotated[
        str, Field(description="The view of it that pulls most its way.", examples=["reading_pressure_z_7d"])
    ]
    value: Annotated[
        float | str | None, Field(description="Of `feature`; null where nothing was known.", examples=[2.31])
    ]
    contribution: Annotated[float, Field(description="In log-odds, of all its views together.", examples=[0.84])]
    merged: Annotated[int | None, Field(description="How many views of it move anything.", examples=[6])] = None
    text: Annotated[
        str,
        Field(
            description="In the language asked for.",
            examples=["mean of pressure over 7 d is 2.3σ above its own baseline"],
        ),
    ]


class Explanation(_Answer):
    """Which hazard the reasons explain: the one, of a failure mode in an interval, that carries most of the probability.

    `base`, the contributions of all reasons and `rest` add up to the log-odds of `hazard`.
    """

    failure_mode: str
    from_days: Days
    to_days: Days
    share: Annotated[Probability, Field(description="Its part of the probability at the decision horizon.")]
    hazard: Annotated[Probability, Field(description="Of a failure in the interval, for who reaches its start.")]
    base: Annotated[float, Field(description="Log-odds before any reason.")]
    rest: Annotated[float, Field(description="Of what is too weak to be listed.")]


class AssetHealth(_Answer):
    """How an asset's risk compares with that of the fleet that was trained on, as a grade."""

    grade: Annotated[
        Literal["A", "B", "C", "D", "E"],
        Field(description="Failures are expected less than 1, 2, 4, 8 times as fast as on average; E: faster still."),
    ]
    text: Annotated[str, Field(description="In the language asked for.", examples=["watch"])]
    horizon_days: Days
    base_rate: Annotated[Probability, Field(description="Share of the training rows that failed within the horizon.")]


class _Provenance(_Answer):
    """By what, when and on which data a score was made."""

    as_of: datetime
    scored_at: datetime
    data_as_of: datetime
    model_version: str
    calibration_status: str


class _Explained(_Provenance):
    """On what a score rests, and why it is what it is."""

    basis: Annotated[
        Literal["asset", "asset_model", "fleet"] | None,
        Field(description="The asset's own history, or what is known of its model, or of the fleet."),
    ]
    health: Annotated[AssetHealth | None, Field(description="Null where the model knows no base rate.")]
    rul_days: Annotated[float | None, Field(description="Remaining life, at most the longest horizon.")]
    rul_reason: Annotated[str | None, Field(description="Why `rul_days` is null; empty where it is not.")]
    explanation: Annotated[Explanation | None, Field(description="Null where nothing is recorded of the asset.")]
    reasons: list[Reason]


class RiskScore(_Explained):
    """One asset's risk."""

    asset_id: str
    asset_model: str | None
    region: str | None
    failure_mode: str
    probabilities: list[Chance]
    value: Annotated[float, Field(description="Expected saving of a visit now, in the costs' currency.")]
    decision: Annotated[str, Field(description="`proposed`, or why not.")]


class Proposal(_Explained):
    """A preventive visit that is proposed."""

    external_key: str
    state: str
    automation: str
    rank: int
    asset_id: str
    asset_model: str | None
    region: str | None
    failure_mode: str
    value: Annotated[float, Field(description=SAVING)]
    probability: Annotated[Probability, Field(description="Of a failure within `horizon_days`.")]
    horizon_days: Annotated[Days, Field(description="Whichever of the two shortest horizons carries most of `value`.")]
    probabilities: list[Chance]
    why: str


class Quantile(_Answer):
    """A quantile of the tickets in a period."""

    quantile: Probability
    tickets: float


class Forecast(_Answer):
    """Tickets expected in one period."""

    unique_id: str
    region: str | None
    ticket_type: str | None
    period: Annotated[datetime, Field(description="Start of the period, on the site's own clock.")]
    frequency: str
    model: str
    tickets: float
    quantiles: list[Quantile]
    as_of: datetime
    created_at: datetime


class _Page(_Answer):
    has_more: bool
    next_cursor: str | None


class RiskPage(_Page):
    """Risk scores of the newest run."""

    data: list[RiskScore]


class ForecastPage(_Page):
    """The newest stored forecast."""

    data: list[Forecast]


class ProposalPage(_Page):
    """Proposals, the newest first."""

    data: list[Proposal]


class Health(_Answer):
    """The service answers."""

    status: Literal["ok"] = "ok"


class Invalid(_Answer):
    """One thing that is wrong with a request."""

    part: Annotated[str, Field(alias="in", description="query, path, header or body")]
    pointer: Annotated[str, Field(description="JSON pointer to the value, within that part")]
    detail: str


class ProblemBody(_Answer):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None
    errors: list[Invalid]


class Cursor(BaseModel):
    """Where a list goes on: opaque to the client, and bound to the query and the run it came from."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    run: str
    asked: str
    after: list[Any]

    def encode(self) -> str:
        """As text for a URL."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Read what :meth:`encode` wrote.

        Raises
        ------
        ValueError
            It is not one of ours.
        """
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            return cls.model_validate(json.loads(raw))
        except (binascii.Error, UnicodeError, json.JSONDecodeError, RecursionError) as error:
            raise ValueError("not a cursor") from error
