"""The migrations make the tables that the code believes in."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from unit.server.wire import failed, start

from argus_server.storage.schema import metadata
from argus_server.storage.store import open_store


def test_migrating_an_empty_database_gives_the_tables_of_the_code(tmp_path):
    store = open_store(str(tmp_path / "argus.sqlite3"))

    with store._reader.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    store.close()


def test_a_database_of_the_first_version_is_brought_to_this_one(tmp_path):
    path = str(tmp_path / "argus.sqlite3")
    store = open_store(path)
    store.add_events([start("j"), failed("j")])
    with store._writer.begin() as connection:
        for column in (
            "job.outcome",
            "metric_key.declared",
            "project.is_public",
            "token.expires_us",
            "token.last_used_us",
            "session.last_used_us",
        ):
            table, _, name = column.partition(".")
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {name}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    store.close()

    store = open_store(path)
    summary = store.queries.job("p", "b", "j").summary
    store.add_events([failed("j", at=20, status="interrupted")])
    later = store.queries.job("p", "b", "j").summary
    store.close()

    assert (summary.status, summary.interrupted, later.interrupted) == ("failed", False, True)


def test_the_project_stands_first_in_every_key():
    for table in metadata.tables.values():
        if "project_id" in table.c:
            for constraint in [table.primary_key, *table.indexes, *table.constraints]:
                columns = [column.name for column in constraint.columns]
                assert columns[0] == "project_id", f"{table.name}: {columns}"


def test_every_commit_reaches_the_disk(tmp_path):
    store = open_store(str(tmp_path / "argus.sqlite3"))

    with store._writer.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    store.close()
