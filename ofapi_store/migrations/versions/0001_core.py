"""Teams, accounts, API keys, credits, jobs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLES = (
    "jobs",
    "teams",
    "accounts",
    "api_keys",
    "credit_entries",
    "credit_reservations",
)


def upgrade() -> None:
    _jobs()
    _teams()
    _accounts()
    _api_keys()
    _credit_entries()
    _credit_reservations()


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.drop_table(name)


def _where(condition: str) -> dict[str, Any]:
    """A partial index on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("key", sa.String(255), nullable=True),
        sa.Column("lane", sa.String(255), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("rerun", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("lease_by", sa.String(120), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("progress", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_due", "jobs", ["next_at", "id"], **_where("state = 'pending'"))
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
    op.create_index("ix_jobs_kind_state_id", "jobs", ["kind", "state", "id"])
    op.create_index("ix_jobs_leases", "jobs", ["lease_until"], **_where("state = 'running'"))
    op.create_index("ix_jobs_live_lane", "jobs", ["kind", "lane", "id"], **_where("state IN ('pending', 'running')"))
    op.create_index(
        "uq_jobs_live_key", "jobs", ["kind", "key"], unique=True, **_where("state IN ('pending', 'running')")
    )
    op.create_index("uq_jobs_running_lane", "jobs", ["kind", "lane"], unique=True, **_where("state = 'running'"))


def _teams() -> None:
    op.create_table(
        "teams",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("slug", sa.String(80), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=False),
        sa.Column("credit_balance", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teams")),
        sa.UniqueConstraint("slug", name=op.f("uq_teams_slug")),
    )


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column(
            "team_id",
            sa.String(40),
            sa.ForeignKey("teams.id", ondelete="CASCADE", name=op.f("fk_accounts_team_id")),
            nullable=False,
        ),
        sa.Column("display_name", sa.String(255), nullable=False),
        sa.Column("client_reference_id", sa.String(255), nullable=True),
        sa.Column("onlyfans_id", sa.String(32), nullable=True),
        sa.Column("username", sa.String(255), nullable=True),
        sa.Column("email", sa.String(320), nullable=True),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("authentication_progress", sa.String(32), nullable=True),
        sa.Column("login", sa.Text(), nullable=True),
        sa.Column("proxy_url", sa.Text(), nullable=True),
        sa.Column("user_data", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("disconnected_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_index("ix_accounts_onlyfans_id", "accounts", ["onlyfans_id"])
    op.create_index("ix_accounts_team_id", "accounts", ["team_id"])
    op.create_index(
        "uq_accounts_live_user",
        "accounts",
        ["team_id", "onlyfans_id"],
        unique=True,
        **_where("disconnected_at IS NULL"),
    )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column(
            "team_id",
            sa.String(40),
            sa.ForeignKey("teams.id", ondelete="CASCADE", name=op.f("fk_api_keys_team_id")),
            nullable=False,
        ),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("hint", sa.String(16), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("account_ids", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_keys_token_hash")),
    )
    op.create_index("ix_api_keys_team_id", "api_keys", ["team_id"])


def _credit_entries() -> None:
    op.create_table(
        "credit_entries",
        sa.Column("id", _ID, nullable=False),
        sa.Column(
            "team_id",
            sa.String(40),
            sa.ForeignKey("teams.id", ondelete="CASCADE", name=op.f("fk_credit_entries_team_id")),
            nullable=False,
        ),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("endpoint", sa.String(120), nullable=False),
        sa.Column("credit_type", sa.String(32), nullable=False),
        sa.Column("ref", sa.String(64), nullable=False),
        sa.Column("note", sa.String(255), nullable=True),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_entries")),
        sa.UniqueConstraint(
            "team_id",
            "bucket",
            "kind",
            "account_id",
            "endpoint",
            "credit_type",
            "ref",
            name=op.f("uq_credit_entries_bucket"),
        ),
    )


def _credit_reservations() -> None:
    op.create_table(
        "credit_reservations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column(
            "team_id",
            sa.String(40),
            sa.ForeignKey("teams.id", ondelete="CASCADE", name=op.f("fk_credit_reservations_team_id")),
            nullable=False,
        ),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("endpoint", sa.String(120), nullable=False),
        sa.Column("credit_type", sa.String(32), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_reservations")),
    )
    op.create_index("ix_credit_reservations_expires_at", "credit_reservations", ["expires_at"])
