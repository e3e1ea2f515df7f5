"""Fans of links by groups that are alike, and whether they had subscribed before."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from itertools import batched

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ULID = sa.String(26).with_variant(sa.String(26, collation="C"), "postgresql")
_KEYS = ("ref", "came_before", "is_trial", "messages_from", "net_from", "tips_from")
_LEAST = -(2**62)
_TENTHS = (*range(10, 20), *range(20, 40, 2), *range(40, 100, 5))
_NET = (_LEAST, 0, 1, *(n * 10**k for k in range(1, 7) for n in _TENTHS))
_TIPS = (_LEAST, 0, 1, *(n * 10**k for k in range(2, 8) for n in (1, 2, 5)))
_MESSAGES = (_LEAST, *range(10), *(n * 10**k for k in range(1, 6) for n in (1, 2, 5)))
_FILTERS = ("net_all", "tips_net", "messages")
_ORDERS = ("net_all", "tips_net", "messages", "since")


def upgrade() -> None:
    op.add_column("link_fans", sa.Column("came_before", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "link_fan_groups",
        sa.Column("ref", _ULID, nullable=False),
        sa.Column("came_before", sa.Boolean(), nullable=False),
        sa.Column("is_trial", sa.Boolean(), nullable=False),
        sa.Column("messages_from", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("net_from", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tips_from", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fans", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tips_net", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_link_fan_groups_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(*_KEYS, name="pk_link_fan_groups"),
    )
    _fill()
    for name in _ORDERS:
        filters = [other for other in _FILTERS if other != name]
        _index(name, ["ref", name, "fan_id", *filters, "is_trial", "came_before"])
    op.create_index(
        "ix_link_fans_came_before",
        "link_fans",
        ["ref", "fan_id"],
        unique=False,
        sqlite_where=sa.text("came_before = 1"),
        postgresql_where=sa.text("came_before"),
    )


def downgrade() -> None:
    op.drop_table("link_fan_groups")
    op.drop_index("ix_link_fans_came_before", "link_fans")
    for name in _ORDERS:
        _index(name, ["ref", name, "fan_id"])
    op.drop_column("link_fans", "came_before")


def _index(name: str, columns: list[str]) -> None:
    op.drop_index(f"ix_link_fans_ref_{name}", "link_fans")
    op.create_index(f"ix_link_fans_ref_{name}", "link_fans", columns, unique=False)


def _fill() -> None:
    conn = op.get_bind()
    conn.execute(
        sa.text(
            "UPDATE link_fans SET came_before = true WHERE EXISTS (SELECT 1 FROM fans WHERE fans.account_id ="
            " link_fans.account_id AND fans.fan_id = link_fans.fan_id AND fans.subscribed_at < link_fans.since - 60000000)"
        )
    )
    names = ("ref", "account_id", "came_before", "is_trial", "messages", "net_all", "tips_net")
    groups: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in conn.execute(sa.text(f"SELECT {', '.join(names)} FROM link_fans")).mappings():  # noqa: S608 (our own names)
        measures = ((_MESSAGES, row["messages"]), (_NET, row["net_all"]), (_TIPS, row["tips_net"]))
        steps = (each[bisect_right(each, value) - 1] for each, value in measures)
        sums = groups[row["account_id"], row["ref"], bool(row["came_before"]), bool(row["is_trial"]), *steps]
        for i, value in enumerate((1, row["net_all"], row["tips_net"])):
            sums[i] += value
    columns = ("account_id", *_KEYS, "fans", "net", "tips_net")
    table = sa.table("link_fan_groups", *(sa.column(name) for name in columns))
    rows = [dict(zip(columns, (*key, *sums), strict=True)) for key, sums in groups.items()]
    for part in batched(rows, 5000):
        conn.execute(table.insert(), list(part))
