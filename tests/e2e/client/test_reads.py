"""Every live operation that reads, through the official client in strict mode."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from onlyfansapi import OnlyFansAPI
from pydantic import BaseModel

from tests.e2e.client.things import Things

Read = Callable[[OnlyFansAPI, Things], Any]

NOW = datetime.now(UTC)
FROM, TO = (NOW - timedelta(days=60)).strftime("%Y-%m-%d"), NOW.strftime("%Y-%m-%d")
AHEAD = (NOW + timedelta(days=20)).strftime("%Y-%m-%d")
SPAN: dict[str, str] = {"start_date": FROM, "end_date": TO}
PLANNED: dict[str, str] = {"publish_date_start": TO, "publish_date_end": AHEAD, "timezone": "UTC"}

READS: list[Read] = [
    # identity
    lambda client, t: client.whoami.retrieve(),
    lambda client, t: client.accounts.list(),
    lambda client, t: client.me.retrieve(t.account),
    lambda client, t: client.me.get_model_start_date(t.account),
    lambda client, t: client.me.get_top_percentage(t.account),
    # chats and messages
    lambda client, t: client.chats.list(t.account, limit="20", skip_users="none"),
    lambda client, t: client.chats.list(t.account, filter="unread", order="old"),
    lambda client, t: client.chats.list_media(t.chat, account=t.account, type="photos"),
    lambda client, t: client.chats.messages.list(t.chat, account=t.account, limit="20"),
    lambda client, t: client.chats.messages.list(t.chat, account=t.account, order="asc"),
    lambda client, t: client.chats.messages.retrieve(t.message, account=t.account, chat_id=t.chat),
    lambda client, t: client.chats.messages.search(t.chat, account=t.account, query="a"),
    # fans
    lambda client, t: client.fans.list_all(t.account, limit=20),
    lambda client, t: client.fans.list_active(t.account, limit=20, filter={"total_spent": 1, "online": 0}),
    lambda client, t: client.fans.list_expired(t.account, limit=20),
    lambda client, t: client.fans.list_latest(t.account, limit=20, type="total"),
    lambda client, t: client.fans.list_latest(t.account, **SPAN),
    lambda client, t: client.fans.list_top(t.account, by="tips", **SPAN),
    lambda client, t: client.fans.get_subscription_history(t.fan, account=t.account),
    lambda client, t: client.fans.notes.get_notes(t.fan, account=t.account),
    lambda client, t: client.following.list_all(t.account, limit=20),
    lambda client, t: client.following.list_active(t.account, sort="expire_date", sort_direction="asc"),
    lambda client, t: client.following.list_expired(t.account),
    lambda client, t: client.users.retrieve(t.username, account=t.account),
    lambda client, t: client.users.list(t.account, ids=f"{t.fan},{t.followed}"),
    lambda client, t: client.user_lists.list(t.account),
    lambda client, t: client.user_lists.retrieve(t.user_list, account=t.account),
    lambda client, t: client.user_lists.users.list(t.user_list, account=t.account),
    lambda client, t: client.user_lists.users.list_pinned(t.user_list, account=t.account),
    # money
    lambda client, t: client.transactions.list(t.account, limit="20"),
    lambda client, t: client.transactions.list(t.account, type="tips", tips_source="chat", start_date="-90days"),
    lambda client, t: client.payouts.retrieve_balances(t.account),
    lambda client, t: client.payouts.retrieve_eligibility(t.account),
    lambda client, t: client.payouts.retrieve_earning_statistics(t.account, **SPAN),
    lambda client, t: client.payouts.list_requests(t.account, limit="5"),
    lambda client, t: client.chargebacks.list(t.account),
    lambda client, t: client.chargebacks.calculate_ratio(t.account, **SPAN),
    lambda client, t: client.chargebacks.list_statistics(t.account, **SPAN),
    # statistics
    lambda client, t: client.statistics.get_overview(t.account, **SPAN),
    lambda client, t: client.statistics.calculate_total_transactions(t.account, **SPAN),
    lambda client, t: client.statistics.get_subscriber_metrics(t.account, detailed=True, **SPAN),
    lambda client, t: client.statistics.reach.get_profile_visitors(t.account, **SPAN),
    lambda client, t: client.statistics.statements.get_earnings(t.account, type="tips", **SPAN),
    lambda client, t: client.subscribers.retrieve_statistics(t.account, type="new", **SPAN),
    # engagement and mass messages
    lambda client, t: client.engagement.messages.get_top_message(t.account),
    lambda client, t: client.engagement.messages.get_message_buyers(t.mass, account=t.account),
    lambda client, t: client.engagement.messages.direct_messages.list(t.account, limit=5),
    lambda client, t: client.engagement.messages.direct_messages.chart(t.account, **SPAN),
    lambda client, t: client.engagement.messages.mass_messages.list(t.account, limit=5),
    lambda client, t: client.engagement.messages.mass_messages.chart(t.account, **SPAN),
    lambda client, t: client.mass_messaging.list(t.account),
    lambda client, t: client.mass_messaging.retrieve(t.mass, account=t.account),
    lambda client, t: client.mass_messaging.retrieve_overview(t.account),
    # links
    lambda client, t: client.tracking_links.list(t.account, limit=20),
    lambda client, t: client.tracking_links.list(t.account, sortby="claims", sort="asc", with_deleted=0),
    lambda client, t: client.tracking_links.list(t.account, limit=2, pagination=0),
    lambda client, t: client.tracking_links.retrieve(t.campaign, account=t.account),
    lambda client, t: client.tracking_links.list_subscribers(t.campaign, account=t.account, limit=10, offset=0),
    lambda client, t: client.trial_links.list(t.account, limit=20, field="claims_count"),
    lambda client, t: client.trial_links.retrieve(t.trial, account=t.account),
    lambda client, t: client.trial_links.list_subscribers(t.trial, account=t.account, limit=10, offset=0),
    lambda client, t: client.shared_tracking_links.list(t.account),
    lambda client, t: client.shared_trial_links.list(t.account),
    # posts, stories, queue
    lambda client, t: client.posts.list(t.account, counters=True),
    lambda client, t: client.posts.retrieve(t.post, account=t.account),
    lambda client, t: client.posts.stats(t.post, account=t.account),
    lambda client, t: client.posts.comments.list(str(t.post), account=t.account),
    lambda client, t: client.posts.labels.list(t.account),
    lambda client, t: client.stories.list_active(t.account),
    lambda client, t: client.stories.list_archive(t.account),
    lambda client, t: client.stories.retrieve(t.story, account=t.account),
    lambda client, t: client.stories.retrieve_stats(t.story, account=t.account),
    lambda client, t: client.stories.list_viewers(t.story, account=t.account),
    lambda client, t: client.stories.highlights.list(t.account),
    lambda client, t: client.stories.highlights.retrieve(t.highlight, account=t.account),
    lambda client, t: client.queue.list(t.account, **PLANNED),
    lambda client, t: client.queue.list(t.account, type=["chat", "post"], **PLANNED),
    lambda client, t: client.queue.count(t.account, **PLANNED),
    lambda client, t: client.saved_for_later.messages.list(t.account, limit=5, offset=0),
    lambda client, t: client.saved_for_later.messages.settings.retrieve(t.account),
    lambda client, t: client.saved_for_later.posts.list(t.account, limit=5, offset=0),
    lambda client, t: client.saved_for_later.posts.settings.retrieve(t.account),
    lambda client, t: client.promotions.list(t.account),
    lambda client, t: client.bundles.list(t.account),
    lambda client, t: client.giphy.list_trending(t.account),
    lambda client, t: client.giphy.search(t.account, q="cat"),
    # vault
    lambda client, t: client.media.vault.list(t.account, type="photo"),
    lambda client, t: client.media.vault.retrieve(t.media, account=t.account),
    lambda client, t: client.media.vault.lists.list(t.account),
    lambda client, t: client.media.vault.lists.list(t.account, lightweight=True),
    lambda client, t: client.media.vault.lists.retrieve(t.vault_list, account=t.account),
    # notifications and settings
    lambda client, t: client.notifications.list(t.account, type="tips"),
    lambda client, t: client.notifications.get_counts(t.account),
    lambda client, t: client.notifications.search_users(t.account, query="a"),
    lambda client, t: client.notifications.tabs_order.get(t.account),
    lambda client, t: client.settings.retrieve(t.account),
    lambda client, t: client.settings.blocked_countries.retrieve(t.account),
    lambda client, t: client.settings.social_media_buttons.list(t.account),
    lambda client, t: client.settings.welcome_message.retrieve(t.account),
    lambda client, t: client.settings.check_username_availability(t.account, username="nobody-has-this"),
    lambda client, t: client.banking.list_available_payout_systems(t.account),
    lambda client, t: client.banking.list_countries(t.account),
    lambda client, t: client.banking.details.retrieve_account_country_details(t.account),
    lambda client, t: client.banking.details.retrieve_bank_details(t.account),
    lambda client, t: client.banking.details.retrieve_dac7_form_details(t.account),
    lambda client, t: client.banking.details.retrieve_legal_and_tax_status(t.account),
    lambda client, t: client.banking.details.retrieve_legal_form_details(t.account),
    lambda client, t: client.release_forms.list_taggable_users(t.account),
]


@pytest.mark.parametrize("read", READS, ids=[f"{i:03}" for i in range(len(READS))])
def test_the_strict_client_reads(client: OnlyFansAPI, t: Things, read: Read) -> None:
    """The answer has the shape of the client's types, and fields that those types know are filled."""
    answer = read(client, t)
    inner = getattr(answer, "data", answer)
    assert filled(inner), inner


def filled(value: Any) -> bool:
    """Whether something that the type declares is there: an answer of another shape would leave it all empty."""
    if isinstance(value, BaseModel):
        known = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
        by_id = [name for name in value.model_extra or {} if name.isdigit()]  # users are keyed by their ids
        return any(one is not None for one in known.values()) or bool(by_id)
    if isinstance(value, list):
        return not value or filled(value[0])  # stories live for a day: at night there may be none
    return value is not None
