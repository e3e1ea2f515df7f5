"""Login attempts, client sessions, kept credentials; session secrets of upstream out of what `users/me` said."""

from __future__ import annotations

import json
from decimal import Decimal

import sqlalchemy as sa
from alembic import op

from ofapi_store.types import to_json

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SECRET = ("csrf", "wsAuthToken")


def upgrade() -> None:
    op.create_table(
        "auth_attempts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("team_id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=True),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("progress", sa.String(length=24), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("proxy_url", sa.Text(), nullable=True),
        sa.Column("previous_state", sa.String(length=32), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("starts", sa.Integer(), nullable=False),
        sa.Column("otp_phone_ending", sa.String(length=8), nullable=True),
        sa.Column("face_url", sa.Text(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_auth_attempts_team_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_auth_attempts"),
    )
    op.create_index(
        "ix_auth_attempts_account_id_started_at", "auth_attempts", ["account_id", "started_at"], unique=False
    )
    op.create_index(
        "uq_auth_attempts_open_account",
        "auth_attempts",
        ["account_id"],
        unique=True,
        sqlite_where=sa.text("completed_at IS NULL"),
        postgresql_where=sa.text("completed_at IS NULL"),
    )
    op.create_table(
        "client_sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("team_id", sa.String(length=40), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("client_reference_id", sa.String(length=255), nullable=True),
        sa.Column("proxy_url", sa.Text(), nullable=True),
        sa.Column("attempt_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_client_sessions_team_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_client_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_client_sessions_token_hash"),
    )
    op.create_index("ix_client_sessions_expires_at", "client_sessions", ["expires_at"], unique=False)
    op.create_index("ix_client_sessions_team_id", "client_sessions", ["team_id"], unique=False)
    op.create_table(
        "account_credentials",
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_account_credentials_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name="pk_account_credentials"),
    )
    _wipe_session_secrets()


def downgrade() -> None:
    op.drop_table("account_credentials")
    op.drop_table("client_sessions")
    op.drop_table("auth_attempts")


def _wipe_session_secrets() -> None:
    accounts = sa.table("accounts", sa.column("id", sa.String), sa.column("user_data", sa.Text))
    conn = op.get_bind()
    for row in conn.execute(sa.select(accounts).where(accounts.c.user_data.is_not(None))).all():
        data = json.loads(row.user_data, parse_float=Decimal)
        if isinstance(data, dict) and any(data.get(name) is not None for name in SECRET):
            text = to_json({**data, **{name: None for name in SECRET if name in data}})
            conn.execute(sa.update(accounts).where(accounts.c.id == row.id).values(user_data=text))
