"""Every live operation that writes, through the official client in strict mode; a later read shows the change.

They work on the second team's account, so that what other tests read stays as it was.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from onlyfansapi import OnlyFansAPI

from scripts.simulator.model import Creator
from tests.e2e.client.things import Things

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT10:00:00Z")


def test_chats(writer: OnlyFansAPI, w: Things, writable: Creator) -> None:
    """Reading, hiding, muting, typing, deleting a chat."""
    chat = writable.chats[int(w.chat)]
    assert writer.chats.mark_as_unread(w.chat, account=w.account).data.success
    assert chat.unread > 0
    assert writer.chats.mark_as_read(w.chat, account=w.account).data.success
    assert chat.unread == 0
    assert writer.chats.mark_all_as_read.all(w.account).data.success
    assert writer.chats.mute(w.chat, account=w.account).data.success
    assert chat.muted
    assert writer.chats.unmute(w.chat, account=w.account).data.success
    assert not chat.muted
    assert writer.chats.start_typing(w.chat, account=w.account).data.success
    gone = next(str(c.fan_id) for c in writable.chats.values() if str(c.fan_id) != w.chat and c.messages)
    assert writer.chats.hide(gone, account=w.account).data.success
    assert writer.chats.delete(gone, account=w.account).data.success
    assert int(gone) not in writable.chats


def test_messages(writer: OnlyFansAPI, w: Things, writable: Creator) -> None:
    """Sending, liking, pinning, taking back."""
    sent = writer.chats.messages.send(w.chat, account=w.account, text="<p>hello</p>", media_files=[w.media], price=5)
    number = str(sent.data.id)
    message = writable.messages[sent.data.id]
    assert message.price_cents == 500
    assert writer.chats.messages.like(w.message, account=w.account, chat_id=w.chat).data.is_liked
    assert not writer.chats.messages.unlike(w.message, account=w.account, chat_id=w.chat).data.is_liked
    assert writer.chats.messages.pin(number, account=w.account, chat_id=w.chat).data.success
    assert message.pinned
    assert writer.chats.messages.unpin(number, account=w.account, chat_id=w.chat).data.success
    assert not message.pinned
    assert writer.chats.messages.delete(number, account=w.account, chat_id=w.chat).data.success
    assert sent.data.id not in writable.messages


def test_fans(writer: OnlyFansAPI, w: Things, writable: Creator) -> None:
    """Custom name, notes, block, restriction."""
    fan = writable.fans[int(w.fan)]
    assert writer.fans.set_custom_name(w.fan, account=w.account, custom_name="Boss").data.display_name == "Boss"
    assert fan.display_name == "Boss"
    assert writer.fans.notes.create_edit_notes(w.fan, account=w.account, notes="pays well").data.notice == "pays well"
    assert writer.fans.notes.get_notes(w.fan, account=w.account).data.notes == "pays well"
    assert writer.fans.notes.clear_notes(w.fan, account=w.account).data.notice == ""
    assert fan.notice == ""
    assert writer.users.block.create(w.fan, account=w.account).data.id == fan.id
    assert fan.blocked
    assert writer.users.block.delete(w.fan, account=w.account).data.id == fan.id
    assert not fan.blocked
    assert writer.users.restrict.create(w.fan, account=w.account).data.id == fan.id
    assert fan.restricted
    assert writer.users.restrict.delete(w.fan, account=w.account).data.id == fan.id
    assert not fan.restricted
    assert writer.users.subscribe.create(w.followed, account=w.account).data.subscribed_by
    assert writer.users.subscribe.delete(w.followed, account=w.account, reason="Other").data.success


def test_user_lists(writer: OnlyFansAPI, w: Things, writable: Creator) -> None:
    """A list from its making to its end."""
    number = str(writer.user_lists.create(w.account, name="Friends of mine").data.id)
    renamed = writer.user_lists.update(number, account=w.account, name="Best", is_pinned_to_feed=True).data
    assert renamed.name == "Best"
    assert writer.user_lists.users.add(number, account=w.account, ids=[w.fan]).data
    assert int(w.fan) in writable.lists[number]["users"]
    assert writer.user_lists.users.pin(int(w.fan), account=w.account, user_list_id=number).data.success
    assert writer.user_lists.users.remove(int(w.fan), account=w.account, user_list_id=number).data.list
    assert writer.user_lists.users.clear(number, account=w.account).data.users_count == 0
    assert writer.user_lists.delete(number, account=w.account).data.success
    assert number not in writable.lists


def test_mass_messages(writer: OnlyFansAPI, w: Things, writable: Creator) -> None:
    """Sending, changing and stopping a mass message."""
    sent = writer.mass_messaging.send(
        w.account, text="<p>all</p>", user_lists=[w.user_list], scheduled_date=TOMORROW, excluded_lists=[]
    )
    number = str(sent.data.id)
    assert writer.mass_messaging.update(number, account=w.account, text="<p>all of you</p>", user_ids=[w.fan]).data.id
    assert writer.mass_messaging.delete(number, account=w.account).data.success


def test_posts(writer: OnlyFansAPI, w: Things, writable: Creator) -> None:
    """A post from its making to its end."""
    number = writer.posts.create(w.account, text="<p>new</p>", expire_days=7).data.id
    writer.posts.update(number, account=w.account, text="<p>newer</p>")
    assert "newer" in writer.posts.retrieve(number, account=w.account).data.text
    assert writer.posts.pin(number, account=w.account).data.success
    assert writer.posts.archive(number, account=w.account).data.counters
    assert writer.posts.unarchive(number, account=w.account).data.counters
    assert writer.posts.delete(number, account=w.account).data.success
    assert number not in writable.posts
    assert writer.posts.labels.create(w.account, name="Beach").data.name == "Beach"


def test_comments(writer: OnlyFansAPI, w: Things) -> None:
    """The client sends a comment's text in the query; upstream gets it in the body."""
    post = {"account": w.account, "post_id": w.post}
    made = writer.posts.comments.create(str(w.post), account=w.account, text="nice one")
    assert "nice one" in made.data.text
    assert writer.posts.comments.like(made.data.id, **post).data.is_liked
    assert not writer.posts.comments.unlike(made.data.id, **post).data.is_liked
    assert writer.posts.comments.pin(made.data.id, **post).data.success
    assert writer.posts.comments.unpin(made.data.id, **post).data.success
    assert writer.posts.comments.delete(made.data.id, **post).data.success


def test_stories_and_highlights(writer: OnlyFansAPI, w: Things, writable: Creator) -> None:
    """A story, and a highlight with it."""
    account = w.account
    made = writer.stories.create(account, media_files=[str(w.media)]).data.id
    assert writer.stories.mark_as_watched(made, account=account).data.success
    lit = writer.stories.highlights.create(
        account, title="Best", cover_story_id=w.story, story_ids=[str(w.story)]
    ).data.id
    kept = {"account": account, "cover_story_id": w.story, "story_ids": [str(w.story)]}
    assert writer.stories.highlights.update(lit, title="Better", **kept).data.title == "Better"
    added = writer.stories.highlights.add_story(str(made), account=account, highlight_id=lit, body_story_id=made)
    assert added.data.success
    assert writer.stories.highlights.remove_story(str(made), account=account, highlight_id=lit).data.success
    assert writer.stories.highlights.delete(lit, account=account).data.success
    assert writer.stories.delete(made, account=account).data.success
    assert made not in writable.stories


def test_queue_and_saved(writer: OnlyFansAPI, w: Things) -> None:
    """Publishing early, and the automatic sending of what is saved for later."""
    assert writer.queue.publish(w.queued, account=w.account).data.success
    saved = writer.saved_for_later
    assert saved.messages.settings.enable_or_update_automatic_messaging(w.account, period=12).data.period == 12
    assert saved.messages.settings.disable_automatic_messaging(w.account).data == []
    assert saved.posts.settings.enable_or_update_automatic_posting(w.account, period=24).data.period == 24
    assert saved.posts.settings.disable_automatic_posting(w.account).data == []


def test_offers(writer: OnlyFansAPI, w: Things) -> None:
    """Promotions, and bundles, which the client sends in the query."""
    made = writer.promotions.create(w.account, discount=50, expiration_days=7, offer_limit=10, type="new").data
    assert writer.promotions.stop(str(made[0].id), account=w.account).data.success
    assert writer.promotions.delete(str(made[0].id), account=w.account).data.success
    bundle = writer.bundles.create(w.account, discount=25, duration=12).data
    assert (bundle.discount, bundle.duration) == (25, 12)
    assert writer.bundles.delete(str(bundle.id), account=w.account).data.id == bundle.id


def test_links(writer: OnlyFansAPI, w: Things, writable: Creator) -> None:
    """Making and deleting links; giving up shared ones."""
    made = writer.tracking_links.create(w.account, name="Reddit").data[0]
    assert (made.campaign_name, made.count_subscribers) == ("Reddit", 0)
    assert writer.tracking_links.delete(str(made.id), account=w.account).data.success
    trial = writer.trial_links.create(w.account, duration=7, offer_expiration=5, offer_limit=10, name="Week").data
    assert (trial.trial_link_name, trial.subscribe_days, trial.subscribe_counts) == ("Week", 7, 10)
    assert trial.expired_at
    assert writer.trial_links.delete(str(trial.id), account=w.account).data.success
    campaign = next(link.id for link in writable.shared.values() if link.kind == "campaign")
    assert writer.shared_tracking_links.revoke_access(campaign, account=w.account).data.success
    shared = next(link.id for link in writable.shared.values() if link.kind == "trial")
    assert writer.shared_trial_links.revoke_access(shared, account=w.account).data.success
    assert {f"campaign:{campaign}", f"trial:{shared}"}.isdisjoint(writable.shared)


def test_vault(writer: OnlyFansAPI, w: Things, writable: Creator) -> None:
    """Lists of the vault, and taking media out of it."""
    number = str(writer.media.vault.lists.create(w.account, name="Beach").data.id)
    assert writer.media.vault.lists.update(number, account=w.account, name="Sea").data.name == "Sea"
    media = [str(w.media)]
    assert writer.media.vault.lists.media.add(number, account=w.account, media_ids=media).data.has_media
    assert not writer.media.vault.lists.media.remove(number, account=w.account, media_ids=media).data.has_media
    assert writer.media.vault.lists.delete(number, account=w.account).data.success
    last = [number for number, row in writable.vault.items() if not row.hidden][-1]
    assert writer.media.vault.delete(w.account, media_ids=[str(last)]).data.success
    assert writable.vault[last].hidden


def test_notifications(writer: OnlyFansAPI, w: Things) -> None:
    """Reading all of them, and the order of the tabs."""
    assert writer.notifications.mark_all_as_read(w.account).data.success
    words = "all onlyfans subscriptions purchases tips tags comments mentions likes promotions"
    assert writer.notifications.tabs_order.update(w.account, tabs=words.split()).data.success


def test_settings(writer: OnlyFansAPI, w: Things, writable: Creator) -> None:
    """Profile, price, countries, buttons, welcome message."""
    account, settings = w.account, writer.settings
    assert settings.update_profile(account, location="Paris").data
    assert writable.profile["location"] == "Paris"
    assert settings.update_subscription_price(account, price="9.99").data.success
    assert settings.blocked_countries.update(account, blocked_countries=["RU", "CN"]).data.success
    assert settings.blocked_countries.retrieve(account).data.blocked_countries == ["RU", "CN"]
    buttons = settings.social_media_buttons
    made = buttons.add(account, label="Me", type="tiktok", value="me").data[-1]
    assert made.label == "Me"
    assert buttons.update(str(made.id), account=account, label="Mine").data[-1].label == "Mine"
    order = [str(one.id) for one in buttons.list(account).data][::-1]
    assert [str(one.id) for one in buttons.reorder(account, button_ids=order).data] == order
    assert buttons.delete(str(made.id), account=account).data.success
    assert settings.welcome_message.update(account, text="<p>hi there</p>").data.text == "<p>hi there</p>"
    assert settings.welcome_message.toggle(account, enabled=False).data
    assert not writable.welcome["active"]


def test_payouts_and_forms(writer: OnlyFansAPI, w: Things) -> None:
    """Payout frequency, a withdrawal, release forms."""
    assert writer.payouts.update_frequency(w.account, frequency="monthly").data.success
    assert writer.payouts.request_manual_withdrawal(w.account, amount=50).data.list
    assert writer.release_forms.create_invitation_link(w.account, name="Guest").data.name == "Guest"
    assert writer.release_forms.create_release_form(w.account, name="Form").data.name == "Form"
