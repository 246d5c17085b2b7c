"""One narrow index of all that the leaderboard filters by; those of models and datasets answer by themselves.

The numbers of seeds, hosts and users are made with everything else from the events, as
`folding.FOLD_VERSION` has it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_NEW = ("seed_no", "host_no", "user_no")


def upgrade() -> None:
    for name in _NEW:
        op.add_column("job", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    if op.get_bind().dialect.name != "sqlite":
        for name in _NEW:
            op.alter_column("job", name, server_default=None)
    numbers = ["model_no", "dataset_no", *_NEW]
    op.create_index(
        "ix_job_filter", "job", ["project_id", "job_no", "standing", *numbers, "batch_id", "job_id"]
    )
    for name in ("model_no", "dataset_no"):
        op.drop_index(f"ix_job_{name}", "job")
        op.create_index(f"ix_job_{name}", "job", ["project_id", name, "standing", "job_no"])
