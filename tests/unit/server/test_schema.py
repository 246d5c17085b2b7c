"""The migrations make the tables that the code believes in."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from unit.server.wire import failed, job, start

from argus_core.events import encode_event
from argus_server.storage.dialect import make_engines
from argus_server.storage.migrate import migrate
from argus_server.storage.rebuild import outdated
from argus_server.storage.schema import metadata
from argus_server.storage.store import open_store


def test_migrating_an_empty_database_gives_the_tables_of_the_code(tmp_path):
    store = open_store(str(tmp_path / "argus.sqlite3"))

    with store._reader.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    store.close()


def test_a_database_of_the_first_version_is_brought_to_this_one_with_all_its_events(tmp_path):
    path = str(tmp_path / "argus.sqlite3")
    engine = make_engines(path).writer
    migrate(engine, to="0001")
    events = [start("j"), failed("j"), *job("k", MSE=0.5)]
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO project (name, created_us, last_seq) VALUES ('p', 0, 4)"))
        for seq, event in enumerate(events, 1):
            connection.execute(
                text("INSERT INTO event VALUES (1, :seq, :id, :type, 0, 'b', 'j', 0, :payload)"),
                {
                    "seq": seq,
                    "id": event.event_id,
                    "type": event.event_type,
                    "payload": encode_event(event).decode(),
                },
            )

    store = open_store(path)
    assert outdated(engine) == []  # once is enough
    engine.dispose()
    summary = store.queries.job("p", "b", "j").summary
    store.add_events([failed("j", at=20, status="interrupted")])
    later = store.queries.job("p", "b", "j").summary
    done = store.queries.job("p", "b", "k")
    store.close()

    assert (summary.status, summary.interrupted, later.interrupted) == ("failed", False, True)
    assert done.metrics == {"MSE": 0.5}


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
