"""The only SQL: one DuckDB store, opened by one process."""
