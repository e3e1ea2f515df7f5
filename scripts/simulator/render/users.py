"""Users: fans, followed creators, the creator. Fields whose type differs between answers of the real API are null."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from scripts.simulator.model import Creator, Fan, Span
from scripts.simulator.render.common import money
from scripts.simulator.times import iso

PUBLIC = "https://public.onlyfans.com/files"
ABILITIES = {
    "canAddSubscriber": True,
    "canCommentStory": True,
    "canEarn": False,
    "canLookStory": True,
    "canPayInternal": True,
    "canReceiveChatMessage": True,
    "canReport": True,
    "canRestrict": True,
    "canTrialSend": False,
    "canUnsubscribe": False,
}
STORY_STATE = {"hasNotViewedStory": False, "hasScheduledStream": False, "hasStories": False, "hasStream": False}
NOT_FOLLOWED = (
    "subscribedByExpire",
    "subscribedByExpireDate",
    "subscribedByAutoprolong",
    "subscribedIsExpiredNow",
    "currentSubscribePrice",
    "subscribedByData",
)
TIPS = {"tipsEnabled": True, "tipsMax": 200, "tipsMin": 5, "tipsMinInternal": 1, "tipsTextEnabled": True}


def avatar(user_id: int) -> str:
    key = f"{user_id * 2654435761 % 2**64:016x}"
    return f"{PUBLIC}/{key[0]}/{key[:2]}/{key}/avatar.jpg"


def thumbs(user_id: int) -> dict[str, str]:
    key = f"{user_id * 2654435761 % 2**64:016x}"
    base = f"{PUBLIC}/thumbs"
    return {
        "c50": f"{base}/c50/{key[0]}/{key[:2]}/{key}/avatar.jpg",
        "c144": f"{base}/c144/{key[0]}/{key[:2]}/{key}/avatar.jpg",
    }


def header(user_id: int) -> dict[str, Any]:
    """A creator's banner."""
    base = f"{PUBLIC}/h/{user_id}"
    return {
        "header": f"{base}/header.jpg",
        "headerSize": {"width": 1500, "height": 500},
        "headerThumbs": {"w480": f"{base}/480.jpg", "w760": f"{base}/760.jpg"},
    }


def brief(fan: Fan) -> dict[str, Any]:
    """The small user of ledger rows."""
    return {
        "view": "s",
        "avatar": avatar(fan.id),
        "avatarThumbs": thumbs(fan.id),
        "id": fan.id,
        "name": fan.name,
        "username": fan.username,
        "isVerified": False,
    }


def lists_states(who: Creator, fan_id: int) -> list[dict[str, Any]]:
    return [
        {
            "id": row["id"],
            "type": row["type"],
            "name": row["name"],
            "hasUser": fan_id in row["users"],
            "canAddUser": row["type"] == "custom",
            "cannotAddUserReason": None,
        }
        for row in who.lists.values()
    ]


def subscribe_row(fan: Fan, who: Creator, span: Span, now: datetime) -> dict[str, Any]:
    trial = span.price_cents == 0
    return {
        "id": span.id,
        "userId": who.id,
        "subscriberId": fan.id,
        "date": iso(span.start),
        "duration": (span.end - span.start).days,
        "startDate": iso(span.start),
        "expireDate": iso(span.end),
        "cancelDate": None,
        "price": money(span.price_cents),
        "regularPrice": money(span.regular_cents),
        "discount": 100 if trial else 0,
        "earningId": span.id % 2_000_000_000,
        "action": "subscribe" if span.action == "subscribe" else "prolong",
        "type": "trial" if trial else "regular",
        "offerStart": iso(span.start) if trial else None,
        "offerEnd": iso(span.end) if trial else None,
        "isCurrent": span.start <= now < span.end,
    }


def subscribed_on(who: Creator, fan: Fan, now: datetime, spans: list[Span] | None = None) -> dict[str, Any] | None:
    """`subscribedOnData`: what the creator sees of the fan's subscription; sums are gross dollars."""
    shown = fan.spans if spans is None else spans
    if not shown:
        return None
    last = max(fan.spans, key=lambda span: span.end)
    active = fan.active_at(now)
    sums = fan.sums
    days = (min(now, last.end) - fan.spans[0].start).days
    return {
        "price": money(last.price_cents),
        "newPrice": money(last.price_cents),
        "regularPrice": money(who.price_cents),
        "subscribePrice": money(who.price_cents),
        "discountPercent": 0,
        "discountPeriod": 0,
        "subscribeAt": iso(fan.spans[0].start),
        "expiredAt": iso(last.end),
        "renewedAt": iso(last.start if active else None),
        "discountFinishedAt": None,
        "discountStartedAt": None,
        "status": None if active else "Expired",
        "isMuted": False,
        "unsubscribeReason": "",
        "duration": f"{max(days // 30, 1)} month{'s' if days >= 60 else ''}",
        "tipsSumm": money(sums["tips"]),
        "subscribesSumm": money(sums["subscribes"]),
        "messagesSumm": money(sums["chat_messages"]),
        "postsSumm": money(sums["post"]),
        "streamsSumm": money(sums["stream"]),
        "totalSumm": money(sum(sums.values())),
        "lastActivity": iso(fan.last_seen),
        "recommendations": 0,
        "hasActivePaidSubscriptions": active and last.price_cents > 0,
        "subscribes": [subscribe_row(fan, who, span, now) for span in reversed(shown)],
    }


def _offer(who: Creator, fan: Fan, span: Span) -> dict[str, Any]:
    """A period that was free of charge."""
    return {
        "id": span.id,
        "createdAt": iso(span.start),
        "expiredAt": iso(span.end),
        "finishedAt": None,
        "subscribeDays": (span.end - span.start).days,
        "subscriberId": str(fan.id),
        "userId": str(who.id),
    }


def fan_row(who: Creator, fan: Fan, now: datetime, spans: list[Span] | None = None) -> dict[str, Any]:
    """A fan as lists show it. `spans` limits `subscribes[]` to those periods (rows of a link's claimers)."""
    active = fan.active_at(now)
    data = subscribed_on(who, fan, now, spans)
    return {
        "view": "m",
        "avatar": avatar(fan.id),
        "avatarThumbs": thumbs(fan.id),
        "header": None,
        "headerSize": None,
        "headerThumbs": None,
        "id": fan.id,
        "name": fan.name,
        "username": fan.username,
        **ABILITIES,
        **STORY_STATE,
        "isVerified": False,
        "isPerformer": False,
        "isRealPerformer": False,
        "isBlocked": fan.blocked,
        "isRestricted": fan.restricted,
        "isPaywallRequired": False,
        "isPendingAutoprolong": False,
        "hideChat": False,
        "subscribedBy": False,
        **dict.fromkeys(NOT_FOLLOWED),
        "subscribedOn": True if active else None,
        "subscribedOnExpiredNow": not active,
        "subscribedOnDuration": data["duration"] if data else None,
        "subscribedOnData": data,
        "subscribePrice": 0,
        "subscriptionBundles": [],
        "promoOffers": [_offer(who, fan, s) for s in (fan.spans if spans is None else spans) if s.price_cents == 0],
        **TIPS,
        "listsStates": lists_states(who, fan.id),
        "lastSeen": iso(fan.last_seen),
        "notice": fan.notice,
        "displayName": fan.display_name,
    }


COUNTS = (
    "archivedPostsCount",
    "audiosCount",
    "favoritedCount",
    "favoritesCount",
    "finishedStreamsCount",
    "mediasCount",
    "photosCount",
    "postsCount",
    "privateArchivedPostsCount",
    "videosCount",
)
NO = (
    "avatarHeaderConverterUpload",
    "canCreatePromotion",
    "canCreateTrial",
    "hasFriends",
    "hasLabels",
    "hasLinks",
    "hasPinnedPosts",
    "hasSavedStreams",
    "isAdultContent",
    "isFriend",
    "isMarkdownDisabledForAbout",
    "isPrivateRestriction",
    "isReferrerAllowed",
    "isSpotifyConnected",
    "isSpringConnected",
    "shouldShowFinishedStreams",
    "showMediaCount",
    "showPostsInFeed",
    "showSubscribersCount",
)


def details(who: Creator, fan: Fan, now: datetime) -> dict[str, Any]:
    """A user's own page, as `/users/{id}` answers it."""
    row = fan_row(who, fan, now) if fan.spans else followed_row(fan, now)
    row.update(
        view="p",
        about="",
        canChat=True,
        firstPublishedPostDate=None,
        joinDate=iso(fan.joined),
        location=None,
        subscribersCount=None,
        website=None,
        wishlist=None,
        subscribedOn=None,
        **dict.fromkeys(COUNTS, 0),
        **dict.fromkeys(NO, False),
    )
    return row


def followed_row(other: Fan, now: datetime) -> dict[str, Any]:
    """A creator that this creator follows."""
    active = other.id % 3 != 0
    return {
        "view": "m",
        "avatar": avatar(other.id),
        "avatarThumbs": thumbs(other.id),
        **header(other.id),
        "id": other.id,
        "name": other.name,
        "username": other.username,
        **ABILITIES,
        **STORY_STATE,
        **dict.fromkeys(("isVerified", "isPerformer", "isRealPerformer"), True),
        "isBlocked": other.blocked,
        "isRestricted": other.restricted,
        "isPaywallRequired": False,
        "isPendingAutoprolong": False,
        "hideChat": False,
        "subscribedBy": active,
        "subscribedByExpire": not active,
        "subscribedByExpireDate": iso(other.joined),
        "subscribedByAutoprolong": False,
        "subscribedIsExpiredNow": not active,
        "currentSubscribePrice": 0,
        "subscribedByData": None,
        "subscribedOn": False,
        "subscribedOnData": None,
        "subscribedOnDuration": None,
        "subscribedOnExpiredNow": None,
        "subscribePrice": 0,
        **TIPS,
        "listsStates": [],
        "lastSeen": iso(other.last_seen),
        "notice": "",
        "displayName": "",
    }


def author(who: Creator) -> dict[str, Any]:
    """The creator as the author of a post or story."""
    return {
        "view": "a",
        "avatar": avatar(who.id),
        "avatarThumbs": thumbs(who.id),
        "header": None,
        "headerSize": None,
        "headerThumbs": None,
        "id": who.id,
        "name": who.name,
        "username": who.username,
        "isVerified": True,
        "subscribePrice": money(who.price_cents),
        "subscriptionBundles": [],
        **STORY_STATE,
        **TIPS,
        "canAddSubscriber": True,
        "canEarn": True,
        "canPayInternal": True,
        "canCommentStory": True,
        "canLookStory": True,
        "canCreateLists": True,
        "canSendChatToAll": True,
        "canTrialSend": True,
        "creditsMax": 5000,
        "creditsMin": 1,
        "hasStripe": False,
        "isStripeExist": False,
        "isPaywallPassed": True,
        "showMediaCount": True,
        "showPostsInFeed": True,
        "subscribedBy": None,
    }
