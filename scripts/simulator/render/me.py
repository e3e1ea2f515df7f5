"""`/users/me`."""

from __future__ import annotations

from typing import Any

from scripts.simulator.model import Creator
from scripts.simulator.render.common import money
from scripts.simulator.render.users import STORY_STATE, TIPS, avatar, header, thumbs
from scripts.simulator.times import iso

YES = (
    "canAddCard",
    "canAddStory",
    "canAddSubscriber",
    "canChangeContentPrice",
    "canChat",
    "canCommentStory",
    "canCreateLists",
    "canCreatePromotion",
    "canCreateTrial",
    "canEarn",
    "canLookStory",
    "canMakeExpirePosts",
    "canPayInternal",
    "canPinPost",
    "canReceiveChatMessage",
    "canReceiveManualPayout",
    "canSendChatToAll",
    "canStreaming",
    "canTrialSend",
    "hasPinnedPosts",
    "hasLabels",
    "isAgeVerified",
    "isAuth",
    "isEmailChecked",
    "isLegalApprovedAllowed",
    "isPaywallPassed",
    "isPerformer",
    "isRealPerformer",
    "isVerified",
    "isVisibleOnline",
    "isWantComments",
    "showMediaCount",
    "showPostsInFeed",
    "showSubscribersCount",
)
NO = (
    "ageVerificationRequired",
    "avatarHeaderConverterUpload",
    "canAlternativeWalletTopUp",
    "canConnectOfAccount",
    "canCreateFundRaising",
    "canReceiveStripePayout",
    "enabledImageEditorForChat",
    "hasFriends",
    "hasInternalPayments",
    "hasLinks",
    "hasNewAlerts",
    "hasNewChangedPriceSubscriptions",
    "hasNewHints",
    "hasPurchasedPosts",
    "hasScenario",
    "hasStripe",
    "hasSystemNotifications",
    "hasTags",
    "hasWatermarkPhoto",
    "hasWatermarkVideo",
    "isAdultContent",
    "isAllowTweets",
    "isCountryVatNumberCollect",
    "isCountryVatRefundable",
    "isCountryWithVat",
    "isCreditsEnabled",
    "isDeleteInitiated",
    "isEmailRequired",
    "isMakePayment",
    "isMarkdownDisabledForAbout",
    "isNeedConfirmPayout",
    "isOtpEnabled",
    "isPaymentCardConnected",
    "isPrivateRestriction",
    "isRealCardConnected",
    "isReferrerAllowed",
    "isScheduledStreamsAllowed",
    "isSpotifyConnected",
    "isSpringConnected",
    "isStripeExist",
    "isTwitterConnected",
    "isVatRequired",
    "isVerifiedReason",
    "isWalletAutorecharge",
    "ivHideForPerformers",
    "needIVApprove",
    "paidFeed",
    "walletFirstRebills",
)
ZERO = (
    "archivedPostsCount",
    "countPinnedChat",
    "creditBalance",
    "favoritedCount",
    "favoritesCount",
    "newTagsCount",
    "privateArchivedPostsCount",
    "subscribesCount",
    "unreadTips",
    "walletAutorechargeAmount",
    "walletAutorechargeMin",
    "audiosCount",
    "maxFundRaisingTarget",
    "minFundRaisingTarget",
)


CHECKED = {
    "creditsMax": 5000,
    "creditsMin": 1,
    "hasNewTicketReplies": {"appeal_form": False, "closed": False, "open": False, "solved": False},
    "ip": "192.0.2.1",
    "ivCountry": "DE",
    "ivFailReason": None,
    "ivFlow": "auto",
    "ivStatus": "approved",
}
SUBSCRIBING = {
    "subscribedByData": None,
    "subscribedOnData": None,
    "subscribeMaxPrice": 50,
    "subscribeMinPrice": 4.99,
}
LIMITS = {
    "trialMaxDays": 365,
    "trialMaxExpiresDays": 30,
    "twitterUsername": None,
    "vatNumberName": "VAT",
    "watermarkPosition": "bottom",
}


def _published(who: Creator) -> dict[str, Any]:
    kinds = [media.kind for media in who.vault.values() if not media.hidden]
    return {
        "mediasCount": len(kinds),
        "photosCount": kinds.count("photo"),
        "videosCount": kinds.count("video"),
        "postsCount": len(who.posts),
        "messageMaxPrice": 200,
        "messageMinPrice": 3,
        "postMaxPrice": 50,
        "postMinPrice": 3,
    }


def _session(who: Creator) -> dict[str, Any]:
    presets = {"preset": "of_beta", "preset_png": "of_png", "protected_preset": "of_drm"}
    more = {"isDelay": True, "needThumbs": True, "additional": {"user": str(who.id)}}
    return {
        "csrf": f"{who.id:x}-csrf",
        "wsUrl": "wss://ws2.onlyfans.com/ws3/13",
        "wsAuthToken": f"{who.id:x}-ws",
        "upload": {"geoUploadArgs": {**presets, **more}},
    }


def me(who: Creator, active: int) -> dict[str, Any]:
    """The creator's own account; `active` counts the present subscribers."""
    return {
        "view": "a",
        "id": who.id,
        "name": who.name,
        "username": who.username,
        "email": who.email,
        "avatar": avatar(who.id),
        "avatarThumbs": thumbs(who.id),
        **header(who.id),
        **dict.fromkeys(YES, True),
        **dict.fromkeys(NO, False),
        **dict.fromkeys(ZERO, 0),
        **STORY_STATE,
        **TIPS,
        **who.profile,
        **{name: [] for name in ("advBlock", "connectedOfAccounts", "faceIdRegular", "subscriptionBundles")},
        "joinDate": iso(who.joined),
        "firstPublishedPostDate": iso(who.joined),
        "lastSeen": None,
        "chatMessagesCount": sum(chat.unread for chat in who.chats.values()),
        "countPriorityChat": sum(chat.priority for chat in who.chats.values()),
        **CHECKED,
        "maxPinnedPostsCount": 5,
        **_published(who),
        "notificationsCount": sum(not note["read"] for note in who.notifications),
        "payoutLegalApproveState": "approved",
        "payoutType": "bank",
        "pinnedPostsCount": sum(post["pinned"] for post in who.posts.values()),
        **SUBSCRIBING,
        "subscribePrice": money(who.price_cents),
        "subscribersCount": active,
        **LIMITS,
        "watermarkText": f"OnlyFans.com/{who.username}",
        "performerTop": round(0.4 + who.id % 97 / 10, 1),
        **_session(who),
    }
