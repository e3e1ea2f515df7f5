"""Every event that can be subscribed to, with what it means (contract 7.2)."""

from __future__ import annotations

from collections.abc import Mapping

EVENTS: Mapping[str, str] = {
    "accounts.connected": "An account was connected for the first time.",
    "accounts.reconnected": "An account whose session was lost works again.",
    "accounts.disconnected": "An account was disconnected.",
    "accounts.session_expired": "OnlyFans no longer knows the session of an account; it has to be authenticated again.",
    "accounts.authentication_failed": "A login of an account failed.",
    "accounts.otp_code_required": "A login waits for the code of a second factor.",
    "accounts.face_otp_required": "A login waits for a selfie check.",
    "transactions.new": "A transaction appeared in the earnings of an account.",
    "messages.received": "A fan sent a message.",
    "messages.sent": "The account sent a message.",
    "messages.ppv.unlocked": "A fan bought a paid message.",
    "messages.deleted": "A message was deleted.",
    "chat_queue.updated": "A mass message made progress.",
    "chat_queue.finished": "A mass message was sent to everyone or was cancelled.",
    "tips.received": "A fan sent a tip.",
    "subscriptions.new": "Somebody subscribed.",
    "subscriptions.renewed": "A subscription was renewed.",
    "subscriptions.expired": "A subscription ended.",
    "posts.liked": "A fan liked a post.",
    "users.typing": "A fan is typing.",
    "users.online": "A fan came online.",
    "users.offline": "A fan went offline.",
    "data_exports.calculating_credits": "Rows and credits of a data export are being counted.",
    "data_exports.calculating_credits_completed": "Rows and credits of a data export are known; it can be started.",
    "data_exports.calculating_credits_failed": "Rows and credits of a data export could not be counted.",
    "data_exports.in_progress": "A data export is being made.",
    "data_exports.completed": "A data export is ready for download.",
    "data_exports.failed": "A data export failed.",
    "data_exports.cancelled": "A data export was cancelled.",
    "fan_summary.completed": "The summary of a fan is ready.",
    "media_uploads.completed": "A media upload is done.",
    "media_uploads.failed": "A media upload failed.",
}
