"""Why a row, a value or a table cannot be used as it is: one code, its meaning, what to do.

The codes are shared by ``ingest`` (which writes them into the quarantine) and ``validate``
(which counts them). They are stable: reports, tests and users' own scripts name them.
Chinese wording lives beside the report's template (``ml/templates``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["REASONS", "Reason", "blamed", "reason"]


@dataclass(frozen=True)
class Reason:
    """One code of trouble.

    Attributes
    ----------
    meaning
        What is wrong, as a phrase that follows ``table.column:``.
    advice
        What to do now, as an imperative.
    """

    code: str
    meaning: str
    advice: str


def _reasons(*entries: tuple[str, str, str]) -> Mapping[str, Reason]:
    return MappingProxyType({code: Reason(code, meaning, advice) for code, meaning, advice in entries})


REASONS: Mapping[str, Reason] = _reasons(
    # rows and values that ingest sets aside
    ("missing_key", "a column of the key is empty",
     "Deliver the id, or leave such rows out in the source's query"),
    ("missing_required", "a required value is empty", "Deliver it, or leave such rows out in the source's query"),
    ("bad_type", "the value cannot be read as the column's type",
     "Convert it in the source's query (TRY_CAST shows where)"),
    ("naive_stamp", "the stamp carries no zone, and the source declares none",
     "Declare `zone` for the source, e.g. zone = \"Asia/Shanghai\""),
    ("mixed_zones", "stamps with and without a zone stand in one column",
     "Give every stamp a zone in the source's query"),
    ("future_stamp", "the stamp lies in the future",
     "Check the zone of the source and the clock of the machine or desk that wrote it; leave planned work out"),
    ("ancient_stamp", "the stamp lies before 1980: a stand-in for 'unknown', or a machine's clock that was reset",
     "Turn stand-ins into NULL in the source's query; set the machine's clock"),
    ("known_before_event", "the row was known before it happened",
     "Check `known_at` or `change_column`: it must say when this state of the row was recorded; check both zones"),
    ("duplicate_key", "the key occurs more than once in one delivery, with the same values",
     "Nothing is lost: one copy was kept. Remove the duplicates at the source when you can"),
    ("conflicting_duplicate", "the key was delivered before with other values",
     "If the source may correct its facts, declare corrections = true; else find out which value is right"),
    ("late_version", "a version older than the one that is stored: history is not rewritten",
     "Deliver versions in the order in which they became known, or take the source in again with --rebuild"),
    ("bad_state", "the word is not in the closed vocabulary",
     "Map the source's words to the vocabulary with CASE in its query; `docs/data-dictionary.md` lists it"),
    ("not_finite", "the value is NaN or infinite", "Turn it into NULL in the source's query"),
    ("out_of_range", "the value is outside the range that can be meant",
     "Check unit and channel; correct the declared range if the value is genuine"),
    ("below_minimum", "the value is below the smallest that can be meant",
     "Turn stand-ins such as -1 into NULL in the source's query"),
    ("unknown_zone", "the site's zone is not a name of the IANA list", "Use a name such as Asia/Shanghai"),
    # contradictions inside a row
    ("ends_before_start", "the end lies before the start",
     "Check which column holds which stamp, and their zones"),
    ("steps_out_of_order", "a step of the life-cycle is stamped before the step that it follows",
     "Check which column holds which stamp; stamps entered afterwards are usually the cause"),
    ("retired_before_installed", "end of service lies before its start",
     "Deliver the start of the present service, and no `retired_at` for an asset in service again"),
    ("zero_position", "the position is 0, 0: usually a stand-in for 'unknown'",
     "Turn it into NULL in the source's query"),
    ("passed_first_only", "passed at the first attempt, yet not passed in the end",
     "Check the mapping of both columns"),
    ("no_value", "the row holds no value in any channel", "Leave such rows out; silence is seen without them"),
    # tables as a whole
    ("not_connected", "the table holds no rows", "Connect a source for it"),
    ("not_ingested", "a source is declared for the table, which holds no rows",
     "Run `foremend ingest`; if that was done, see which rows the source's query finds"),
    ("many_missing", "more than half of the values are missing", "Deliver them where the source has them"),
    ("stand_in", "a word stands in for nothing ('?', 'n/a' ...)",
     "Turn it into NULL in the source's query, e.g. nullif(column, '?')"),
    ("key_in_two_sources", "the same key comes from two sources",
     "Let one source own the key; the version known last counts meanwhile"),
    ("unknown_reference", "the id points to nothing",
     "Deliver the missing rows, or write the id as the other table writes it (blanks, leading zeros, letter case)"),
    ("not_quite_the_same", "the id would match but for blanks, letter case or leading zeros",
     "Write the id alike in both sources' queries"),
    ("before_installed", "it happened more than a day before the asset was installed",
     "Check the machine's clock, and whether `installed_at` is the first installation"),
    ("plan_by_usage", "the plan goes by usage and has no `due_at`: it gives no feature",
     "Deliver `due_at` as the source foresees it, or `interval_days` with `last_done_at`"),
    # the history of a ticket
    ("event_without_opened", "the ticket has events, and none of them is `opened`",
     "Deliver the opening as an event: it starts the clock of every indicator"),
    ("event_before_opened", "the event lies before the ticket was opened", "Check the stamps and their zone"),
    ("event_after_closed", "work on the ticket after it was closed or cancelled, and not reopened",
     "Deliver the reopening as an event; else response and repair times are wrong"),
    ("arrived_before_dispatched", "the engineer arrived before the ticket was dispatched",
     "Check the order; dispatches entered afterwards are usually the cause"),
    ("reopened_while_open", "reopened without having been resolved, closed or cancelled",
     "Deliver the closing as an event, or map the word to another state"),
    ("closed_without_event", "closed in `tickets`, and `ticket_events` has no closing",
     "Deliver the closing as an event"),
    ("event_unlike_ticket", "the events' opening differs from the ticket's by more than an hour",
     "Find out which of both stamps is right; check the zones of both sources"),
    # readings
    ("stuck_readings", "the value did not change for longer than `stuck_hours`",
     "Look at the sensor; a channel that rests rightly needs a longer stuck_hours"),
    ("silent_asset", "in service, and no reading for days while others deliver",
     "Look at gateway and sensor; enter `retired_at` if the asset is out of service"),
    ("never_read", "in service, and never a reading while others deliver",
     "Check that both sources write the asset's id alike; else the asset has no sensors"),
    ("undeclared_channel", "the channel is not declared",
     "Declare [channels.NAME] with unit, range and stuck_hours, so that impossible values can be seen"),
    ("channel_without_readings", "the channel is declared, and no source delivers it",
     "Deliver it, or take the declaration away"),
    ("known_late", "rows become known long after they happened",
     "Nothing to mend: features wait for them. If a delay is usual, declare it as delay_hours"),
    ("stale", "nothing has become known for days: this is the newest row of all tables",
     "Run `foremend ingest` and check that the sources still deliver; for a finished history set [time] now"),
    # what counts as a failure
    ("no_failure_rule", "no rule says which records are failures", "Declare [[failures]] in foremend.toml"),
    ("no_failures", "the failure rule finds none",
     "Correct its query: `foremend labels` shows what it finds"),
    ("failure_incomplete", "failures without an asset or a time are left out",
     "Deliver the asset, or leave such rows out in the rule"),
    ("failure_without_asset", "the failure's asset is not in `assets`: it cannot be used",
     "Deliver the asset, or write its id as `assets` writes it"),
)  # fmt: skip
"""Every code, in the order of a report."""


def blamed(places: str, code: str) -> tuple[str, ...]:
    """The columns that a row's places name for a code.

    >>> blamed("bad_type:due_at,bad_type:done_at,no_value", "bad_type")
    ('due_at', 'done_at')
    """
    pairs = (place.partition(":") for place in places.split(","))
    return tuple(column for named, _, column in pairs if named == code and column)


def reason(code: str) -> Reason:
    """Look a code up; a company's own code, or one of a newer version, means what it says."""
    return REASONS.get(code, Reason(code, code.replace("_", " "), "See [[rules]] in foremend.toml"))
