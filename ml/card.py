"""The model card: what a model is for, what it was made of, how good it is, and when it ends.

One page of Markdown, kept beside the model in its run and printed by ``foremend models --card``.

References
----------
Mitchell et al., *Model Cards for Model Reporting* (2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml.policy import PolicyConfig
from ml.protocol import SLICES
from ml.report import Wording

if TYPE_CHECKING:
    from features.workspace import Snapshot
    from ml.backtest import Backtest
    from ml.gates import Judgement
    from ml.material import Material
    from ml.quality import Quality

__all__ = ["CARD", "expiry", "model_card"]

CARD = "card.md"
"""Its name among the files of a run."""


def expiry(material: Material) -> datetime:
    """Until when a model of this material may be relied on: so long after the last data that it was judged on.

    Counted from there and not from the end of the training rows, which the division of the past puts
    a year back where history is long: the test window has shown that the model held until its end.
    """
    return material.split.observed_until + timedelta(days=material.config.expires_days)


def model_card(
    snapshot: Snapshot, material: Material, tested: Backtest, judged: Judgement, notes: Sequence[str], fingerprint: str
) -> str:
    """The card of a model that was just judged, in the language of the workspace.

    Parameters
    ----------
    notes
        What a reader of its figures must know.
    fingerprint
        Of the rows, as :meth:`ml.material.Material.fingerprint` gives it.
    """
    workspace = snapshot.workspace.config
    words = Wording(workspace.workspace.language)
    limits = (*map(words.said, notes), *_limits(workspace.section("policy", PolicyConfig)))
    sections = (
        ("## Intended use", _use(tested, words)),
        ("## Data", _data(snapshot, material, fingerprint)),
        ("## Figures", _figures(tested, words)),
        ("## Gates", [
            f"- {words.cell(name)}: {'passed' if one.passed else 'FAILED'}. {_sentence(words.said(one.reason), words)}."
            for name, one in judged.verdicts.items()
        ]),
        ("## Limits", [f"- {_sentence(text, words)}." for text in limits]),
        ("## Owner and expiry", [
            f"- Owner: {material.config.owner or workspace.workspace.name}",
            f"- Expires: {expiry(material):%Y-%m-%d}, {material.config.expires_days:g} days after the last data that it was "
            "judged on; `foremend score` says so from then on, and goes on",
        ]),
    )  # fmt: skip
    lines = [f"# Failure risk: {workspace.workspace.name}"]
    for title, body in sections:
        lines += ["", title, "", *body]
    return "\n".join(words.told(line, "card") for line in lines) + "\n"


def _use(tested: Backtest, words: Wording) -> Iterator[str]:
    comma = "、" if words.language == "zh-CN" else ", "
    horizons = comma.join(dict.fromkeys(f"{quality.horizon_days:g}" for quality in tested.qualities))
    yield (
        f"How likely each asset in service fails within {horizons} days, and by which of the modes "
        f"{comma.join(tested.modes)}; every night, to propose preventive visits, which a planner decides."
    )
    yield ""
    yield (
        "Not for what people's safety depends on, nor for judging people, suppliers or claims under warranty, nor for assets "
        "whose kind was not among those that it learnt from."
    )


def _data(snapshot: Snapshot, material: Material, fingerprint: str) -> Iterator[str]:
    split = material.split
    yield f"- Features at cut-offs {split.start:%Y-%m-%d} to {split.observed_until:%Y-%m-%d}, every {split.every_days} days"
    if split.train_until < split.observed_until:
        yield (
            f"- Learnt until {split.train_until:%Y-%m-%d}, calibrated until {split.calibrate_until:%Y-%m-%d}, judged until "
            f"{split.observed_until:%Y-%m-%d}"
        )
    train, calibrate, test = (f"{len(material.rows[name]):,}" for name in SLICES)
    yield f"- Rows (asset, cut-off): train {train}, calibrate {calibrate}, test {test}"
    yield f"- Failures in training: {material.taught():,}, of {material.grid['asset_id'].nunique():,} assets in all"
    yield f"- Failure rule: version {snapshot.workspace.config.failure_rule.version}"
    yield "- Tables at versions: " + ", ".join(f"{name} {version}" for name, version in snapshot.versions.items())
    yield f"- Fingerprints: features {material.feature_set.fingerprint}, rows {fingerprint}"


def _figures(tested: Backtest, words: Wording) -> Iterator[str]:
    yield f"On the test rows, once; {words.cell(tested.protocol)}. In brackets 95 % by bootstrap over assets."
    yield ""
    yield "| within | | rows / positive | average precision | Brier | observed / expected |"
    yield "|---|---|---|---|---|---|"
    for quality in tested.qualities:
        cells = (
            words.told(_sure(quality, name), "card")
            for name in ("average_precision", "brier", "observed_over_expected")
        )
        yield (
            f"| {words.cell('{days:g} d', days=quality.horizon_days)} | {words.cell(quality.model)} | {quality.rows:,} / {quality.positives:,} | "
            f"{' | '.join(cells)} |"
        )
    yield ""
    low, high = tested.advantage.low, tested.advantage.high
    yield f"Average precision within {tested.decision_days:g} d less that of age alone: {low:+.3f} to {high:+.3f}."
    yield ""
    for at in tested.quality("model", tested.decision_days).at_capacity:
        yield f"- With {at.k:,} visits a day {at.caught:.0%} of {at.events:,} failures are met more than {at.min_lead_days:g} d ahead."


def _sure(quality: Quality, name: str) -> str:
    figure, between = f"{getattr(quality, name):.4g}", quality.intervals.get(name)
    return f"{figure} ({between.low:.3g} to {between.high:.3g})" if between else figure


def _limits(policy: PolicyConfig) -> Iterator[str]:
    yield "It knows what the tables say: failures that nobody recorded did not happen for it"
    yield "Failure modes count as independent, given the features"
    yield "Its figures hold for a fleet and a time like those of the test window"
    yield (
        f"Savings assume that a visit prevents failures for {policy.protects_days:g} days, a failure costs "
        f"{policy.failure_cost:g} and a visit {policy.visit_cost:g}: what [policy] says, not what was measured"
    )


def _sentence(text: str, words: Wording) -> str:
    """A phrase as a sentence, its stop still to come; a Chinese one may begin with the name of a file."""
    first = text[:1].upper() if words.language == "en" else text[:1]
    return f"{first}{text[1:].removesuffix('.')}"
