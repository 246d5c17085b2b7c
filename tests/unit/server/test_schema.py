"""The migrations make the tables that the code believes in."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from argus_server.storage.schema import metadata
from argus_server.storage.store import open_store


def test_migrating_an_empty_database_gives_the_tables_of_the_code(tmp_path):
    store = open_store(str(tmp_path / "argus.sqlite3"))

    with store._reader.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    store.close()


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
