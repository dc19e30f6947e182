"""``foremend init`` and ``foremend ingest``, as a person meets them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.cli import run

TOML = """
[workspace]
id = "commands"
[time]
now = 2024-06-30T16:00:00Z
[sources.machines]
table = "assets"
query = "SELECT * FROM 'machines.csv'"
[sources.alarms]
table = "alarms"
zone = "UTC"
query = "SELECT * FROM 'alarms.csv'"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "foremend.toml").write_text(TOML)
    (tmp_path / "machines.csv").write_text("asset_id,region\nA1,east\nA2,west\n")
    (tmp_path / "alarms.csv").write_text("asset_id,event_time,code\nA1,2024-01-01,E1\n,2024-01-01,E1\n")
    return tmp_path


def test_init_writes_a_workspace_and_says_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "fleet")]) == 0
    said = capsys.readouterr().err
    assert "foremend.toml" in said
    assert f"foremend -w {tmp_path / 'fleet'} ingest --dry-run" in said
    assert run(["-w", str(tmp_path / "fleet"), "ingest"]) == 2
    assert "no source is declared" in capsys.readouterr().err


def test_init_never_overwrites(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(folder)]) == 2
    assert "a workspace already" in capsys.readouterr().err
    assert (folder / "foremend.toml").read_text() == TOML


def test_ingest_prints_what_each_source_brought_and_what_comes_next(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-w", str(folder), "ingest"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["source", "table", "read", "written", "quarantined", "unchanged", "version", "s"]
    assert lines[1][:7] == ["machines", "assets", "2", "2", "0", "0", "0"]
    assert lines[2][:7] == ["alarms", "alarms", "2", "1", "1", "0", "0"]
    assert "\nalarms: missing_key: 1 row: a column of the key is empty\n" in out
    assert '  e.g. asset_id: {"asset_id":null,"event_time":"2024-01-01","code":"E1"}' in out
    assert "1 row went to quarantine" in err
    assert "validate" in err
    assert run(["-w", str(folder), "ingest"]) == 0
    assert "Nothing new" in capsys.readouterr().err


def test_ingest_speaks_the_workspaces_language_and_json_does_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = TOML.replace('id = "commands"', 'id = "commands"\nlanguage = "zh-CN"')
    (folder / "foremend.toml").write_text(toml)
    assert run(["-w", str(folder), "ingest", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out.split()[:8] == ["来源", "表", "读取", "将写入", "隔离", "未变", "版本", "秒"]
    assert "\nalarms：missing_key：1 行：主键列为空\n  例：asset_id: {" in out
    said = f"1 行将进入隔离区，原因见上。\n没有写入任何数据。下一步：foremend -w {folder} ingest\n"
    assert err == f"machines …\nalarms …\n{said}"
    assert run(["-w", str(folder), "ingest", "--json", "alarms"]) == 0
    assert "a column of the key is empty" in capsys.readouterr().out


@pytest.mark.parametrize(("language", "label"), [("en", "e.g. asset_id: "), ("zh-CN", "例：asset_id: ")])
def test_an_example_of_the_companys_data_stands_as_it_is(
    language: str, label: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "foremend.toml").write_text(TOML.replace("[time]", f'language = "{language}"\n[time]'))
    (folder / "machines.csv").write_text("asset_id,note\nA1,\n,serial: pump A: 3 rows: see 1 tickets\n")
    assert run(["-w", str(folder), "ingest", "machines"]) == 0
    shown = f'{label}{{"asset_id":null,"note":"serial: pump A: 3 rows: see 1 tickets"}}'
    assert f"  {shown}\n" in capsys.readouterr().out
    run(["-w", str(folder), "validate"])
    assert shown.removeprefix("e.g. ") in capsys.readouterr().out


def test_errors_of_a_dry_run_and_what_init_says_are_english(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = TOML.replace("[time]", 'language = "zh-CN"\n[time]').replace("alarms.csv", "none: 12 rows.csv")
    (folder / "foremend.toml").write_text(toml)
    assert run(["-w", str(folder), "ingest", "--dry-run"]) == 2
    told = capsys.readouterr().err
    (line,) = (line for line in told.splitlines() if line.startswith("  alarms: "))
    assert line.isascii()
    assert run(["-w", str(folder), "init", str(folder / "another")]) == 0
    assert f"Then: foremend -w {folder / 'another'} ingest" in capsys.readouterr().err


@pytest.mark.parametrize("language", ['"fr"', "7", '"zh-CN', "{}"])
def test_a_language_that_cannot_be_meant_is_told_in_english(
    language: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "foremend.toml").write_text(TOML.replace("[time]", f"language = {language}\n[time]"))
    assert run(["-w", str(folder), "ingest"]) == 2
    assert "foremend.toml" in capsys.readouterr().err


def test_ingest_gives_json_on_stdout_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", str(folder), "ingest", "--json", "alarms"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result.pop("seconds") > 0
    (why,) = result.pop("reasons")
    assert result == {
        "source": "alarms", "table": "alarms", "read": 2, "written": 1, "quarantined": 1, "unchanged": 0, "version": 0,
        "rebuilt": False,
    }  # fmt: skip
    assert json.loads(why.pop("example"))["asset_id"] is None
    meaning = "a column of the key is empty"
    assert why == {"code": "missing_key", "rows": 1, "meaning": meaning, "columns": ["asset_id"]}


def test_an_example_of_a_wide_row_is_cut_on_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "alarms.csv").write_text(f"asset_id,event_time,code\n,2024-01-01,{'E' * 500}\nA1,2024-01-01,E\n")
    assert run(["-w", str(folder), "ingest", "--dry-run"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "e.g." in line)
    assert len(line) < 180
    assert line.endswith("E…")


def test_a_dry_run_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", str(folder), "ingest", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "would write" in out
    assert "Nothing was written" in err
    assert not (folder / "tables").exists()
    assert not (folder / "quarantine").exists()


def test_a_changed_query_stops_with_exit_2_until_it_is_rebuilt(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-w", str(folder), "ingest"]) == 0
    (folder / "foremend.toml").write_text(TOML.replace("SELECT * FROM 'mach", "SELECT asset_id FROM 'mach"))
    assert run(["-w", str(folder), "ingest"]) == 2
    assert "another query" in capsys.readouterr().err
    assert run(["-w", str(folder), "ingest", "--rebuild", "machines"]) == 0
    assert run(["-w", str(folder), "ingest"]) == 0


def test_a_dry_run_judges_a_changed_query_as_a_rebuild_and_names_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-w", str(folder), "ingest"]) == 0
    (folder / "foremend.toml").write_text(TOML.replace("SELECT * FROM 'mach", "SELECT asset_id FROM 'mach"))
    capsys.readouterr()
    assert run(["-w", str(folder), "ingest", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split()[:6] == ["machines", "assets", "2", "2", "0", "0"]
    assert "another query: judged as a rebuild. Run `foremend ingest --rebuild machines`" in err
    assert f"Then: foremend -w {folder} ingest --rebuild machines alarms\n" in err
    assert run(["-w", str(folder), "ingest", "--dry-run", "--rebuild", "machines"]) == 0
    assert f"Then: foremend -w {folder} ingest --rebuild machines\n" in capsys.readouterr().err
    assert run(["-w", str(folder), "ingest", "--dry-run", "alarms"]) == 0
    assert f"Then: foremend -w {folder} ingest alarms\n" in capsys.readouterr().err


def test_an_ingest_that_stops_tells_what_was_written_and_what_was_not_tried(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = "".join(f"[sources.{name}]\ntable = 'alarms'\nquery = 'SELECT 1'\n" for name in ("bad", "later", "last"))
    (folder / "foremend.toml").write_text(TOML + more)
    assert run(["-w", str(folder), "ingest"]) == 2
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["source", "machines", "alarms"]
    assert "Not tried: later, last\nforemend: foremend.toml [sources.bad]" in err
    assert run(["-w", str(folder), "ingest", "--json"]) == 2
    assert [one["source"] for one in json.loads(capsys.readouterr().out)] == ["machines", "alarms"]


RULE = "[[rules]]\ntable = 'assets'\ncode = 'own'\nadvice = 'x'\n"


@pytest.mark.parametrize(
    ("change", "args", "says"),
    [
        (("machines.csv", "${NO_SUCH_VAR}/machines.csv"), [], "NO_SUCH_VAR is not set"),
        (("machines.csv", "absent.csv"), [], "absent.csv"),
        (("SELECT * FROM 'm", "SELEKT * FROM 'm"), [], "syntax error"),
        (("SELECT * FROM 'm", r"SELECT *\n FORM 'm"), [], "(line 2: FORM 'machines.csv')"),
        (("SELECT *", "SELECT assetid"), [], 'Candidate bindings: "asset_id"'),
        (("SELECT *", "SELECT asset_id::INTEGER AS asset_id"), [], "TRY_CAST"),
        (("machines.csv", "gbk.csv"), [], "iconv -f GB18030 -t UTF-8"),
        (("machines.csv", "broken.parquet"), [], "broken.parquet"),
        (("machines.csv", "cut.parquet"), [], "cut.parquet"),
        (("SELECT *", "SELECT region"), [], "no column 'asset_id'"),
        (('table = "assets"', 'table = "asset"'), [], "Did you mean 'assets'"),
        (('table = "assets"\n', ""), [], "'table' is missing"),
        (('zone = "UTC"', 'zone = "Asia/Shangai"'), [], "Did you mean 'Asia/Shanghai'"),
        (('zone = "UTC"', ""), [], "carry no zone"),
        (("[sources.machines]", f"{RULE}where = 'asset_id ='\n[sources.machines]"), [], "[[rules]] own: Parser Error"),
        (("[sources.machines]", f"{RULE}where = 'asset_id::INT > 3'\n[sources.machines]"), [], "[[rules]] own: Conv"),
        (
            (
                "[sources.machines]",
                '[connections.c]\nurl = "postgresql://u:pw1234@127.0.0.1:1/x"\n[sources.machines]\nconnection = "c"',
            ),
            [],
            "cannot be reached",
        ),
        (("[sources.machines]", "[sorces.machines]"), [], "Did you mean 'sources'"),
        (("[workspace]", "[workspace]\nformat = 99"), [], "Update foremend"),
        (("", ""), ["machine"], "Did you mean 'machines'"),
        (("", ""), ["--rebuild", "machine"], "Did you mean 'machines'"),
        (("", ""), ["--rebild", "machines"], "--rebuild"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_2(
    folder: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], args: list[str], says: str
) -> None:
    (folder / "foremend.toml").write_text(TOML.replace(*change, 1) if change[0] else TOML)
    (folder / "gbk.csv").write_bytes("asset_id,region\nA1,华东\n".encode("gbk"))
    (folder / "broken.parquet").write_bytes(b"PAR1 no footer PAR1")
    (folder / "cut.parquet").write_bytes(b"PAR1")
    assert run(["-w", str(folder), "ingest", *args]) == 2
    *progress, last = capsys.readouterr().err.splitlines()
    assert says in last
    assert "pw1234" not in last
    assert [
        line
        for line in progress
        if "…" not in line and "Not tried: alarms" not in line and not line.startswith(("Usage", "Try"))
    ] in ([], [""])


def test_a_workspace_of_the_command_line_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", str(tmp_path / "nowhere"), "ingest"]) == 2
    assert "foremend init" in capsys.readouterr().err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB, mounted for the test."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


BIG = "SELECT 'A' || (i % 9) AS asset_id, TIMESTAMP '2024-01-01' + to_seconds(i) AS event_time, md5(i::VARCHAR) AS code"


@pytest.fixture
def loaded(small_disk: Path) -> Path:
    """A workspace with 100 committed alarms on a disk of 3 MB."""
    connect(small_disk, 100)
    assert run(["-w", str(small_disk), "ingest"]) == 0
    return small_disk


def connect(folder: Path, rows: int) -> None:
    toml = '[workspace]\nid = "small"\n[sources.s]\ntable = "alarms"\nzone = "UTC"\n'
    (folder / "foremend.toml").write_text(f'{toml}query = "{BIG} FROM range({rows}) t(i)"\n')


def test_a_full_disk_is_said_so_at_whatever_step_and_leaves_what_was_committed(
    loaded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from features.workspace import Workspace

    codes, sizes = [], (8_000, 10_000, 12_000, 16_000, 25_000, 400_000)  # commit, verdicts, casts, staging
    for rows in sizes:
        connect(loaded, rows)
        codes.append(run(["-w", str(loaded), "ingest", "--rebuild", "s"]))
        err = capsys.readouterr().err
        assert ("The disk is full" in err) == (codes[-1] == 1), err
        count = Workspace.open(loaded).pin().connect().execute("SELECT count(*) FROM alarms").fetchall()
        assert count[0][0] in ({rows} if codes[-1] == 0 else {100, *sizes})
    assert set(codes) == {0, 1}


@pytest.mark.parametrize("gone", [True, False])
def test_a_damaged_file_of_a_table_is_a_fault_of_one_line_that_names_it(
    folder: Path, capsys: pytest.CaptureFixture[str], *, gone: bool
) -> None:
    assert run(["-w", str(folder), "ingest"]) == 0
    (file,) = (folder / "tables" / "assets").glob("*.parquet")
    file.unlink() if gone else file.write_bytes(b"PAR1 not a footer PAR1")
    capsys.readouterr()
    for words in (["ingest"], ["validate"]):
        assert run(["-w", str(folder), *words]) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("foremend: ")
        assert file.name in last
        assert "backup" in last


def test_a_second_command_on_the_workspace_is_refused_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from features.workspace import Workspace

    with Workspace.open(folder).writing("foremend ingest"):
        assert run(["-w", str(folder), "ingest"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "another command is writing: `foremend ingest`, process" in line


def test_a_workspace_may_lie_in_a_folder_of_any_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder.rename(folder.parent / "华东 service's fleet")
    for written in (2, 0):
        assert run(["-w", str(place), "ingest", "--json"]) == 0
        machines, alarms = json.loads(capsys.readouterr().out)
        assert (machines["written"], alarms["written"]) == (written, written // 2)
    assert run(["-w", str(place), "validate", "--json"]) == 2  # without failures
    report = json.loads(capsys.readouterr().out)
    assert [(aside["code"], aside["rows"]) for aside in report["set_aside"]] == [("missing_key", 1)]


def test_a_word_that_is_not_known_is_told_beside_those_that_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    services = (
        "[sources.services]\ntable = 'services'\nquery = "
        "\"SELECT 's1' AS service_id, 'A1' AS asset_id, 'pump' AS component, 'greased' AS action, TIMESTAMPTZ '2024-01-02 00:00:00+00' AS performed_at\"\n"
    )
    (folder / "foremend.toml").write_text(TOML + services)
    run(["-w", str(folder), "ingest", "services", "--dry-run"])
    assert "action ∈ {replaced, serviced, inspected}" in "".join(capsys.readouterr())


def test_a_table_that_has_a_source_and_no_rows_is_not_called_unconnected(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-w", str(folder), "ingest", "machines"]) == 0
    capsys.readouterr()
    run(["-w", str(folder), "validate"])
    out = capsys.readouterr().out
    assert "alarms: a source is declared for the table, which holds no rows" in out
    assert "alarms" not in next(line for line in out.splitlines() if "not connected (" in line)
