"""A valid payload of each event, for those who build a receiver: the shape that real ones have (contract 7.4)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from addons.webhooks.catalogue import EVENTS

ACCOUNT_ID = "acct_0123456789abcdefghijklmn"
AT = "2025-01-01T01:01:01+00:00"

FAN: Mapping[str, Any] = {
    "id": "123456789",
    "username": "fan123",
    "name": "Fan",
    "display_name": "Fan",
    "avatar": "https://public.onlyfans.com/files/avatar.jpg",
}
FAN_DATA: Mapping[str, Any] = {
    "available": True,
    "last_updated_at": AT,
    "spending": {
        "total": Decimal("120.5"),
        "messages": 60,
        "subscribes": 30,
        "posts": 10,
        "tips": Decimal("20.5"),
        "streams": 0,
    },
    "previous_reply_at": AT,
}
_USER = {
    "view": "s",
    "avatar": FAN["avatar"],
    "avatarThumbs": {"c50": FAN["avatar"], "c144": FAN["avatar"]},
    "id": 123456789,
    "name": "Fan",
    "username": "fan123",
    "isVerified": False,
}
_FAN_PARTS = {"fan": FAN, "fanData": FAN_DATA}
_LINK = '<a href="https://onlyfans.com/fan123">Fan</a>'


def _notification(kind: str, sub: str, text: str, **pairs: str) -> dict[str, Any]:
    return {
        "id": 987654321,
        "type": kind,
        "subType": sub,
        "createdAt": AT,
        "text": text,
        "isRead": False,
        "canGoToProfile": True,
        "replacePairs": {f"{{{name}}}": value for name, value in pairs.items()},
        "user_id": 42424242,
        "user": _USER,
        **_FAN_PARTS,
    }


def _message(sender: Mapping[str, Any], *, mine: bool) -> dict[str, Any]:
    return {
        "responseType": "message",
        "id": 5555555555,
        "text": "<p>hello</p>",
        "giphyId": None,
        "lockedText": False,
        "isFree": True,
        "price": 0,
        "isMediaReady": True,
        "mediaCount": 0,
        "media": [],
        "previews": [],
        "isTip": False,
        "isReportedByMe": False,
        "isCouplePeopleMedia": False,
        "queueId": None,
        "isMarkdownDisabled": False,
        "fromUser": sender,
        "isFromQueue": False,
        "canUnsendQueue": False,
        "unsendSecondsQueue": 86400,
        "isOpened": True,
        "isNew": not mine,
        "createdAt": AT,
        "changedAt": AT,
        "cancelSeconds": 86400 if mine else 0,
        "isLiked": False,
        "canPurchase": False,
        "canPurchaseReason": "opened",
        "canReport": not mine,
        "canBePinned": True,
        "isPinned": False,
        "isSentByMe": mine,
        "releaseForms": [],
        **_FAN_PARTS,
    }


def _account(state: str, progress: str, *, success: bool | None, **attempt: Any) -> dict[str, Any]:
    latest = {
        "started_at": AT,
        "completed_at": AT,
        "success": success,
        "error_message": None,
        "needs_otp": False,
        "needs_face_otp": False,
        "otp_phone_ending": None,
    }
    return {"state": state, "progress": progress, "latestAuthAttempt": {**latest, **attempt}}


def _export(status: str, **values: Any) -> dict[str, Any]:
    fields = {
        "type": "transactions",
        "file_type": "csv",
        "start_date": "2024-12-01T00:00:00+00:00",
        "end_date": "2024-12-31T00:00:00+00:00",
        "total_rows": 1200,
        "rows_processed": 0,
        "credit_cost": 60,
        "failed_reason": None,
        "created_at": AT,
        "updated_at": AT,
    }
    return {"id": "data_export_0123456789abcdef", "status": status, "account_ids": [ACCOUNT_ID], **fields, **values}


def _upload(status: str, **values: Any) -> dict[str, Any]:
    return {"prefixed_id": "ofapi_media_0123456789abcdef0123456789abcdef", "status": status, **values}


def _presence() -> dict[str, Any]:
    fan = {name: FAN[name] for name in ("id", "username", "name", "display_name")}
    times = {"observed_at": AT, "status_changed_at": AT, "last_seen_online_at": AT}
    return {"fan": {**fan, "spending": FAN_DATA["spending"]}, **times}


_QUEUE = {"id": 77777777, "date": AT, "isDone": False, "isCanceled": False, "pending": 40, "total": 100}

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "accounts.connected": _account("authenticated", "authenticated", success=True),
    "accounts.reconnected": _account("authenticated", "authenticated", success=True),
    "accounts.disconnected": _account("disconnected", "disconnected", success=None),
    "accounts.session_expired": _account("session_expired", "session_expired", success=None),
    "accounts.authentication_failed": _account(
        "authentication_failed", "failed", success=False, error_message="Wrong email or password"
    ),
    "accounts.otp_code_required": _account(
        "authenticating", "needs_otp", success=None, completed_at=None, needs_otp=True, otp_phone_ending="42"
    ),
    "accounts.face_otp_required": _account(
        "authenticating", "needs_face_otp", success=None, completed_at=None, needs_face_otp=True
    ),
    "transactions.new": {
        "id": "11111111-2222-4333-8444-555555555555",
        "created_at": "2025-01-01 01:01:01",
        "type": "message",
        "tips_source": None,
        "amount": 10,
        "vat_amount": 0,
        "tax_amount": 0,
        "net_amount": 8,
        "fee_amount": 2,
        "currency": "USD",
        "description": f"Payment for message from {_LINK}",
        "status": "loading",
        **_FAN_PARTS,
    },
    "messages.received": _message({"id": 123456789, "_view": "s"}, mine=False),
    "messages.sent": _message({"id": 42424242, "_view": "s"}, mine=True),
    "messages.ppv.unlocked": _notification(
        "paided_message",
        "subscriber_pay_for_chat_message",
        "{NAME} purchased your {MESSAGE_LINK} for {AMOUNT}",
        NAME=_LINK,
        MESSAGE_LINK='<a href="https://onlyfans.com/my/chats/chat/123456789/?firstId=5555555555">message</a>',
        AMOUNT="$10.00",
    ),
    "messages.deleted": {"id": 5555555555},
    "chat_queue.updated": _QUEUE,
    "chat_queue.finished": {**_QUEUE, "isDone": True, "pending": 0},
    "tips.received": _notification("tip", "new_tips", "{NAME} sent you a tip of {AMOUNT}", NAME=_LINK, AMOUNT="$10.00")
    | {"amountGross": 10, "amountNet": 8},
    "subscriptions.new": _notification(
        "subscribed",
        "new_subscriber",
        "{SUBSCRIBER_LINK} subscribed for {PRICE}",
        SUBSCRIBER_LINK=_LINK,
        PRICE="$9.99",
    ),
    "subscriptions.renewed": _notification(
        "subscribed",
        "renewed_subscriber",
        "{SUBSCRIBER_LINK} renewed for {PRICE}",
        SUBSCRIBER_LINK=_LINK,
        PRICE="$9.99",
    ),
    "subscriptions.expired": {
        "user": {name: _USER[name] for name in ("id", "username", "name")},
        "expiredAt": AT,
        **_FAN_PARTS,
    },
    "posts.liked": _notification(
        "favorited",
        "favorited_post",
        "{NAME} liked your {POST_LINK}",
        NAME=_LINK,
        POST_LINK='<a href="https://onlyfans.com/66666666/creator">post</a>',
    ),
    "users.typing": {"id": 123456789},
    "users.online": _presence(),
    "users.offline": _presence(),
    "data_exports.calculating_credits": _export("calculating_credits", total_rows=None, credit_cost=None),
    "data_exports.calculating_credits_completed": _export("calculating_credits_completed"),
    "data_exports.calculating_credits_failed": _export("calculating_credits_failed", total_rows=None, credit_cost=None),
    "data_exports.in_progress": _export("in_progress", rows_processed=600),
    "data_exports.completed": _export("completed", rows_processed=1200),
    "data_exports.failed": _export("failed", failed_reason="Upstream refused the account's session."),
    "data_exports.cancelled": _export("cancelled"),
    "fan_summary.completed": {
        "fan_id": "123456789",
        "status": "completed",
        "summary": "Writes in the evening.",
        "created_at": AT,
    },
    "media_uploads.completed": _upload(
        "completed",
        media={"prefixed_id": "ofapi_media_0123456789abcdef0123456789abcdef", "file_name": "photo.jpg"},
        credits_used=3,
    ),
    "media_uploads.failed": _upload("failed", error="The upload failed: the file is no picture"),
}
assert EXAMPLES.keys() == EVENTS.keys()


def example(event: str) -> dict[str, Any]:
    """A whole delivery body: `{event, account_id?, payload}`. Raises KeyError."""
    payload = EXAMPLES[event]
    if event.startswith("data_exports."):
        return {"event": event, "payload": payload}
    return {"event": event, "account_id": ACCOUNT_ID, "payload": payload}
