"""List batches from the newest. The next version of the fold counts the jobs of each."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_batch_project_id_first_event_us", "batch", ["project_id", "first_event_us"])
