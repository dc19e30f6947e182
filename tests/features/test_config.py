"""``foremend.toml``: what can be meant, and what is said about the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from features.config import FORMAT, OWNED_ABOVE, Source, expand, load, parse
from features.errors import ConfigError
from features.selection import check_own
from features.template import make_workspace

HEAD = '[workspace]\nid = "x"\n'
SOURCE = '[sources.s]\ntable = "assets"\nquery = "SELECT 1"\n'


def test_the_written_file_loads_as_it_is_and_with_every_example_taken_in(tmp_path: Path) -> None:
    path = make_workspace(tmp_path / "fleet", 'Service "East" \\ 华东')
    config = load(path)
    assert config.workspace.name == 'Service "East" \\ 华东'
    assert len(config.workspace.id) == 12
    assert config.workspace.format == FORMAT
    assert config.sources == {}

    full = parse(HEAD + "\n".join(examples(path.read_text(encoding="utf-8"))))
    assert set(full.sources) == {"machines", "gateway", "crm_tickets"}
    assert set(full.channels) == {"temperature"}
    assert full.failure_rule.version == 1
    assert [rule.code for rule in full.rules] == ["closed_without_finding"]
    assert {name: bool(group.sql) for name, group in full.features.items()} == {"hot": False, "visits": True}
    check_own(full.features)
    assert set(full.above) == set(OWNED_ABOVE)  # their keys: tests/serving/test_sections.py


def test_the_further_keys_of_a_source_are_keys(tmp_path: Path) -> None:
    text = make_workspace(tmp_path / "fleet", "x").read_text(encoding="utf-8")
    more = text.partition("# More keys of a source:\n")[2].partition("\n\n")[0]
    keys = re.findall(r"^#   (\w+ = (?:\{.*?\}|\S+))", more, re.MULTILINE)
    assert len(keys) == len(more.splitlines()) == 4
    assert parse(HEAD + SOURCE + "\n".join(keys)).sources["s"].reveals == {"finding": "resolved_at"}


def examples(text: str) -> list[str]:
    """The commented examples: each from its ``# [`` to the next empty comment or line that is none."""
    found: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        inside = line.startswith("# [") or (inside and line.startswith("# "))
        if line.startswith("# ["):
            found.append([])
        if inside:
            found[-1].append(line[2:])
    return ["\n".join(lines) for lines in found]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[channels.x]\nrange = [150, -40]", "[channels.x]: range = [150, -40]: expected two numbers, the smaller first"),
        ("[channels.x]\nrange = [-40]", "[channels.x]: range = [-40]: expected two numbers"),
        ("[channels.x]\nrange = [1, 2, 3]", "[channels.x]: range = [1, 2, 3]: expected two numbers"),
        ("[channels.x]\nrange = [nan, 1]", "expected two numbers"),
        ("[channels.x]\nlabel = {english = 'x'}", "'english' is no language. Known: en, zh-CN."),
        ("[channels.x]\nlabel = {zh-cn = 'x'}", "'zh-cn' is no language. Did you mean 'zh-CN'?"),
        ("[channels.x]\nlabel = 'x'", "[channels.x]: label = 'x': expected a section, or { key = value }."),
        ("[channels.X]\nunit = 'bar'", "[channels]: the name 'X': expected small letters"),
        ("[time]\ncutoff_utc = '25:00'", "[time]: cutoff_utc = '25:00': expected a time of day"),
        ("[[failures]]\nversion = 1", "[[failures]] number 1: the key 'query' is missing"),
        ("[[failures]]\nversion = 1\nquery = 'x'\nnoet = 'x'", "[[failures]] number 1: unknown key 'noet'"),
        ("[features.own]\nentries = 'x'", "[features.own]: entries = 'x': expected a list, in square brackets."),
        ("[features.own]\nentries = [1]", "[features.own] entries number 1: 1: expected a section"),
        ("failures = 'x'", "failures = 'x': expected a list"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_said_in_words_of_the_file(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text + "\n" + HEAD)
    assert said in str(raised.value)


def test_every_workspace_gets_an_id_of_its_own(tmp_path: Path) -> None:
    ids = {load(make_workspace(tmp_path / str(n), "x")).workspace.id for n in range(5)}
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[workspace]\nid = 'x'\nnam = 'y'", r"\[workspace\].*'nam'.*Did you mean 'name'"),
        (HEAD + "[sorces.s]\ntable='assets'", "'sorces'.*Did you mean 'sources'"),
        (HEAD + SOURCE + "delay = 3", r"\[sources\.s\].*'delay'.*Did you mean 'delay_hours'"),
        (HEAD + "[sources.s]\nquery = 'SELECT 1'", r"\[sources\.s\].*'table' is missing"),
        (HEAD + "[sources.s]\ntable = 'asets'\nquery = 'x'", r"'asets'.*Did you mean 'assets'"),
        (HEAD + SOURCE + "connection = 'crn'\n[connections.crm]\nurl = 'sqlite://'", "'crn'.*Did you mean 'crm'"),
        (HEAD + SOURCE + "delay_hours = -1", "delay_hours = -1: input should be greater"),
        ("[workspace]\nid = 'x'\nlanguage = 'zh'", r"language = 'zh': input should be 'en' or 'zh-CN'"),
        (HEAD + SOURCE + "form = 'tall'", "form = 'tall'"),
        (HEAD + "[time]\ncutoff_utc = '25:00'", r"\[time\].*cutoff_utc = '25:00'"),
        (HEAD + "[time]\nnow = 2024-01-01T00:00:00", "has no zone"),
        (HEAD + "[channels.t]\nrange = [1]", r"\[channels\.t"),
        (HEAD + "[channels.'Bad Name']\nunit = 'x'", "Bad Name"),
        (HEAD + "[[failures]]\nversion = 1\nquery = 'a'\n[[failures]]\nversion = 1\nquery = 'b'", "repeat"),
        (HEAD + "[[rules]]\ntable = 'alarm'\ncode = 'x'\nwhere = 'true'\nadvice = 'a'", "Did you mean 'alarms'"),
        (HEAD + SOURCE + "zone = 'Asia/Shangai'", r"\[sources\.s\] zone.*'Asia/Shangai'.*Did you mean 'Asia/Shanghai'"),
        (HEAD + SOURCE + "zone = 'shanghai'", "Did you mean 'Asia/Shanghai'"),
        (HEAD + SOURCE + "zone = '../etc'", "no time zone"),
        (HEAD + "[time]\nzone = 'Europe/Berln'", r"\[time\] zone.*Did you mean 'Europe/Berlin'"),
        (HEAD + "[time]\nzone = 'CST8'", "no time zone"),
        ("workspace = 3", "workspace"),
        (f"risk = 3\n{HEAD}", "foremend.toml: risk = 3: expected a section"),
        ("[workspace\nid = 1", "not valid TOML.*line 1"),
        ("", "'workspace' is missing"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_place_and_the_nearest_right_word(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse(text)
    assert "foremend.toml" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_workspace_of_a_newer_version_is_refused() -> None:
    with pytest.raises(ConfigError, match=rf"format {FORMAT + 1}.*at most {FORMAT}.*Update foremend"):
        parse(f'[workspace]\nid = "x"\nformat = {FORMAT + 1}\nsomething_new = true')


@pytest.mark.parametrize("written", ['"99"', "2.0", "1.0", '"1"', "true", "0", "-1", "[1]"])
def test_a_format_that_no_version_writes_is_refused_before_all_else(written: str) -> None:
    with pytest.raises(ConfigError, match=r"\[workspace\]: format = .* is no format.*whole number 1.*update foremend"):
        parse(f'[workspace]\nid = "x"\nformat = {written}\nsomething_new = true')


def test_a_file_that_is_missing_or_not_utf8_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="foremend init DIR"):
        load(tmp_path / "foremend.toml")
    (tmp_path / "folder" / "foremend.toml").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "folder" / "foremend.toml")
    (tmp_path / "foremend.toml").write_bytes('[workspace]\nid = "中"'.encode("gbk"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "foremend.toml")


def test_without_a_failure_rule_the_error_shows_one() -> None:
    with pytest.raises(ConfigError, match=r"\[\[failures\]\].*SELECT asset_id"):
        _ = parse(HEAD).failure_rule


def test_the_highest_version_of_the_failure_rule_is_in_force() -> None:
    rules = "".join(f"[[failures]]\nversion = {n}\nquery = 'q{n}'\n" for n in (2, 10, 3))
    assert parse(HEAD + rules).failure_rule.query == "q10"


def test_variables_are_expanded_and_a_missing_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_A", "one")
    monkeypatch.delenv("FLEET_B", raising=False)
    assert expand("x/${FLEET_A}/$FLEET_A/${FLEET_A}", "here") == "x/one/$FLEET_A/one"
    with pytest.raises(ConfigError, match=r"here: the variable FLEET_B is not set.*export FLEET_B"):
        expand("${FLEET_B}", "here")


def test_a_fingerprint_changes_with_what_rows_mean_and_with_nothing_else() -> None:
    base = {"table": "alarms", "query": "SELECT 1"}
    meaning = {"table": "services", "query": "SELECT 2", "connection": "c", "system": "s", "zone": "UTC",
               "delay_hours": 1.0, "known_at": "k", "form": "long"}  # fmt: skip
    handling = {"change_column": "c", "corrections": True, "full": True, "reveals": {"finding": "closed_at"}}
    original = Source(**base).fingerprint()  # type: ignore[arg-type]
    changed = {name: Source(**{**base, name: value}).fingerprint() for name, value in meaning.items()}  # type: ignore[arg-type]
    assert len({original, *changed.values()}) == len(meaning) + 1
    for name, value in handling.items():
        assert Source(**{**base, name: value}).fingerprint() == original  # type: ignore[arg-type]


def test_a_section_of_a_package_above_is_read_into_its_own_dataclass() -> None:
    @dataclass(frozen=True)
    class Risk:
        capacity: int = 5

    config = parse(HEAD + "[risk]\ncapacity = 7")
    assert config.section("risk", Risk) == Risk(7)
    assert config.section("forecast", Risk) == Risk()
    with pytest.raises(ConfigError, match=r"\[risk\].*'capasity'.*Did you mean 'capacity'"):
        parse(HEAD + "[risk]\ncapasity = 7").section("risk", Risk)
