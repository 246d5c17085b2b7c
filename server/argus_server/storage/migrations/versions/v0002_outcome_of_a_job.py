"""What a failed job says of its failure. Jobs that failed before stay as they were: plainly failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("outcome", sa.Text(), nullable=True))
