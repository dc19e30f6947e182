"""Files for people: whole or as they were, wherever they may be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from features.errors import UserError
from serving.files import as_cell, written, written_if_asked


def put(path: Path, text: str) -> None:
    with written(path) as beside:
        beside.write_text(text, encoding="utf-8")


def test_missing_folders_are_made_and_nothing_is_left_beside(tmp_path: Path) -> None:
    put(tmp_path / "a" / "b" / "report.html", "whole")
    put(tmp_path / "a" / "b" / "report.html", "newer")
    (file,) = (p for p in tmp_path.rglob("*") if p.is_file())
    assert file == tmp_path / "a" / "b" / "report.html"
    assert file.read_text() == "newer"
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    put(tmp_path / "report.html", "old")
    with pytest.raises(KeyError), written(tmp_path / "report.html") as beside:  # noqa: PT012
        beside.write_text("ha")
        raise KeyError("half")
    assert (tmp_path / "report.html").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_file_that_stays_empty_takes_nobodys_place(tmp_path: Path) -> None:
    put(tmp_path / "f.parquet", "old")
    with written(tmp_path / "f.parquet"), written(tmp_path / "g.parquet"):
        pass
    assert (tmp_path / "f.parquet").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.parquet"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/proc/nowhere/r.html", "/proc/nowhere/r.html: cannot be written: No such file or directory. Name another"),
        ("{0}/file/r.html", "file/r.html: cannot be written: a part of the path is a file, not a folder"),
        ("{0}/file/deeper/r.html", "a part of the path is a file, not a folder"),
        ("{0}/" + "long" * 80, "cannot be written: File name too long"),
    ],
)
def test_where_nothing_can_be_written_one_sentence_says_so_before_the_work(
    tmp_path: Path, path: str, says: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught, written(Path(path.format(tmp_path))):
        pytest.fail("the work began")
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_who_may_read_a_file_stays_as_it_was_also_while_it_is_written(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "report.html"
    put(file, "old")
    file.chmod(mode)
    with written(file) as beside:
        assert beside.stat().st_mode & 0o077 == mode & 0o077
        beside.write_text("new")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", mode)


@pytest.mark.parametrize("cell", ["=1+1", "@x", "+cmd|'/c calc'!A0", "-1+1", "\t=1"])
def test_a_cell_that_begins_like_a_formula_is_text(cell: str) -> None:
    assert as_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-3.5", "-1e-07", "+4", "a=b", "", "阀门"])
def test_numbers_and_other_text_stay_as_they_are(cell: str) -> None:
    assert as_cell(cell) == cell


def test_a_device_stays_a_device_and_a_link_a_link(tmp_path: Path) -> None:
    device = Path("/dev/null")
    (tmp_path / "null").symlink_to(device)
    put(tmp_path / "null", "gone")
    assert device.is_char_device()
    put(tmp_path / "real.html", "old")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    put(tmp_path / "link.html", "new")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text() == "new"


def test_what_is_not_asked_for_is_not_written() -> None:
    with written_if_asked(None) as beside:
        assert beside is None
