"""Tracking links (campaigns), trial links, those that others share, and who came through them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scripts.simulator import times
from scripts.simulator.model import Link
from scripts.simulator.render.common import chart
from scripts.simulator.render.users import avatar, fan_row
from scripts.simulator.routes.base import OK, Call, Fail, page, route
from scripts.simulator.times import iso


def claimed(call: Call, link: Link) -> int:
    return sum(claim.at <= call.now for claim in link.claims)


def campaign_row(call: Call, link: Link) -> dict[str, Any]:
    return {
        "id": link.id,
        "campaignCode": int(link.code),
        "campaignName": link.name,
        "countSubscribers": claimed(call, link),
        "countTransitions": link.clicks,
        "createdAt": iso(link.created),
        "endDate": iso(link.ends),
    }


def trial_row(call: Call, link: Link) -> dict[str, Any]:
    owner = link.owner["username"] if link.owner else call.who.username
    return {
        "id": link.id,
        "trialLinkName": link.name,
        "url": f"https://onlyfans.com/action/trial/{link.code}?u={owner}",
        "subscribeDays": link.days,
        "subscribeCounts": link.limit,
        "claimCounts": claimed(call, link),
        "clicksCounts": link.clicks,
        "createdAt": iso(link.created),
        "expiredAt": iso(link.ends),
        "isFinished": link.finished or bool(link.ends and link.ends <= call.now),
    }


def link_of(call: Call, kind: str) -> Link:
    link = call.who.links.get(f"{kind}:{call.id('lid')}")
    if link is None or (link.deleted and call.request.method != "GET"):
        raise Fail(404, "Link not found")
    return link


def _selected(call: Call, kind: str) -> list[Link]:
    start, end = call.dates(days=100_000)
    return [link for link in call.who.link_list(kind) if start <= link.created <= end]


@route("GET /campaigns", "GET /tracking-links")
def campaigns(call: Call) -> Any:
    rows = _selected(call, "campaign")
    if not call.flag("with_deleted"):
        rows = [link for link in rows if not link.deleted]
    by_claims = (call.get("sortby") or call.get("sort_by")) == "claims"
    rows.sort(
        key=lambda link: (claimed(call, link) if by_claims else link.created, link.id),
        reverse=call.get("sort") != "asc",
    )
    shown, more = page(rows, call.offset, call.limit if call.get("limit") else 1000)
    listed = [campaign_row(call, link) for link in shown]
    return (
        listed
        if call.request.path.endswith("campaigns") and not call.flag("pagination")
        else {"list": listed, "hasMore": more}
    )


@route("GET /trials", "GET /trial-links")
def trials(call: Call) -> Any:
    rows = [link for link in _selected(call, "trial") if not link.deleted]
    keys: dict[str, Any] = {
        "expire_date": lambda link: iso(link.ends) or "",
        "subscribe_counts": lambda link: link.limit,
        "subscribe_days": lambda link: link.days,
        "claims_count": lambda link: claimed(call, link),
    }
    key = keys.get(call.get("field") or "", lambda link: iso(link.created))
    rows.sort(key=lambda link: (key(link), link.id), reverse=call.get("sort") != "asc")
    shown, more = page(rows, call.offset, call.limit)
    return {"list": [trial_row(call, link) for link in shown], "hasMore": more}


@route("GET /campaigns/{lid}", "GET /tracking-links/{lid}")
def campaign(call: Call) -> Any:
    """One campaign; here, unlike in the list, upstream writes the counts as text."""
    row = campaign_row(call, link_of(call, "campaign"))
    return {**row, "countSubscribers": str(row["countSubscribers"]), "countTransitions": str(row["countTransitions"])}


@route("GET /trials/{lid}", "GET /trial-links/{lid}")
def trial(call: Call) -> Any:
    return trial_row(call, link_of(call, "trial"))


@route("POST /campaigns", "POST /tracking-links")
def create_campaign(call: Call) -> Any:
    name = call.field("campaignName", "name")
    if not isinstance(name, str) or not name:
        raise Fail(400, "Campaign name is required")
    code = 1 + max((int(link.code) for link in call.who.link_list("campaign")), default=0)
    link = Link(call.world.new_id(), "campaign", str(code), name, call.now, None)
    call.who.links[link.key] = link
    return [campaign_row(call, link)]


@route("POST /trials", "POST /trial-links")
def create_trial(call: Call) -> Any:
    """Upstream fields `trialLinkName, subscribeDays, subscribeCounts, expiredAt`; `duration, offerLimit, offerExpiration` too."""
    days = call.field("subscribeDays", "duration")
    if not isinstance(days, int) or not 1 <= days <= 365:
        raise Fail(400, "Wrong number of days")
    ends = times.parse(str(call.field("expiredAt") or ""), call.now, call.now) if call.field("expiredAt") else None
    if call.field("offerExpiration", "offer_expiration"):
        ends = call.now + timedelta(days=int(call.field("offerExpiration", "offer_expiration")))
    number = call.world.new_id()
    link = Link(
        number,
        "trial",
        f"{number:015x}",
        str(call.field("trialLinkName", "name") or f"Trial {number}"),
        call.now,
        ends,
        days=days,
        limit=int(call.field("subscribeCounts", "offerLimit", "offer_limit") or 0),
    )
    call.who.links[link.key] = link
    return trial_row(call, link)


@route("PUT /trials/{lid}", "PUT /campaigns/{lid}")
def rename(call: Call) -> Any:
    kind = "trial" if "/trials/" in call.request.path else "campaign"
    link = link_of(call, kind)
    link.name = str(call.field("trialLinkName", "campaignName", "name", default=link.name))
    return trial_row(call, link) if kind == "trial" else campaign_row(call, link)


@route("DELETE /campaigns/{lid}", "DELETE /tracking-links/{lid}")
def delete_campaign(call: Call) -> Any:
    link_of(call, "campaign").deleted = True
    return OK


@route("DELETE /trials/{lid}", "DELETE /trial-links/{lid}")
def delete_trial(call: Call) -> Any:
    link_of(call, "trial").deleted = True
    return OK


def claimers(call: Call, kind: str) -> Any:
    """Newest claim first, one row per claim; `subscribes[]` holds the periods that came through this link."""
    link = link_of(call, kind)
    rows = [claim for claim in link.claims if claim.at <= call.now]
    shown, more = page(rows, call.offset, call.limit)
    listed = []
    for claim in shown:
        fan = call.who.fans[claim.fan_id]
        if not fan.deleted:
            spans = chain(fan.spans, claim.span_id)
            listed.append(fan_row(call.who, fan, call.now, spans) | {"claimedAt": iso(claim.at)})
    return {"list": listed, "hasMore": more}


def chain(spans: list[Any], span_id: int) -> list[Any]:
    """The period that the claim started and the renewals that followed it without a gap."""
    found: list[Any] = []
    for span in spans:
        if span.id == span_id or (
            found and span.action == "prolong" and span.via is None and span.start == found[-1].end
        ):
            found.append(span)
    return found


@route("GET /campaigns/{lid}/claimers", "GET /campaigns/{lid}/subscribers", "GET /tracking-links/{lid}/subscribers")
def campaign_claimers(call: Call) -> Any:
    return claimers(call, "campaign")


@route("GET /trials/{lid}/claimers", "GET /trials/{lid}/subscribers", "GET /trial-links/{lid}/subscribers")
def trial_claimers(call: Call) -> Any:
    return claimers(call, "trial")


@route("GET /campaigns/chart", "GET /trials/chart", "GET /trials/stats", "GET /campaigns/top")
def link_chart(call: Call) -> Any:
    kind = "trial" if "/trials/" in call.request.path else "campaign"
    start, end = call.dates()
    links = call.who.link_list(kind)
    if call.request.path.endswith("top"):
        links.sort(key=lambda link: (claimed(call, link), link.id), reverse=True)
        return [campaign_row(call, link) for link in links[:5]]
    rows = [(claim.at, 1) for link in links for claim in link.claims]
    return {"total": sum(start <= at <= end for at, _ in rows), "chart": chart(rows, start, end)}


def shared(call: Call, kind: str) -> Any:
    rows = [link for link in call.who.shared.values() if link.kind == kind]
    shown, more = page(rows, call.offset, call.limit)
    listed = []
    for link in shown:
        owner = link.owner or {}
        row = campaign_row(call, link) if kind == "campaign" else trial_row(call, link)
        row["owner"] = {**owner, "avatarThumbUrl": avatar(owner["id"])}
        if kind == "campaign":
            row |= {"isDeleted": link.deleted, "campaignUrl": f"https://onlyfans.com/{owner['username']}/c{link.code}"}
        listed.append(row)
    return {"list": listed, "hasMore": more}


@route("GET /campaigns/shared", "GET /campaigns/share-access", "GET /shared-tracking-links")
def shared_campaigns(call: Call) -> Any:
    return shared(call, "campaign")


@route("GET /trials/shared", "GET /trials/share-access", "GET /shared-trial-links")
def shared_trials(call: Call) -> Any:
    return shared(call, "trial")


def _revoke(call: Call, kind: str) -> Any:
    number = (
        call.params.get("lid") or call.get("id") or call.field("id", "campaignId", "trialId", "campaign_id", "trial_id")
    )
    if call.who.shared.pop(f"{kind}:{number}", None) is None:
        raise Fail(404, "Link not found")
    return OK


@route("DELETE /campaigns/share-access", "DELETE /shared-tracking-links/{lid}")
def revoke_campaign(call: Call) -> Any:
    return _revoke(call, "campaign")


@route("DELETE /trials/share-access", "DELETE /shared-trial-links/{lid}")
def revoke_trial(call: Call) -> Any:
    return _revoke(call, "trial")


@route("POST /campaigns/share-access", "POST /trials/share-access")
def grant(_call: Call) -> Any:
    return OK
