"""What a leaderboard walks: standing, places and numbers of jobs, metrics by dataset, counted facets.

A job's number no longer depends on when it arrived, so every projection is made anew from the log when
the database is opened next.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("job_metric", "epoch", "attempt", "job", "batch", "metric_key"):
        op.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608 - names of our own
    op.add_column("project", sa.Column("projected_by", sa.Integer(), nullable=False, server_default="0"))
    op.drop_column("project", "last_job_no")
    for name, kind, nullable in (
        ("standing", sa.SmallInteger(), False),
        ("place", sa.LargeBinary(), False),
        ("seed_place", sa.LargeBinary(), False),
        ("model_no", sa.BigInteger(), False),
        ("dataset_no", sa.BigInteger(), False),
        ("replica_no", sa.BigInteger(), True),
    ):
        default = None if nullable else "0"
        op.add_column("job", sa.Column(name, kind, nullable=nullable, server_default=default))
    _drop_defaults()
    op.create_index("ix_job_standing", "job", ["project_id", "standing", "place", "job_no"])
    for name in ("model_no", "dataset_no", "replica_no"):
        op.create_index(f"ix_job_{name}", "job", ["project_id", name])
    op.drop_table("job_metric")
    op.create_table(
        "job_metric",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("job_no", sa.BigInteger(), nullable=False),
        sa.Column("standing", sa.SmallInteger(), nullable=False),
        sa.Column("dataset_no", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_job_metric_project_id")),
        sa.PrimaryKeyConstraint("project_id", "job_no", "key_id", name=op.f("pk_job_metric")),
    )
    op.create_index(
        "ix_job_metric_walk", "job_metric", ["project_id", "key_id", "standing", "value", "job_no"]
    )
    op.create_index(
        "ix_job_metric_contest",
        "job_metric",
        ["project_id", "key_id", "dataset_no", "standing", "value", "job_no"],
    )
    op.create_table(
        "facet",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(length=16), nullable=False),
        sa.Column("value_no", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_facet_project_id")),
        sa.PrimaryKeyConstraint("project_id", "field", "value_no", "status", name=op.f("pk_facet")),
    )


def _drop_defaults() -> None:
    """Leave no default behind where the database can take it away: every row states these."""
    if op.get_bind().dialect.name != "sqlite":
        for name in ("standing", "place", "seed_place", "model_no", "dataset_no"):
            op.alter_column("job", name, server_default=None)
