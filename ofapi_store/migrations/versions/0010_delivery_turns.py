"""Deliveries of a webhook by account, so that accounts can take turns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_FRESH = sa.text("state = 'pending' AND attempts = 0")
_RETRIES = sa.text("state = 'pending' AND attempts > 0")


def upgrade() -> None:
    _index("fresh_turns", ["webhook_id", "lane", "id"], _FRESH)
    _index("retry_turns", ["webhook_id", "lane", "next_at", "id"], _RETRIES)
    op.drop_index("ix_deliveries_fresh", "deliveries")


def downgrade() -> None:
    _index("fresh", ["webhook_id", "id"], _FRESH)
    op.drop_index("ix_deliveries_retry_turns", "deliveries")
    op.drop_index("ix_deliveries_fresh_turns", "deliveries")


def _index(name: str, columns: list[str], waiting: sa.TextClause) -> None:
    op.create_index(
        f"ix_deliveries_{name}",
        "deliveries",
        columns,
        unique=False,
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
