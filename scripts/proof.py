"""``make proof [PART=name]``: what takes longer than ``make test`` allows, in parts with a time share each.

A part is a set of test files whose tests carry the ``proof`` mark; two files run side by side, parts one after the
other. What measures memory measures that of processes of its own. Time never decides: a part over its share is said,
not failed. Tests whose data or servers are absent skip with a reason; they are counted at the end.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Part:
    """Paths of tests and the share of the 50 minutes that they may take."""

    paths: tuple[str, ...]
    share_minutes: float


PARTS = {
    "foundation": Part(("tests/features/test_*.py",), 5.0),
    "risk": Part(("tests/ml/test_rare*.py", "tests/ml/test_demo_truth*.py", "tests/ml/test_azure*.py",
                  "tests/ml/test_cmapss*.py", "tests/ml/test_risk*.py", "tests/ml/test_train*.py",
                  "tests/ml/test_registry*.py", "tests/ml/test_audit*.py"), 10.0),
    "volume": Part(("tests/ml/test_emergency*.py", "tests/ml/test_volume*.py"), 0.5),
    "serving": Part(("tests/serving",), 3.0),
}  # fmt: skip


def run(name: str, part: Part) -> tuple[int, dict[str, int]]:
    """Run one part; its exit code and its counts."""
    paths = sorted(str(path.relative_to(ROOT)) for pattern in part.paths for path in ROOT.glob(pattern))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable, "-m", "pytest", "-m", "proof", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder",
            "--durations=5", "-rs",
            f"--junitxml={report}", *paths,
        ]  # fmt: skip
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        suite = ET.parse(report).getroot()[0].attrib if report.exists() else {}
    counts = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    if code == 5:  # pytest's word for: nothing was selected
        print(f"part {name} holds no proof", file=sys.stderr)
        code = 1
    return code, counts


def main(wanted: list[str]) -> int:
    """Run the wanted parts, or all; 0 where nothing failed."""
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"proof: no part {unknown[0]!r}. Known: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    lines, worst, passed, failed, skipped = [], 0, 0, 0, 0
    for name in wanted or PARTS:
        started = time.monotonic()
        code, counts = run(name, PARTS[name])
        minutes = (time.monotonic() - started) / 60
        broken = counts["failures"] + counts["errors"]
        passed, failed, skipped = (
            passed + counts["tests"] - broken - counts["skipped"], failed + broken, skipped + counts["skipped"],
        )  # fmt: skip
        worst = worst or code
        over = "  over its share" if minutes > PARTS[name].share_minutes else ""
        lines.append(
            f"{name:<10} {counts['tests']:>3} proofs, {broken} failed, {counts['skipped']} skipped, "
            f"{minutes:.1f} of {PARTS[name].share_minutes} min{over}"
        )
    print("\nproof, by part:", *lines, sep="\n")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
