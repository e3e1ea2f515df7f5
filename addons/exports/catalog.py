"""What can be exported: the types of contract 8 with their file types, columns, options and where rows come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from addons.pipeline.checks import Wrong, check, label
from addons.pipeline.dates import instant
from addons.pipeline.errors import ValidationFailed
from addons.pipeline.rule_models import ParamRule
from ofapi_store.queries.exports_rows import LISTINGS
from ofapi_store.types import show_time

SHEETS = ("csv", "xlsx")
OF_ACCOUNT = ("account_id", "account_name")
MAX_MESSAGES = 10_000_000
MAX_VISITOR_DAYS = 731
FANSLY = "This installation exports OnlyFans accounts only; fansly_chat_messages cannot be served."
_NOT_STORED = "this installation knows profiles only as its own accounts see them, without this figure."


@dataclass(frozen=True, slots=True)
class ExportType:
    """`collection`: what is synced before the store is read. `walk`: rows come from upstream, asked by the job.

    `dated` False: the period does not choose rows.
    """

    name: str
    columns: tuple[str, ...]
    file_types: tuple[str, ...] = SHEETS
    collection: str | None = None
    walk: bool = False
    dated: bool = True
    options: Mapping[str, ParamRule] = field(default_factory=dict)


def _stored(name: str, **values: Any) -> ExportType:
    return ExportType(name, (*LISTINGS[name].columns, *OF_ACCOUNT), **values)


def _one_of(*names: str) -> ParamRule:
    return ParamRule.model_validate({"type": "string", "required": True, "enum": list(names)})


def _rule(kind: str, **values: Any) -> ParamRule:
    return ParamRule.model_validate({"type": kind, **values})


_PROFILE_OPTIONS: dict[str, ParamRule] = {
    "query": _rule("string", max_length=255, pattern=r"[^\x00-\x1f\ud800-\udfff]*"),
    "minLastSeenAt": _rule("date"),
    "createdAtFrom": _rule("date"),
    "createdAtTo": _rule("date"),
    "maxResults": _rule("int", min=1, max=MAX_MESSAGES),
    **{
        name: _rule("any", unsupported=_NOT_STORED)
        for name in (
            "gender", "minSubscribePrice", "maxSubscribePrice", "location", "minPostsCount", "minPhotosCount",
            "minVideosCount", "minSubscribersCount", "maxSubscribersCount", "minJoinDate", "instagram", "twitter",
            "tiktok",
        )
    },
}  # fmt: skip
_MESSAGE_OPTIONS: dict[str, ParamRule] = {
    "maxMessages": _rule("int", required=True, min=1, max=MAX_MESSAGES),
    "maxChats": _rule("int", min=1, max=1_000_000),
    "skipMassMessages": _rule("bool"),
    "chatIds": _rule("array", max_length=10_000),
}

TYPES: dict[str, ExportType] = {
    t.name: t
    for t in (
        _stored("transactions", collection="transactions"),
        _stored("chat_messages", collection="messages", walk=True, options=_MESSAGE_OPTIONS),
        _stored("fans", collection="fans", options={"type": _one_of("all", "active", "expired", "latest")}),
        ExportType(
            "followings",
            ("user_id", "username", "name", "is_active", "subscribe_price", "subscribed_at", "expires_at",
             "last_seen_at", "avatar_url", *OF_ACCOUNT),
            walk=True,
            options={"type": _one_of("all", "active", "expired")},
        ),
        _stored("trial_links", collection="trial_links"),
        _stored("tracking_links", collection="tracking_links"),
        _stored("smart_links"),
        ExportType(
            "payouts",
            ("payout_id", "amount", "currency", "state", "invoice_id", "reject_reason", "created_at", *OF_ACCOUNT),
            walk=True,
        ),
        _stored("chargebacks", collection="chargebacks"),
        ExportType(
            "profile_visitors",
            ("date", "total_visitors", "guest_visitors", "user_visitors", "subscriber_visitors",
             "average_view_duration", *OF_ACCOUNT),
            walk=True,
        ),
        ExportType("public_profiles", tuple(LISTINGS["public_profiles"].columns), dated=False, options=_PROFILE_OPTIONS),
        ExportType(
            "media_vault", (), ("zip",), walk=True,
            options={"mediaType": _one_of("all", "photo", "gif", "video", "audio")},
        ),
    )
}  # fmt: skip


def check_type(kind: str, file_type: str) -> ExportType:
    """The type, if this installation serves it in that format. Raises ValidationFailed."""
    found = TYPES.get(kind)
    if found is None:
        raise ValidationFailed.of("type", FANSLY if kind.startswith("fansly_") else f"There is no export type {kind}.")
    if file_type not in found.file_types:
        text = f"The file type of {kind} must be {' or '.join(found.file_types)}, not {file_type}."
        raise ValidationFailed.of("file_type", text)
    return found


def check_columns(kind: ExportType, wanted: list[str] | None) -> list[str]:
    """The columns in the order asked for; all of them by default. Raises ValidationFailed naming each unknown one."""
    if not wanted:
        return list(kind.columns)
    if not kind.columns:
        raise ValidationFailed.of("export_columns", f"An export of {kind.name} holds files and has no columns.")
    errors: dict[str, list[str]] = {}
    for at, name in enumerate(wanted):
        if name not in kind.columns:
            text = f"{kind.name} has no column {name[:64]!r}. Expected: {', '.join(kind.columns)}."
            errors[f"export_columns.{at}"] = [text]
        elif name in wanted[:at]:
            errors[f"export_columns.{at}"] = [f"The column {name} is named twice."]
    if errors:
        raise ValidationFailed(errors)
    return list(wanted)


def check_options(kind: ExportType, options: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The options of that type, converted; dates as text in UTC. Raises ValidationFailed naming every wrong one."""
    found: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name in options:
        if name not in kind.options:
            known = ", ".join(kind.options) or "none"
            errors[f"options.{name[:64]}"] = [f"An export of {kind.name} has no such option. Expected: {known}."]
    for name, spec in kind.options.items():
        field_name, value = f"options.{name}", options.get(name)
        if value is None:
            if spec.required:
                errors[field_name] = [f"The {label(field_name)} field is required."]
            continue
        try:
            found[name] = _converted(field_name, value, spec, now)
        except Wrong as e:
            errors[field_name] = [str(e)]
    if errors:
        raise ValidationFailed(errors)
    return found


def _converted(name: str, value: Any, spec: ParamRule, now: datetime) -> Any:
    got = check(name, value, spec, now, text=False)
    if spec.type == "date":
        return show_time(instant(got, now))
    if spec.type == "array":
        return [_chat_id(name, item) for item in got]
    return got


def _chat_id(name: str, value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Wrong(f"The {label(name)} field must hold numeric chat ids.")
    return int(text)
