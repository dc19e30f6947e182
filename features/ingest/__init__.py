"""Sources into canonical tables: read, judged, set aside or committed together with their state.

::

    job ──► staging ──► publishing ──► quarantine (what cannot be used)
             │  ▲            └───────► commits    (one Delta commit per source)
    loads, casting, canonical, merging
"""

from features.ingest.commits import stale_since
from features.ingest.job import Ingested, ingest

__all__ = ["Ingested", "ingest", "stale_since"]
