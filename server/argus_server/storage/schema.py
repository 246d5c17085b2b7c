"""The tables.

`event` is the truth; `batch`, `job`, `attempt`, `epoch`, `metric_key`, `job_metric` and `facet` are
projections of it and can be computed again. The project stands first in every key, so that a distributed
PostgreSQL can shard by it. Times are integer microseconds since 1970, UTC. What arrives as free-form
JSON is kept as JSON text, so that no database's idea of a number changes it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

__all__ = [
    "EPOCH",
    "attempt",
    "batch",
    "epoch",
    "event",
    "facet",
    "job",
    "job_metric",
    "metadata",
    "metric_key",
    "project",
    "saved_view",
    "session",
    "sign_in_code",
    "token",
]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

project = Table(
    "project",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(256), nullable=False, unique=True),
    Column("settings", Text),
    Column("is_public", Boolean, nullable=False, server_default=false()),
    Column("created_us", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False, server_default="0"),
    Column("last_key_id", BigInteger, nullable=False, server_default="0"),
    Column("projected_by", Integer, nullable=False, server_default="0"),
)
"""One row per project, and the counters from which its rows take their numbers.

Anybody may read a project that `is_public`, without a token. `settings` is a `ranking.registry.Settings` as
JSON, NULL where nothing is set.
"""


def _project_id() -> Column[int]:
    return Column("project_id", Integer, ForeignKey(project.c.id), nullable=False)


EPOCH = "job_epoch"
_NO_EPOCH = text(f"event_type <> '{EPOCH}'")

event = Table(
    "event",
    metadata,
    _project_id(),
    Column("seq", BigInteger, nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("event_type", String(32), nullable=False),
    Column("timestamp_us", BigInteger, nullable=False),
    Column("batch_id", String(128), nullable=False),
    Column("job_id", String(256)),
    Column("received_us", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
    PrimaryKeyConstraint("project_id", "seq"),
    UniqueConstraint("project_id", "event_id"),
    Index(
        "ix_event_said",
        "project_id",
        "batch_id",
        "job_id",
        "event_type",
        "timestamp_us",
        sqlite_where=_NO_EPOCH,
        postgresql_where=_NO_EPOCH,
    ),
)
"""The log. `seq` counts the events of a project in the order of their commit.

The index has what jobs say beside their epochs, which are most events and have a table of their own: an index
of all would cost every epoch a tenth of its time.
"""

_SOURCE = ("host", "user", "commit", "command")


def _source() -> list[Column[str]]:
    return [Column(name, Text) for name in _SOURCE]


batch = Table(
    "batch",
    metadata,
    _project_id(),
    Column("batch_id", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("name", Text),
    Column("experiment_type", Text),
    Column("n_total_jobs", BigInteger),
    Column("outcome", Text),
    Column("reason", Text),
    Column("total_elapsed_s", Float),
    *_source(),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("over_us", BigInteger),
    Column("first_event_us", BigInteger, nullable=False),
    Column("last_event_us", BigInteger, nullable=False),
    Column("clocks", Text, nullable=False),
    PrimaryKeyConstraint("project_id", "batch_id"),
    Index(None, "project_id", "first_event_us"),
)
"""One row per batch. `over_us` is when somebody ended it without saying which jobs that left untested."""

job = Table(
    "job",
    metadata,
    _project_id(),
    Column("job_no", BigInteger, nullable=False),
    Column("batch_id", String(128), nullable=False),
    Column("job_id", String(256), nullable=False),
    Column("status", String(16), nullable=False),
    Column("model", Text),
    Column("dataset", Text),
    Column("seed", Text),
    Column("epochs_total", BigInteger),
    Column("epoch", BigInteger),
    Column("train_epochs", BigInteger),
    Column("elapsed_s", Float),
    Column("reason", Text),
    Column("fast_dev_run", Boolean, nullable=False),
    Column("standing", SmallInteger, nullable=False),
    Column("place", LargeBinary, nullable=False),
    Column("seed_place", LargeBinary, nullable=False),
    Column("model_no", BigInteger, nullable=False),
    Column("dataset_no", BigInteger, nullable=False),
    Column("seed_no", BigInteger, nullable=False),
    Column("host_no", BigInteger, nullable=False),
    Column("user_no", BigInteger, nullable=False),
    Column("replica_no", BigInteger),
    Column("config", Text),
    Column("tags", Text),
    Column("metrics", Text),
    Column("metrics_raw", Text),
    Column("resources", Text),
    Column("outcome", Text),
    Column("error", Text),
    *_source(),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("untested_us", BigInteger),
    Column("first_event_us", BigInteger, nullable=False),
    Column("last_event_us", BigInteger, nullable=False),
    Column("clocks", Text, nullable=False),
    PrimaryKeyConstraint("project_id", "job_no"),
    UniqueConstraint("project_id", "batch_id", "job_id"),
    Index(None, "project_id", "status", "last_event_us"),
    Index("ix_job_standing", "project_id", "standing", "place", "job_no"),
    Index("ix_job_model_no", "project_id", "model_no", "standing", "job_no"),
    Index("ix_job_dataset_no", "project_id", "dataset_no", "standing", "job_no"),
    Index("ix_job_replica_no", "project_id", "replica_no"),
    Index(
        "ix_job_filter",
        "project_id",
        "job_no",
        "standing",
        "model_no",
        "dataset_no",
        "seed_no",
        "host_no",
        "user_no",
        "batch_id",
        "job_id",
    ),
)
"""One row per (batch_id, job_id).

`job_no` is its short name inside the database, the same in whatever order events came: see
`ranking.order`. `standing` says what the leaderboard makes of it. `place` is where it stands among its
like by name, `seed_place` by its seed. The numbers of its model, dataset, seed, host and user, and of the
three that make repetitions of one thing (`replica_no`, NULL where one of them is unknown) fit any index.
`ix_job_filter` has all that the leaderboard filters by: a twentieth of the bytes of the rows.
`untested_us` is when the end of its batch has said of it that it has no result.
"""

attempt = Table(
    "attempt",
    metadata,
    _project_id(),
    Column("job_no", BigInteger, nullable=False),
    Column("timestamp_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("project_id", "job_no", "timestamp_us"),
)
"""When a job was started; more than once if it was tried again."""

epoch = Table(
    "epoch",
    metadata,
    _project_id(),
    Column("job_no", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("timestamp_us", BigInteger, nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("data", Text, nullable=False),
    PrimaryKeyConstraint("project_id", "job_no", "epoch"),
)
"""The last that was said about each epoch of a job, whichever attempt said it."""

metric_key = Table(
    "metric_key",
    metadata,
    _project_id(),
    Column("key_id", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("min", Float),
    Column("max", Float),
    Column("first_seen_us", BigInteger, nullable=False),
    Column("last_seen_us", BigInteger, nullable=False),
    Column("declared", Text),
    PrimaryKeyConstraint("project_id", "key_id"),
    UniqueConstraint("project_id", "key"),
)
"""Every metric name that any `job_done` of the project carried: the columns of its leaderboard.

`count` is the number of those events, `min` and `max` are over their finite values. `declared` is what
the latest of them said of the name, as JSON: [clock, unit, direction, role].
"""

job_metric = Table(
    "job_metric",
    metadata,
    _project_id(),
    Column("key_id", BigInteger, nullable=False),
    Column("job_no", BigInteger, nullable=False),
    Column("standing", SmallInteger, nullable=False),
    Column("dataset_no", BigInteger, nullable=False),
    Column("value", Float),
    PrimaryKeyConstraint("project_id", "job_no", "key_id"),
    Index("ix_job_metric_walk", "project_id", "key_id", "standing", "value", "job_no"),
    Index("ix_job_metric_contest", "project_id", "key_id", "dataset_no", "standing", "value", "job_no"),
)
"""The metrics of the jobs on the leaderboard, in the two orders in which it walks them.

`value` is NULL for what is shown and never ranked. `standing` and `dataset_no` are the job's.
"""

facet = Table(
    "facet",
    metadata,
    _project_id(),
    Column("field", String(16), nullable=False),
    Column("value_no", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("value", Text),
    Column("n", BigInteger, nullable=False),
    PrimaryKeyConstraint("project_id", "field", "value_no", "status"),
)
"""How many jobs have this value of a field, by status, and as status `listed` those on the leaderboard.

The field `all` has one value and counts every job.
"""

saved_view = Table(
    "saved_view",
    metadata,
    _project_id(),
    Column("page", String(32), nullable=False),
    Column("name", String(80), nullable=False),
    Column("query", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("project_id", "page", "name"),
)
"""Views of a page that have a name; `query` is what the page's URL says."""

token = Table(
    "token",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("prefix", String(16), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("project", String(256)),
    Column("name", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Column("last_used_us", BigInteger),
    Column("revoked_us", BigInteger),
)
"""Tokens by the SHA-256 of their text. `project` is a name, so that a token can precede its project."""

sign_in_code = Table(
    "sign_in_code",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("scope", String(16), nullable=False),
    Column("project", String(256)),
    Column("expires_us", BigInteger, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("scope", String(16), nullable=False),
    Column("project", String(256)),
    Column("token_id", Integer, ForeignKey(token.c.id)),
    Column("expires_us", BigInteger, nullable=False),
    Column("last_used_us", BigInteger, nullable=False, server_default="0"),
)
"""Browsers that are signed in. A session ends with the token it came from."""
