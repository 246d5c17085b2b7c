"""The log lines, load and other events of one job, without a look at the rest of the log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    no_epoch = sa.text("event_type <> 'job_epoch'")
    op.create_index(
        "ix_event_said",
        "event",
        ["project_id", "batch_id", "job_id", "event_type", "timestamp_us"],
        sqlite_where=no_epoch,
        postgresql_where=no_epoch,
    )
