"""When the end of a batch has said of a job that it has no result, and when it has said it of all.

What is known already is made anew from the events, as `folding.FOLD_VERSION` has it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("untested_us", sa.BigInteger(), nullable=True))
    op.add_column("batch", sa.Column("over_us", sa.BigInteger(), nullable=True))
