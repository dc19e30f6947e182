"""Where data come from: the only room that knows.

A source is a query: DuckDB SQL over files (CSV, Parquet, JSON, globs; Excel through
``read_excel('file.xlsx', 'Sheet')``), or the database's own SQL over a connection. Rows come out
as Arrow tables, a batch at a time, named and valued as the source says them; what they mean is
decided in :mod:`features.ingest`.
"""

from features.sources.batches import Since
from features.sources.reading import read

__all__ = ["Since", "read"]
