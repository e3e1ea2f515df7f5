"""Statistics of the profile, banking, release forms, giphy."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scripts.simulator.render.common import chart
from scripts.simulator.render.users import author, avatar, brief
from scripts.simulator.routes.base import Call, matches, page, route
from scripts.simulator.routes.transactions import earned, selected
from scripts.simulator.times import iso

Row = dict[str, Any]
COUNTRIES = (
    ("US", "United States"),
    ("GB", "United Kingdom"),
    ("DE", "Germany"),
    ("FR", "France"),
    ("CA", "Canada"),
    ("AU", "Australia"),
)


def visitors(call: Call, what: str) -> list[tuple[Any, float]]:
    """Visitors (or seconds of their stay) per day: fixed by the creator and the date."""
    start, end = call.dates()
    days = max(0, min((end - start).days, 400)) + 1
    rows = []
    for offset in range(days):
        when = start + timedelta(days=offset)
        rows.append((when, float(call.world.rng(what, call.who.id, when.date()).randrange(20, 400))))
    return rows


@route("GET /users/me/profile/stats", "GET /statistics/reach/profile-visitors")
def profile_stats(call: Call) -> Any:
    """`by` total|users|guests; `filter[]` chart|topCountries (both without it)."""
    start, end = call.dates()
    share = {"users": 0.6, "guests": 0.4}.get(call.get("by") or call.get("type") or "total", 1.0)
    rows = [(when, float(int(count * share))) for when, count in visitors(call, "visitors")]
    total = int(sum(count for _, count in rows))
    wanted = call.all("filter[]", "filter") or ["chart", "topCountries"]
    out: Row = {"isAvailable": True, "hasStats": True}
    totals = {
        "guests": str(total * 4 // 10),
        "users": str(total - total * 4 // 10),
        "subscribers": total // 8,
        "total": total,
    }
    if "chart" in wanted:
        out["chart"] = {"visitors": chart(rows, start, end), "duration": chart(visitors(call, "stay"), start, end)}
        out["total"] = {"current": str(total), "delta": 1.5}
    if "topCountries" in wanted:
        ranked = [
            {
                "countryCode": code,
                "countryName": name,
                "rank": rank,
                "viewsCount": {
                    "guests": total // (rank * 9),
                    "users": total // (rank * 6),
                    "subscribers": total // (rank * 60),
                    "total": total // (rank * 3),
                },
            }
            for rank, (code, name) in enumerate(COUNTRIES, 1)
        ]
        shown, more = page(ranked, 0, call.limit)
        out["topCountries"] = {"rows": shown, "totals": totals, "hasMore": more}
    if len(wanted) > 1:
        out["topDurationUsers"] = {"totals": totals}
    return out


@route("GET /users/me/stats/overview", "GET /statistics/overview")
def overview(call: Call) -> Any:
    start, end = call.dates()
    rows = selected(call)
    net, gross = earned(rows)
    spans = [span for fan in call.who.fans.values() for span in fan.spans if start <= span.start <= end]
    new = sum(span.action == "subscribe" for span in spans)
    mass = [row for row in call.who.mass.values() if start <= row["at"] <= end]
    posts = [row for row in call.who.posts.values() if start <= row["at"] <= end]
    seen = visitors(call, "visitors")
    mass_gross = sum(row["price"] * len(row["buyers"]) for row in mass) // 100
    return {
        "earning": {"total": net, "gross": gross, "delta": 2.5},
        "posts": _part(
            chart(((row["at"], 1) for row in posts), start, end), len(posts), 0, sum(row["looks"] for row in posts)
        ),
        "massMessages": _part(
            chart(((row["at"], 1) for row in mass), start, end),
            len(mass),
            mass_gross,
            sum(row["viewed"] for row in mass),
        ),
        "streams": {**_part(chart((), start, end), 0, 0, 0), "count": {"total": "0", "delta": 0}},
        "visitors": {
            "hasStatistic": True,
            "chartData": chart(seen, start, end),
            "visitors": {"total": int(sum(count for _, count in seen)), "delta": 3},
            "subscriptions": {"new": {"total": new, "delta": 1.5}, "renew": {"total": len(spans) - new, "delta": 2}},
            "earnings": {"total": net, "gross": gross, "delta": 2.5},
        },
    }


def _part(rows: list[Row], count: int, gross: int, views: int) -> Row:
    return {
        "hasStatistic": True,
        "chartData": rows,
        "count": {"total": count, "delta": 0},
        "views": {"total": views, "delta": 0},
        "earnings": {"total": gross * 4 // 5, "gross": gross, "delta": 0},
    }


def country(code: str, name: str, number: int) -> Row:
    return {
        "id": number,
        "code": code,
        "name": name,
        "canPay": True,
        "canHasW9Form": code == "US",
        "hasStates": code == "US",
        "hasZip": True,
    }


@route("GET /countries", "GET /banking/countries", etag=True)
def countries(_call: Call) -> Any:
    return [country(code, name, number) for number, (code, name) in enumerate(COUNTRIES, 1)]


@route("GET /banking/details/account-country", "GET /payouts/account/country")
def account_country(_call: Call) -> Any:
    return country("DE", "Germany", 3)


def system(fields: Row, order: list[str]) -> Row:
    return {
        "code": "bank",
        "title": "Direct transfer",
        "subtitle": "Local bank",
        "description": "3-5 days",
        "payoutTime": "3-5 days",
        "minPayoutSumm": 20,
        "fields": fields,
        "fieldsOrder": order,
        "uiMapping": {
            "title": {"key": "bank"},
            "btn_submit": {"key": "save"},
            "alert": {"class": "info", "text": {"key": "check"}},
        },
    }


@route("GET /banking/available-payout-systems", "GET /payouts/systems")
def payout_systems(_call: Call) -> Any:
    return {"payoutCode": "bank", "payouts": [system({}, [])]}


BANK_FIELDS = {
    "first_name": "Alex",
    "last_name": "Stone",
    "iban": "DE02120300000000202051",
    "bic": "BYLADEM1001",
    "bank_name": "Example Bank",
    "address": "Street 1",
    "city": "Berlin",
    "postal": "10115",
}


@route("GET /payouts/account", "GET /banking/details/bank")
def bank(_call: Call) -> Any:
    fields: Row = {
        name: {"label": {"key": name}, "maxlength": 50, "required": True, "value": value}
        for name, value in BANK_FIELDS.items()
    }
    fields["country"] = {"label": {"key": "country"}, "readonly": True, "uionly": True, "value": "DE"}
    return {"isPayoutDataFilled": True, "payoutCode": "bank", "payouts": [system(fields, list(fields))]}


@route("GET /payouts/legal/dac7", "GET /banking/details/dac7-form")
def dac7(call: Call) -> Any:
    first, last = call.who.name.split(" ", 1)
    return {
        "firstName": first,
        "lastName": last,
        "address": "Street 1",
        "city": "Berlin",
        "cityOfBirth": "Berlin",
        "countryId": 3,
        "countryOfBirthId": 3,
        "countryOfResidenceId": 3,
        "DOB": "1990-01-01",
        "issuingCountryId": 3,
        "state": None,
        "status": "approved",
        "taxId": "00000000000",
        "type": "individual",
        "vatNumber": None,
        "zip": "10115",
    }


@route("GET /payouts/legal", "GET /banking/details/legal-form")
def legal_form(call: Call) -> Any:
    first, last = call.who.name.split(" ", 1)
    return {
        "dateOfBirth": "1990-01-01",
        "documentType": {"values": [{"code": "passport", "name": "Passport"}]},
        "isAllowedDL": True,
        "privateWebsite": None,
        "realAddress": "Street 1",
        "realBusinessName": None,
        "realCity": "Berlin",
        "realFirstName": first,
        "realInstagram": None,
        "realLastName": last,
        "realPostal": "10115",
        "realState": None,
        "realTwitter": None,
    }


@route("GET /payouts/legal/status", "GET /banking/details/legal-info")
def legal_status(_call: Call) -> Any:
    return {
        "canChangePayoutType": True,
        "canShowLegalForm": True,
        "DAC7": {"countryIds": [3], "error": None, "required": False, "state": "approved", "type": "individual"},
        "hideBanking": False,
        "isRealIdImage": True,
        "isW9Exist": False,
        "isW9Required": False,
        "isXXX": False,
        "ivFailReason": None,
        "ivStatus": "approved",
        "needShowEditW9": False,
        "payoutLegalApproveRejectReason": None,
        "showIvButton": False,
        "tax": {"countryCode": "DE", "editable": True, "isBankingDisabled": False},
    }


@route("GET /release-forms/taggable-users", "GET /posts/tagged-friend-users")
def taggable(call: Call) -> Any:
    rows = [
        {
            "id": other.id % 100_000,
            "name": other.name,
            "type": "user",
            "user": {**brief(other), "hiddenForRf": False, "isFromGuest": False, "ivStatus": "approved"},
        }
        for other in call.who.following.values()
        if matches(call.get("name"), other.name)
    ]
    shown, more = page(rows, call.offset, call.limit)
    return {"items": shown, "hasMore": more}


@route("POST /release-forms/create-invitation-link", "POST /release-forms/guests")
def invite(call: Call) -> Any:
    number, name = call.world.new_id(), str(call.field("name") or "Guest")
    token = f"{number:016x}"
    me = {
        "id": call.who.id,
        "avatar": avatar(call.who.id),
        "avatarThumbs": author(call.who)["avatarThumbs"],
        "isActive": True,
        "isDeleted": False,
        "isVerified": True,
        "name": call.who.name,
        "username": call.who.username,
        "view": "s",
    }
    return {
        "id": number,
        "token": token,
        "date": iso(call.now),
        "invitationUrl": f"https://onlyfans.com/rf/{token}",
        "name": name,
        "type": "guest",
        "user": me,
    }


@route("POST /release-forms/create-release-form", "POST /release-forms")
def release_form(call: Call) -> Any:
    number, name = call.world.new_id(), str(call.field("name") or "Release")
    return {
        "id": number,
        "approvedAt": None,
        "code": f"{number:x}",
        "createdAt": iso(call.now),
        "name": name,
        "signature": None,
        "signed": [],
        "signersCount": 0,
        "submissionUrl": f"https://onlyfans.com/rf/{number:x}",
        "type": "collab",
        "user": author(call.who),
    }


def gif(number: int, query: str) -> Row:
    base = f"https://media.giphy.example/{number}"
    sizes = {"height": "200", "width": "320", "url": f"{base}/200.gif"}
    return {
        "id": f"gif{number}",
        "embed_url": f"{base}/embed",
        "images": {"fixed_height": sizes, "original": {**sizes, "mp4": f"{base}.mp4", "webp": f"{base}.webp"}},
        "rating": "g",
        "slug": f"{query or 'trending'}-{number}",
        "title": f"{query or 'Trending'} {number}",
        "type": "gif",
        "url": base,
        "username": "",
    }


@route("GET /giphy/proxy/gifs/trending", "GET /giphy/trending", "GET /giphy/proxy/gifs/search", "GET /giphy/search")
def giphy(call: Call) -> Any:
    """A bare list below the public name, Giphy's own envelope below the proxy path."""
    shown, _ = page(range(60), call.offset, call.limit)
    rows = [gif(number, call.get("q") or "") for number in shown]
    return (
        {"data": rows, "pagination": {"total_count": 60, "count": len(rows), "offset": call.offset}}
        if "/proxy/" in call.request.path
        else rows
    )
