"""Count the jobs of each batch beside those of each model, and list batches from the newest.

The counts are made here and not by another version of the fold, which would make every projection of a
large project anew, for minutes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from argus_server.ranking.order import text_number

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COUNTED = sa.text(
    "SELECT project_id, batch_id, status, count(*) AS n FROM job GROUP BY project_id, batch_id, status"
    " UNION ALL"
    " SELECT project_id, batch_id, 'listed', count(*) FROM job WHERE standing <> 0"
    " GROUP BY project_id, batch_id"
)
_FACET = sa.table(
    "facet",
    sa.column("project_id"),
    sa.column("field"),
    sa.column("value_no"),
    sa.column("status"),
    sa.column("value"),
    sa.column("n"),
)


def upgrade() -> None:
    op.create_index("ix_batch_project_id_first_event_us", "batch", ["project_id", "first_event_us"])
    rows = [
        {
            "project_id": row.project_id,
            "field": "batch",
            "value_no": text_number(row.batch_id),
            "status": row.status,
            "value": row.batch_id,
            "n": row.n,
        }
        for row in op.get_bind().execute(_COUNTED)
    ]
    if rows:
        op.bulk_insert(_FACET, rows)
