"""Fans, messages, transactions, chargebacks, links, tags, claims, sync cursors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLES = (
    "tags",
    "chargebacks",
    "fans",
    "links",
    "messages",
    "sync_cursors",
    "transactions",
    "link_claims",
    "link_tags",
)


def upgrade() -> None:
    _tags()
    _chargebacks()
    _fans()
    _links()
    _messages()
    _sync_cursors()
    _transactions()
    _link_claims()
    _link_tags()


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.drop_table(name)


def _tags() -> None:
    op.create_table(
        "tags",
        sa.Column("id", _ID, nullable=False),
        sa.Column(
            "team_id",
            sa.String(40),
            sa.ForeignKey("teams.id", ondelete="CASCADE", name=op.f("fk_tags_team_id")),
            nullable=False,
        ),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("folded", sa.String(150), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("team_id", "folded", name=op.f("uq_tags_team_id_folded")),
    )


def _chargebacks() -> None:
    op.create_table(
        "chargebacks",
        sa.Column("chargeback_id", sa.String(64), nullable=False),
        sa.Column("transaction_id", sa.String(64), nullable=True),
        sa.Column("fan_id", sa.BigInteger(), nullable=True),
        sa.Column("payment_type", sa.String(64), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("net", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(8), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("paid_at", sa.BigInteger(), nullable=True),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "account_id",
            sa.String(40),
            sa.ForeignKey("accounts.id", ondelete="CASCADE", name=op.f("fk_chargebacks_account_id")),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("chargeback_id", "account_id", name=op.f("pk_chargebacks")),
    )
    op.create_index("ix_chargebacks_account_id_created_at", "chargebacks", ["account_id", "created_at"])
    op.create_index("ix_chargebacks_account_id_fan_id", "chargebacks", ["account_id", "fan_id"])
    op.create_index("ix_chargebacks_account_id_transaction_id", "chargebacks", ["account_id", "transaction_id"])


def _fans() -> None:
    op.create_table(
        "fans",
        sa.Column("fan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("username", sa.String(255), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("avatar_url", sa.Text(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=True),
        sa.Column("subscribed_at", sa.BigInteger(), nullable=True),
        sa.Column("renewed_at", sa.BigInteger(), nullable=True),
        sa.Column("expired_at", sa.BigInteger(), nullable=True),
        sa.Column("subscription_status", sa.String(64), nullable=True),
        sa.Column("subscription_price", sa.BigInteger(), nullable=True),
        sa.Column("regular_price", sa.BigInteger(), nullable=True),
        sa.Column("total_spent", sa.BigInteger(), nullable=True),
        sa.Column("tips_spent", sa.BigInteger(), nullable=True),
        sa.Column("messages_spent", sa.BigInteger(), nullable=True),
        sa.Column("posts_spent", sa.BigInteger(), nullable=True),
        sa.Column("streams_spent", sa.BigInteger(), nullable=True),
        sa.Column("subscriptions_spent", sa.BigInteger(), nullable=True),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=True),
        sa.Column("last_reply_at", sa.BigInteger(), nullable=True),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "account_id",
            sa.String(40),
            sa.ForeignKey("accounts.id", ondelete="CASCADE", name=op.f("fk_fans_account_id")),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("fan_id", "account_id", name=op.f("pk_fans")),
    )
    op.create_index("ix_fans_account_id_expired_at", "fans", ["account_id", "expired_at"])
    op.create_index("ix_fans_account_id_total_spent", "fans", ["account_id", "total_spent"])
    op.create_index("ix_fans_account_id_username", "fans", ["account_id", "username"])


def _links() -> None:
    op.create_table(
        "links",
        sa.Column("id", _ID, nullable=False),
        sa.Column(
            "account_id",
            sa.String(40),
            sa.ForeignKey("accounts.id", ondelete="CASCADE", name=op.f("fk_links_account_id")),
            nullable=False,
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("link_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("clicks_count", sa.BigInteger(), nullable=True),
        sa.Column("subscribers_count", sa.BigInteger(), nullable=True),
        sa.Column("subscribe_days", sa.Integer(), nullable=True),
        sa.Column("subscribe_counts", sa.Integer(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("is_deleted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("is_finished", sa.Boolean(), nullable=True),
        sa.Column("is_smart", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=True),
        sa.Column("cost", sa.JSON(), nullable=True),
        sa.Column("revenue_total", sa.BigInteger(), nullable=True),
        sa.Column("spenders_count", sa.BigInteger(), nullable=True),
        sa.Column("chargebacks", sa.BigInteger(), nullable=True),
        sa.Column("revenue_calculated_at", sa.BigInteger(), nullable=True),
        sa.Column("revenue_stale", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links")),
        sa.UniqueConstraint("account_id", "kind", "link_id", name=op.f("uq_links_account_id_kind_link_id")),
    )
    op.create_index("ix_links_account_id_kind_code", "links", ["account_id", "kind", "code"])
    op.create_index("ix_links_account_id_kind_created_at", "links", ["account_id", "kind", "created_at"])


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fan_id", sa.BigInteger(), nullable=False),
        sa.Column("from_fan", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("is_tip", sa.Boolean(), nullable=True),
        sa.Column("is_opened", sa.Boolean(), nullable=True),
        sa.Column("is_free", sa.Boolean(), nullable=True),
        sa.Column("is_from_queue", sa.Boolean(), nullable=True),
        sa.Column("media_count", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "account_id",
            sa.String(40),
            sa.ForeignKey("accounts.id", ondelete="CASCADE", name=op.f("fk_messages_account_id")),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("message_id", "account_id", name=op.f("pk_messages")),
    )
    op.create_index("ix_messages_account_id_created_at", "messages", ["account_id", "created_at"])
    op.create_index("ix_messages_account_id_fan_id_created_at", "messages", ["account_id", "fan_id", "created_at"])


def _sync_cursors() -> None:
    op.create_table(
        "sync_cursors",
        sa.Column("stream", sa.String(120), nullable=False),
        sa.Column("position", sa.JSON(), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "account_id",
            sa.String(40),
            sa.ForeignKey("accounts.id", ondelete="CASCADE", name=op.f("fk_sync_cursors_account_id")),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("stream", "account_id", name=op.f("pk_sync_cursors")),
    )


def _transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("transaction_id", sa.String(64), nullable=False),
        sa.Column("fan_id", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.String(32), nullable=True),
        sa.Column("tips_source", sa.String(32), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=True),
        sa.Column("fee", sa.BigInteger(), nullable=True),
        sa.Column("vat_amount", sa.BigInteger(), nullable=True),
        sa.Column("tax_amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(8), nullable=True),
        sa.Column("status", sa.String(32), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "account_id",
            sa.String(40),
            sa.ForeignKey("accounts.id", ondelete="CASCADE", name=op.f("fk_transactions_account_id")),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("transaction_id", "account_id", name=op.f("pk_transactions")),
    )
    op.create_index("ix_transactions_account_id_created_at", "transactions", ["account_id", "created_at"])
    op.create_index(
        "ix_transactions_account_id_fan_id_created_at", "transactions", ["account_id", "fan_id", "created_at"]
    )
    op.create_index("ix_transactions_account_id_updated_at", "transactions", ["account_id", "updated_at"])


def _link_claims() -> None:
    op.create_table(
        "link_claims",
        sa.Column("id", _ID, nullable=False),
        sa.Column(
            "link_pk",
            _ID,
            sa.ForeignKey("links.id", ondelete="CASCADE", name=op.f("fk_link_claims_link_pk")),
            nullable=False,
        ),
        sa.Column(
            "account_id",
            sa.String(40),
            sa.ForeignKey("accounts.id", ondelete="CASCADE", name=op.f("fk_link_claims_account_id")),
            nullable=False,
        ),
        sa.Column("fan_id", sa.BigInteger(), nullable=False),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_claims")),
        sa.UniqueConstraint("link_pk", "fan_id", "claimed_at", name=op.f("uq_link_claims_link_pk_fan_id_claimed_at")),
    )
    op.create_index("ix_link_claims_account_id_fan_id", "link_claims", ["account_id", "fan_id"])


def _link_tags() -> None:
    op.create_table(
        "link_tags",
        sa.Column(
            "link_pk",
            _ID,
            sa.ForeignKey("links.id", ondelete="CASCADE", name=op.f("fk_link_tags_link_pk")),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "tag_id",
            _ID,
            sa.ForeignKey("tags.id", ondelete="CASCADE", name=op.f("fk_link_tags_tag_id")),
            autoincrement=False,
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("link_pk", "tag_id", name=op.f("pk_link_tags")),
    )
    op.create_index("ix_link_tags_tag_id", "link_tags", ["tag_id"])
