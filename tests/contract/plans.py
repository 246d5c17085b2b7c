"""How SQLite goes about the statements that a test has made."""

from typing import Any

from sqlalchemy.event import listen

from argus_server.storage.store import SqlStore


def plans_of_reads(store: SqlStore, table: str) -> list[str]:
    """Return a list to which each statement that reads `table` from now on adds its plan, a step a line."""
    plans: list[str] = []

    def explain(
        connection: Any, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool
    ) -> None:
        if f"FROM {table}" in statement and not statement.startswith("EXPLAIN"):
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            plans.append("\n".join(row[-1] for row in rows))

    listen(store._reader, "before_cursor_execute", explain)
    return plans
