"""Projects that anybody may read, tokens that expire, and when keys were last used.

Who is signed in while this runs signs in once more: nobody knows when those sessions were last used.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("project", sa.Column("is_public", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("token", sa.Column("expires_us", sa.BigInteger(), nullable=True))
    op.add_column("token", sa.Column("last_used_us", sa.BigInteger(), nullable=True))
    op.add_column(
        "session", sa.Column("last_used_us", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    )
