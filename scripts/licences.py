"""Refuse runtime dependencies under GPL or AGPL, by SPDX id; LGPL is allowed.

Reads the names from ``requirements/run.lock`` and each licence from the installed package's own metadata. A package
whose metadata name no SPDX id is refused too, until a person has read its licence and listed it below with the reason.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements" / "run.lock"

FORBIDDEN = re.compile(r"^(A?GPL-|SSPL-|BUSL-)")

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "The Unlicense (Unlicense)": "Unlicense",
}

WORDS = {  # free-text `License:` fields of packages that were read
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "isc": "ISC",
    "lgpl-3.0-only": "LGPL-3.0-only",
    "mit": "MIT",
    "mit license": "MIT",
    "mit-0": "MIT-0",
    "mpl-2.0": "MPL-2.0",
    "mpl-2.0 and mit": "MPL-2.0 AND MIT",
    "psf-2.0": "PSF-2.0",
    "unlicense": "Unlicense",
}

READ_BY_A_PERSON = {
    "huey": "MIT",  # LICENSE: Copyright (c) 2017 Charles Leifer, the MIT text
    "skops": "MIT",  # LICENSE: Copyright (c) 2021 skops developers, the MIT text
}
"""Package → SPDX id, where the metadata are silent and somebody read the licence file."""


def runtime_packages(lock: str) -> list[str]:
    """Names pinned in a lock file."""
    return sorted(set(re.findall(r"^([A-Za-z0-9._-]+)==", lock, flags=re.MULTILINE)))


def spdx(name: str, meta: PackageMetadata) -> str:
    """The SPDX expression of a package, or the empty string where none can be told."""
    if name in READ_BY_A_PERSON:
        return READ_BY_A_PERSON[name]
    if expression := meta.get("License-Expression"):
        return expression
    found = [
        CLASSIFIERS.get(line.rpartition(" :: ")[2], "")
        for line in meta.get_all("Classifier") or []
        if line.startswith("License :: ") and not line.endswith("OSI Approved")
    ]
    if found:
        return " OR ".join(found) if all(found) else ""
    return WORDS.get((meta.get("License") or "").strip().lower(), "")


def refused(expression: str) -> bool:
    """True where no reading of the expression avoids a forbidden licence (``OR`` offers a choice)."""
    choices = re.split(r"\s+OR\s+", expression.replace("(", "").replace(")", ""))
    return all(any(FORBIDDEN.match(term) for term in re.split(r"\s+AND\s+", choice)) for choice in choices)


def main() -> int:
    """Print what is refused; 0 where nothing is."""
    wrong: list[str] = []
    checked = 0
    for name in runtime_packages(LOCK.read_text()):
        try:
            expression = spdx(name, metadata(name))
        except PackageNotFoundError:
            continue  # pinned for another platform or Python
        checked += 1
        if not expression:
            meta = metadata(name)
            wrong.append(f"{name}: no SPDX id can be told (License: {(meta.get('License') or '')[:60]!r})")
        elif refused(expression):
            wrong.append(f"{name}: {expression}")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"licences: {checked} runtime packages, {len(wrong)} refused")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
