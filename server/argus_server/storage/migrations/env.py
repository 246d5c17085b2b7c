"""How Alembic reaches the database: by the connection that `migrate` hands over."""

from __future__ import annotations

from alembic import context

from argus_server.storage.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
