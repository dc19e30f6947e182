"""A risk backtest on one page: what the model is worth in a sentence, pictures, tables, how it was judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from features.wording import singular
from features.workspace import Workspace
from ml.audit import Audit
from ml.backtest import Backtest
from ml.economics import Economics
from ml.policy import PolicyConfig
from ml.quality import AtCapacity, Quality
from ml.report import Wording, rendered
from ml.risk_tables import advantage_line, audit_line, tables

__all__ = ["RiskPage", "artifacts", "plots", "risk_page", "worth"]


@dataclass(frozen=True)
class RiskPage:
    """What the page shows.

    Attributes
    ----------
    name
        The workspace's.
    policy
        By whose costs and crews the rules were compared.
    notes
        What a reader must know.
    """

    name: str
    tested: Backtest
    policy: PolicyConfig
    audited: Audit
    notes: tuple[str, ...] = ()
    language: str = "en"

    @classmethod
    def of(
        cls, workspace: Workspace, tested: Backtest, audited: Audit, notes: tuple[str, ...], language: str = ""
    ) -> RiskPage:
        """The page of a workspace's backtest, in its language where none is named."""
        own, policy = workspace.config.workspace, workspace.config.section("policy", PolicyConfig)
        return cls(own.name, tested, policy, audited, notes, language or own.language)

    @property
    def decisive(self) -> Quality:
        """The model at the decision horizon."""
        return self.tested.quality("model", self.tested.decision_days)

    @property
    def followed(self) -> Economics | None:
        """The ticket policy's rule at the capacity nearest to the policy's own; None where no rule was compared."""
        own = [one for one in self.tested.economics if one.rule == "index"]
        return min(own, key=lambda one: abs(one.capacity - self.policy.capacity_per_run), default=None)

    @property
    def crews(self) -> AtCapacity | None:
        """Figures at the capacity nearest to the policy's own."""
        k = self.policy.capacity_per_run
        return min(self.decisive.at_capacity, key=lambda at: abs(at.k - k), default=None)


@dataclass(frozen=True)
class _Tile:
    """One figure that a reader should take away."""

    value: str
    name: str
    beside: str


def risk_page(page: RiskPage, drawn: Mapping[str, str] | None = None) -> str:
    """Render the page as HTML that needs nothing from elsewhere.

    Parameters
    ----------
    drawn
        What :func:`plots` gave, where it was drawn already.

    Raises
    ------
    ValueError
        The page's language is not one of :data:`ml.report.LANGUAGES`.
    """
    words = Wording(page.language)
    return rendered(
        "risk.html.j2", page=page, tested=page.tested, language=page.language, t=words.cell, said=words.said,
        worth=worth(page), ranked=advantage_line(page.tested, words), tiles=list(_tiles(page, words)),
        plots=plots(page.tested, page.language) if drawn is None else drawn, tables=list(tables(page.tested, words)),
        failure=_amount(page.policy.failure_cost), visit=_amount(page.policy.visit_cost),
        audit=singular(audit_line(page.audited, words)), leaks=[words.said(one.sentence) for one in page.audited.leaks],
    )  # fmt: skip


def plots(tested: Backtest, language: str = "en") -> dict[str, str]:
    """Every chart that has something to show, as SVG by its name."""
    from ml.charts import svg
    from ml.risk_charts import CHARTS

    words = Wording(language)
    drawn = {name: svg(partial(declare, tested, words)) for name, declare in CHARTS.items()}
    return {name: picture for name, picture in drawn.items() if picture}


def artifacts(page: RiskPage) -> dict[str, bytes]:
    """The page and its pictures as files by name, drawn once: ``report.html`` and ``plots/*.svg``."""
    drawn = plots(page.tested, page.language)
    files = {f"plots/{name}.svg": picture for name, picture in drawn.items()}
    return {name: text.encode() for name, text in (files | {"report.html": risk_page(page, drawn)}).items()}


def worth(page: RiskPage) -> str:
    """What the model is worth, in one sentence."""
    words = Wording(page.language)
    followed, quality = page.followed, page.decisive
    if followed is None and quality.positives:
        pattern = (
            "Within {days:g} d it ranks failures with an average precision of {ours}; a random ranking has {random}."
        )
        ours = f"{_two(quality.average_precision)} ({_range(quality, 'average_precision')})"
        return words.cell(pattern, days=quality.horizon_days, ours=ours, random=_two(quality.base_rate))
    if followed is None or not followed.replayed.run_to_failure:
        return words.cell("No failure happened in the test window: what the model is worth cannot be told.")
    done = followed.replayed
    pattern = (
        "With at most {capacity} visits a night where the ticket policy puts them, {prevented:,} of {failures:,} failures "
        "of the test window would have been prevented, at {relative:.0%} of the cost of doing nothing."
        if done.relative < 1
        else "With at most {capacity} visits a night where the ticket policy puts them, {prevented:,} of {failures:,} "
        "failures of the test window would have been prevented, but at {relative:.0%} of the cost of doing nothing: "
        "the visits would not have paid."
    )
    told = {"prevented": done.prevented, "failures": done.prevented + done.failures, "relative": done.relative}
    return singular(words.cell(pattern, capacity=followed.capacity, **told))


def _tiles(page: RiskPage, words: Wording) -> Iterator[_Tile]:
    """The few figures at the decision horizon that stand first."""
    quality, days, followed, crews = page.decisive, page.tested.decision_days, page.followed, page.crews
    if followed is not None:
        saved = words.cell("at K = {k}; {visits:,} visits", k=followed.capacity, visits=followed.replayed.visits)
        yield _Tile(_share(followed.replayed.relative), words.cell("cost against doing nothing"), saved)
    if crews is not None:
        name = words.cell("failures caught, lead > {lead:g} d", lead=crews.min_lead_days)
        beside = words.cell("at K = {k}", k=crews.k)
        if crews.caught > 0:
            beside = words.cell("at K = {k}; median lead {days:.1f} d", k=crews.k, days=crews.median_lead_days)
        yield _Tile(_share(crews.caught), name, beside)
    random = words.cell(
        "{range}; random {base}", range=_range(quality, "average_precision"), base=_two(quality.base_rate)
    )
    yield _Tile(_two(quality.average_precision), words.cell("average precision, {days:g} d", days=days), random)
    name = words.cell("observed / expected, {days:g} d", days=days)
    sure = words.cell("{range}; 1 is as promised", range=_range(quality, "observed_over_expected"))
    yield _Tile(_two(quality.observed_over_expected), name, sure)


def _amount(cost: float) -> str:
    """A cost for a sentence: 84,700 and never 8.47e+04."""
    return f"{round(cost):,}" if cost >= 100 else f"{cost:.3g}"


def _range(quality: Quality, figure: str) -> str:
    sure = quality.intervals[figure]
    return f"{_two(sure.low)}–{_two(sure.high)}"


def _two(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"  # noqa: PLR0124 - not a number


def _share(value: float) -> str:
    return "–" if value != value else f"{value:.0%}"  # noqa: PLR0124 - not a number
