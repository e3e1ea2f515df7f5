"""Settings, blocked countries, social buttons."""

from __future__ import annotations

from typing import Any

from scripts.simulator.routes.base import OK, Call, Fail, ids, route

Row = dict[str, Any]
OFF = (
    "activityHubAllowed",
    "appOtp",
    "avatarHeaderConverterUpload",
    "canAcceptMessageOnlyFromFriends",
    "canAddPhone",
    "commentsOnlyForPayers",
    "creatorsCommentsOnlyForFriends",
    "disableSubscribesOffers",
    "faceOtp",
    "forceFaceOtp",
    "hideAfterMassMessages",
    "importantSubscriptionNotifications",
    "isAutoFollowBack",
    "isCoStreamingAllowed",
    "isDeleteInitiated",
    "isDrmEnabled",
    "isMonthlyNewsletters",
    "isOldLoginRedirect",
    "isOpenseaConnected",
    "isOtpAppConnected",
    "isPrivate",
    "isSuggestionsOptOut",
    "isTelegramConnected",
    "muteTagsInChats",
    "muteTagsInPosts",
    "muteTagsInStories",
    "muteTagsInStreams",
    "notifyOnAllMentions",
    "phoneOtp",
    "sendAwardsTop1",
    "sendAwardsTop5",
    "shouldReceiveLessNotifications",
    "showFriendsToSubscribers",
    "showFullTextInEmailNotify",
    "strongOtp",
    "unfollowAutoFollowBack",
)
ON = (
    "canMakeProfileLinks",
    "canSocialsConnect",
    "hasPaidPosts",
    "hasPassword",
    "isEmailNotificationsEnabled",
    "showPostsTips",
    "showSubscribesOffers",
)
NONE = (
    "changeEmailStep",
    "confirmEmailSentAt",
    "coStreamingRequestFrom",
    "lastSubscriptionExpiredAt",
    "lifeTimeEmailCode",
    "newEmail",
    "phoneLast4",
    "recommenderReward",
    "streamingMuxKey",
    "streamingMuxKeyExpiredAt",
    "streamingMuxServer",
    "streamingObsKey",
    "streamingObsServer",
    "streamingRtmpKey",
    "streamingRtmpServer",
)


@route("GET /users/me/settings", "GET /settings")
def settings(call: Call) -> Any:
    own = call.who.settings
    return {
        **dict.fromkeys(OFF, False),
        **dict.fromkeys(ON, True),
        **dict.fromkeys(NONE),
        "activityHubTokens": [],
        "blockedIps": [],
        "socialsConnects": [],
        "blockedCountries": list(own["blockedCountries"]),
        "blockedStates": list(own["blockedStates"]),
        "bundleMaxPrice": 500,
        "changelogUpdates": 0,
        "canAddSubscriberByBundle": {
            "discounts": {str(one): f"{one}%" for one in range(5, 55, 5)},
            "durations": {str(one): f"{one} months" for one in (3, 6, 12)},
        },
        "replyOnSubscribe": own["replyOnSubscribe"],
        **own.get("sections", {}),
    }


@route(
    "PATCH /users/me/settings/{section}",
    "PUT /users/me/settings/{section}",
    "PATCH /users/me/settings",
    "PUT /users/me/settings",
)
def change(call: Call) -> Any:
    call.who.settings.setdefault("sections", {}).update(call.body)
    return OK


@route(
    "PATCH /settings/subscription-price",
    "PATCH /users/me/settings/subscription-price",
    "PUT /users/me/settings/subscription-price",
)
def price(call: Call) -> Any:
    value = call.field("price", "subscribePrice")
    try:
        value = float(value)
    except (TypeError, ValueError):
        raise Fail(400, "Wrong price") from None
    if value and not 4.99 <= value <= 50:
        raise Fail(400, "Wrong price")
    call.who.price_cents = round(value * 100)
    return OK


@route("GET /settings/blocked-countries", "GET /users/me/settings/blocked-countries")
def countries(call: Call) -> Any:
    return {
        "blockedCountries": list(call.who.settings["blockedCountries"]),
        "blockedStates": list(call.who.settings["blockedStates"]),
    }


@route(
    "PUT /settings/blocked-countries",
    "PATCH /users/me/settings/blocked-countries",
    "PUT /users/me/settings/blocked-countries",
)
def set_countries(call: Call) -> Any:
    call.who.settings["blockedCountries"] = [
        str(one) for one in call.field("blockedCountries", "blocked_countries", "countries", default=[])
    ]
    call.who.settings["blockedStates"] = [str(one) for one in call.field("blockedStates", "blocked_states", default=[])]
    return OK


def button_row(button: Row, position: int) -> Row:
    url = f"https://{button['type']}.com/{button['value']}"
    return {
        "id": button["id"],
        "clicks": button["clicks"],
        "isValid": True,
        "label": button["label"],
        "link": url,
        "socialMedia": button["type"],
        "sort": position,
        "url": url,
        "username": button["value"],
    }


def buttons_of(call: Call) -> list[Row]:
    return [button_row(button, position) for position, button in enumerate(call.who.buttons)]


def button_of(call: Call) -> Row:
    found = next((button for button in call.who.buttons if button["id"] == call.id("bid")), None)
    if found is None:
        raise Fail(404, "Button not found")
    return found


BUTTONS = ("/users/social/buttons", "/settings/social-media-buttons")


@route(*(f"GET {path}" for path in BUTTONS), "GET /users/links")
def buttons(call: Call) -> Any:
    return buttons_of(call)


@route(*(f"POST {path}" for path in BUTTONS))
def add_button(call: Call) -> Any:
    kind, value = call.field("socialMedia", "type"), call.field("username", "value")
    if not kind or not value:
        raise Fail(400, "Type and value are required")
    call.who.buttons.append(
        {
            "id": call.world.new_id(),
            "type": str(kind),
            "value": str(value),
            "label": str(call.field("label") or kind),
            "clicks": 0,
        }
    )
    return buttons_of(call)


@route(*(f"POST {path}/reorder" for path in BUTTONS), "PUT /users/social/buttons")
def reorder(call: Call) -> Any:
    order = {
        number: position
        for position, number in enumerate(ids(call.field("buttonIds", "button_ids", "ids", default=[])))
    }
    call.who.buttons.sort(key=lambda button: order.get(button["id"], len(order)))
    return buttons_of(call)


@route(*(f"PUT {path}/{{bid}}" for path in BUTTONS))
def update_button(call: Call) -> Any:
    button_of(call)["label"] = str(call.field("label") or button_of(call)["label"])
    return buttons_of(call)


@route(*(f"DELETE {path}/{{bid}}" for path in BUTTONS))
def delete_button(call: Call) -> Any:
    call.who.buttons.remove(button_of(call))
    return OK
