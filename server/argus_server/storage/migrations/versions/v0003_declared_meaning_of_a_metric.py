"""What jobs say of their metrics: unit, direction and role. Names reported before have said nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("metric_key", sa.Column("declared", sa.Text(), nullable=True))
