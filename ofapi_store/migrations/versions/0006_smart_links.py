"""Smart links, their pools, clicks, conversions and postbacks; what links earned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ULID = sa.String(26).with_variant(sa.String(26, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "click_spools",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_click_spools"),
    )
    op.create_table(
        "postbacks",
        sa.Column("id", _ID, nullable=False),
        sa.Column("team_id", sa.String(length=40), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("http_method", sa.String(length=8), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("conversion_types", sa.JSON(), nullable=False),
        sa.Column("scope", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_postbacks_team_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_postbacks"),
    )
    op.create_index("ix_postbacks_team_id", "postbacks", ["team_id"], unique=False)

    op.create_table(
        "dirty_fans",
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("fan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("marks", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_dirty_fans_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "fan_id", name="pk_dirty_fans"),
    )
    op.create_table(
        "link_cohorts",
        sa.Column("ref", _ULID, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subs", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("net_48h", sa.BigInteger(), nullable=False),
        sa.Column("net_7d", sa.BigInteger(), nullable=False),
        sa.Column("net_14d", sa.BigInteger(), nullable=False),
        sa.Column("net_30d", sa.BigInteger(), nullable=False),
        sa.Column("net_all", sa.BigInteger(), nullable=False),
        sa.Column("gross_48h", sa.BigInteger(), nullable=False),
        sa.Column("gross_7d", sa.BigInteger(), nullable=False),
        sa.Column("gross_14d", sa.BigInteger(), nullable=False),
        sa.Column("gross_30d", sa.BigInteger(), nullable=False),
        sa.Column("gross_all", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_link_cohorts_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ref", "day", name="pk_link_cohorts"),
    )
    op.create_table(
        "link_days",
        sa.Column("ref", _ULID, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subs", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("spenders", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_link_days_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ref", "day", name="pk_link_days"),
    )
    op.create_table(
        "link_fan_days",
        sa.Column("ref", _ULID, nullable=False),
        sa.Column("fan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_link_fan_days_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("ref", "fan_id", "day", name="pk_link_fan_days"),
    )
    op.create_index("ix_link_fan_days_account_id_fan_id", "link_fan_days", ["account_id", "fan_id"], unique=False)

    op.create_table(
        "link_fans",
        sa.Column("ref", _ULID, nullable=False),
        sa.Column("fan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("click_id", _ULID, nullable=True),
        sa.Column("is_trial", sa.Boolean(), nullable=False),
        sa.Column("tips_net", sa.BigInteger(), nullable=False),
        sa.Column("chargebacks", sa.BigInteger(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("calculated_at", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("net_48h", sa.BigInteger(), nullable=False),
        sa.Column("net_7d", sa.BigInteger(), nullable=False),
        sa.Column("net_14d", sa.BigInteger(), nullable=False),
        sa.Column("net_30d", sa.BigInteger(), nullable=False),
        sa.Column("net_all", sa.BigInteger(), nullable=False),
        sa.Column("gross_48h", sa.BigInteger(), nullable=False),
        sa.Column("gross_7d", sa.BigInteger(), nullable=False),
        sa.Column("gross_14d", sa.BigInteger(), nullable=False),
        sa.Column("gross_30d", sa.BigInteger(), nullable=False),
        sa.Column("gross_all", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_link_fans_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ref", "fan_id", name="pk_link_fans"),
    )
    op.create_index("ix_link_fans_account_id_fan_id", "link_fans", ["account_id", "fan_id"], unique=False)
    op.create_index("ix_link_fans_ref_messages", "link_fans", ["ref", "messages", "fan_id"], unique=False)
    op.create_index("ix_link_fans_ref_net_all", "link_fans", ["ref", "net_all", "fan_id"], unique=False)
    op.create_index("ix_link_fans_ref_since", "link_fans", ["ref", "since", "fan_id"], unique=False)
    op.create_index("ix_link_fans_ref_tips_net", "link_fans", ["ref", "tips_net", "fan_id"], unique=False)

    op.create_table(
        "link_totals",
        sa.Column("ref", _ULID, nullable=False),
        sa.Column("subs", sa.BigInteger(), nullable=False),
        sa.Column("spenders", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tips_net", sa.BigInteger(), nullable=False),
        sa.Column("chargebacks", sa.BigInteger(), nullable=False),
        sa.Column("fans_1", sa.BigInteger(), nullable=False),
        sa.Column("fans_3", sa.BigInteger(), nullable=False),
        sa.Column("conversions", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_link_totals_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ref", name="pk_link_totals"),
    )
    op.create_table(
        "postback_responses",
        sa.Column("id", _ID, nullable=False),
        sa.Column("postback_id", _ID, nullable=False),
        sa.Column("conversion_id", sa.BigInteger(), nullable=False),
        sa.Column("conversion_type", sa.String(length=32), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("error_type", sa.String(length=32), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("postback_url", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["postback_id"], ["postbacks.id"], name="fk_postback_responses_postback_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_postback_responses"),
    )
    op.create_index("ix_postback_responses_created_at", "postback_responses", ["created_at"], unique=False)
    op.create_index("ix_postback_responses_postback_id_id", "postback_responses", ["postback_id", "id"], unique=False)

    op.create_table(
        "smart_links",
        sa.Column("id", _ULID, nullable=False),
        sa.Column("team_id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("link_type", sa.String(length=16), nullable=False),
        sa.Column("free_trial_days", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("pool_problem", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_smart_links_account_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_smart_links_team_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_smart_links"),
    )
    op.create_index("ix_smart_links_account_id", "smart_links", ["account_id"], unique=False)
    op.create_index("ix_smart_links_team_id_id", "smart_links", ["team_id", "id"], unique=False)

    op.create_table(
        "click_days",
        sa.Column("smart_link_id", _ULID, nullable=False),
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("is_bot", sa.Boolean(), nullable=False),
        sa.Column("is_duplicate", sa.Boolean(), nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["smart_link_id"], ["smart_links.id"], name="fk_click_days_smart_link_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("smart_link_id", "bucket", "is_bot", "is_duplicate", name="pk_click_days"),
    )
    op.create_table(
        "click_hours",
        sa.Column("smart_link_id", _ULID, nullable=False),
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("is_bot", sa.Boolean(), nullable=False),
        sa.Column("is_duplicate", sa.Boolean(), nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["smart_link_id"], ["smart_links.id"], name="fk_click_hours_smart_link_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("smart_link_id", "bucket", "is_bot", "is_duplicate", name="pk_click_hours"),
    )
    op.create_table(
        "click_visitors",
        sa.Column("smart_link_id", _ULID, nullable=False),
        sa.Column("visitor", sa.String(length=32), nullable=False),
        sa.Column("click_id", _ULID, nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["smart_link_id"], ["smart_links.id"], name="fk_click_visitors_smart_link_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("smart_link_id", "visitor", name="pk_click_visitors"),
    )
    op.create_index("ix_click_visitors_seen_at", "click_visitors", ["seen_at"], unique=False)

    op.create_table(
        "clicks",
        sa.Column("smart_link_id", _ULID, nullable=False),
        sa.Column("id", _ULID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("pool_id", sa.BigInteger(), nullable=True),
        sa.Column("visitor", sa.String(length=32), nullable=False),
        sa.Column("ip_address", sa.String(length=45), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("referrer", sa.Text(), nullable=True),
        sa.Column("device_type", sa.String(length=16), nullable=True),
        sa.Column("browser_name", sa.String(length=120), nullable=True),
        sa.Column("browser_family", sa.String(length=120), nullable=True),
        sa.Column("platform", sa.String(length=120), nullable=True),
        sa.Column("country_code", sa.String(length=2), nullable=True),
        sa.Column("is_bot", sa.Boolean(), nullable=False),
        sa.Column("is_duplicate", sa.Boolean(), nullable=False),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.Column("gross_clicks", sa.Integer(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["smart_link_id"], ["smart_links.id"], name="fk_clicks_smart_link_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("smart_link_id", "id", name="pk_clicks"),
    )
    op.create_index(
        "ix_clicks_pool_id_id",
        "clicks",
        ["pool_id", "id"],
        unique=False,
        sqlite_where=sa.text("pool_id IS NOT NULL"),
        postgresql_where=sa.text("pool_id IS NOT NULL"),
    )

    op.create_table(
        "conversion_days",
        sa.Column("smart_link_id", _ULID, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("is_bot", sa.Boolean(), nullable=False),
        sa.Column("is_duplicate", sa.Boolean(), nullable=False),
        sa.Column("conversions", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["smart_link_id"], ["smart_links.id"], name="fk_conversion_days_smart_link_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("smart_link_id", "day", "type", "is_bot", "is_duplicate", name="pk_conversion_days"),
    )
    op.create_table(
        "conversions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("smart_link_id", _ULID, nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("fan_id", sa.BigInteger(), nullable=False),
        sa.Column("fact", sa.String(length=64), nullable=False),
        sa.Column("click_id", _ULID, nullable=False),
        sa.Column("conversion_at", sa.BigInteger(), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("is_bot", sa.Boolean(), nullable=False),
        sa.Column("is_duplicate", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_conversions_account_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["smart_link_id"], ["smart_links.id"], name="fk_conversions_smart_link_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_conversions"),
        sa.UniqueConstraint("smart_link_id", "fan_id", "type", "fact", name="uq_conversions_fact"),
    )
    op.create_index("ix_conversions_account_id_fan_id", "conversions", ["account_id", "fan_id"], unique=False)
    op.create_index(
        "ix_conversions_smart_link_id_conversion_at",
        "conversions",
        ["smart_link_id", "conversion_at", "id"],
        unique=False,
    )

    op.create_table(
        "link_counts",
        sa.Column("link_pk", _ID, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["link_pk"], ["links.id"], name="fk_link_counts_link_pk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("link_pk", "day", name="pk_link_counts"),
    )
    op.create_table(
        "pool_links",
        sa.Column("id", _ID, nullable=False),
        sa.Column("smart_link_id", _ULID, nullable=False),
        sa.Column("link_pk", _ID, nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=True),
        sa.Column("held_by", _ULID, nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.Column("last_held_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["link_pk"], ["links.id"], name="fk_pool_links_link_pk", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["smart_link_id"], ["smart_links.id"], name="fk_pool_links_smart_link_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_pool_links"),
        sa.UniqueConstraint("link_pk", name="uq_pool_links_link_pk"),
    )
    op.create_index("ix_pool_links_smart_link_id", "pool_links", ["smart_link_id"], unique=False)

    op.create_table(
        "postback_links",
        sa.Column("postback_id", _ID, nullable=False),
        sa.Column("smart_link_id", _ULID, nullable=False),
        sa.ForeignKeyConstraint(
            ["postback_id"], ["postbacks.id"], name="fk_postback_links_postback_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["smart_link_id"], ["smart_links.id"], name="fk_postback_links_smart_link_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("postback_id", "smart_link_id", name="pk_postback_links"),
    )
    op.create_index("ix_postback_links_smart_link_id", "postback_links", ["smart_link_id"], unique=False)

    op.create_table(
        "smart_link_tags",
        sa.Column("smart_link_id", _ULID, nullable=False),
        sa.Column("tag_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["smart_link_id"], ["smart_links.id"], name="fk_smart_link_tags_smart_link_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name="fk_smart_link_tags_tag_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("smart_link_id", "tag_id", name="pk_smart_link_tags"),
    )
    op.create_index("ix_smart_link_tags_tag_id", "smart_link_tags", ["tag_id"], unique=False)


def downgrade() -> None:
    op.drop_table("smart_link_tags")
    op.drop_table("postback_links")
    op.drop_table("pool_links")
    op.drop_table("link_counts")
    op.drop_table("conversions")
    op.drop_table("conversion_days")
    op.drop_table("clicks")
    op.drop_table("click_visitors")
    op.drop_table("click_hours")
    op.drop_table("click_days")
    op.drop_table("smart_links")
    op.drop_table("postback_responses")
    op.drop_table("link_totals")
    op.drop_table("link_fans")
    op.drop_table("link_fan_days")
    op.drop_table("link_days")
    op.drop_table("link_cohorts")
    op.drop_table("dirty_fans")
    op.drop_table("postbacks")
    op.drop_table("click_spools")
