"""Data exports and their accounts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "data_exports",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("team_id", sa.String(length=40), nullable=False),
        sa.Column("original_id", sa.String(length=40), nullable=True),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("file_type", sa.String(length=8), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("auto_start", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("requires_walk", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("total_rows", sa.BigInteger(), nullable=True),
        sa.Column("rows_processed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("credit_cost", sa.BigInteger(), nullable=True),
        sa.Column("charged", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed_downloads", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed_reason", sa.Text(), nullable=True),
        sa.Column("file_size", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("failed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_data_exports_team_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_data_exports"),
    )
    op.create_index("ix_data_exports_status_updated_at", "data_exports", ["status", "updated_at"], unique=False)
    op.create_index("ix_data_exports_team_id_created_at", "data_exports", ["team_id", "created_at"], unique=False)
    op.create_table(
        "data_export_accounts",
        sa.Column("export_id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_data_export_accounts_account_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["export_id"], ["data_exports.id"], name="fk_data_export_accounts_export_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("export_id", "account_id", name="pk_data_export_accounts"),
    )
    op.create_index("ix_data_export_accounts_account_id", "data_export_accounts", ["account_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_data_export_accounts_account_id", table_name="data_export_accounts")
    op.drop_table("data_export_accounts")
    op.drop_index("ix_data_exports_team_id_created_at", table_name="data_exports")
    op.drop_index("ix_data_exports_status_updated_at", table_name="data_exports")
    op.drop_table("data_exports")
