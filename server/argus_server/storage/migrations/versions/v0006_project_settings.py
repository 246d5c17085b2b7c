"""What a project says of its metrics and names, in place of its primary metric alone."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("project", sa.Column("settings", sa.Text(), nullable=True))
    project = sa.table(
        "project", sa.column("id", sa.Integer), sa.column("primary_metric"), sa.column("settings")
    )
    connection = op.get_bind()
    chosen = sa.select(project.c.id, project.c.primary_metric).where(project.c.primary_metric.is_not(None))
    for number, primary in connection.execute(chosen).all():
        text = msgspec.json.encode({"primary": primary}).decode()
        connection.execute(project.update().where(project.c.id == number).values(settings=text))
    op.drop_column("project", "primary_metric")
