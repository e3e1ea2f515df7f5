"""Creators, fans and followed creators."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scripts.simulator.model import Creator, Fan

if TYPE_CHECKING:
    from scripts.simulator.world import Options

FIRST = [
    "Alex",
    "Sam",
    "Chris",
    "Jo",
    "Max",
    "Robin",
    "Kim",
    "Lee",
    "Toni",
    "Pat",
    "Jamie",
    "Casey",
    "Drew",
    "Kai",
    "Noa",
    "Remy",
    "Sasha",
    "Uli",
    "Vic",
    "Zoë",
]
LAST = [
    "Stone",
    "Rivers",
    "Fox",
    "Night",
    "Lake",
    "Moore",
    "Frost",
    "Hill",
    "Gray",
    "Woods",
    "Blake",
    "Marsh",
    "Vale",
    "Reed",
    "Dawn",
    "Ash",
    "Storm",
    "Byrd",
    "Cole",
    "Lund",
]
# Names that read like the beginning of a transaction's description
TRICKY = (
    "Tip Top",
    "Stream from Hell",
    "Post Malone Fan",
    "Message from Mars",
    "Subscription Sam",
    "O'Neil & <Sons>",
    "Ünïcødé ✨",
)
DAYS_BACK = 400


def creator(index: int, seed: int, rng: random.Random, base: datetime) -> Creator:
    number = 10_000_000 + index * 1_000_003 + seed
    username = f"creator{index + 1}"
    return Creator(
        id=number,
        username=username,
        name=f"{FIRST[index % len(FIRST)]} {LAST[(index * 7 + 3) % len(LAST)]}",
        email=f"{username}@example.test",
        password=f"pw-{rng.getrandbits(64):016x}",
        otp_code=f"{rng.randrange(100_000, 999_999)}",
        user_agent=f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{130 + index}.0.0.0 Safari/537.36",
        xbc=f"{rng.getrandbits(160):040x}",
        sess=f"{rng.getrandbits(130):026x}",
        joined=base - timedelta(days=DAYS_BACK + 200 + index * 31, seconds=rng.randrange(86_400)),
        price_cents=(1000, 1500, 2000, 500)[index % 4],
    )


def fans(who: Creator, index: int, options: Options, rng: random.Random, base: datetime) -> None:
    """`options.fans` visible fans, and a run of deleted ones that upstream counts when slicing but does not show."""
    gone = 40 if options.fans >= 200 else options.fans // 10
    number = 200_000_000 + index * 100_000_000
    hidden = range(options.fans // 3, options.fans // 3 + gone)
    for position in range(options.fans + gone):
        number += rng.randrange(3, 9_000)
        fan = _fan(number, position, rng, base)
        fan.deleted = position in hidden
        who.fans[number] = fan
        who.by_username[fan.username] = number
    who.fan_order = sorted(who.fans, reverse=True)
    for offset in range(12):
        number = 150_000_000 + index * 10_000 + offset * 17
        other = _fan(number, offset, rng, base)
        other.username, other.performer = f"model{number}", True
        who.following[number] = other
        who.by_username[other.username] = number


def _fan(number: int, position: int, rng: random.Random, base: datetime) -> Fan:
    odd = position % 37 == 5
    name = TRICKY[position // 37 % len(TRICKY)] if odd else f"{rng.choice(FIRST)} {rng.choice(LAST)}"
    return Fan(
        id=number,
        username=f"u{number}",
        name=name,
        joined=base - timedelta(days=rng.randrange(DAYS_BACK, DAYS_BACK + 900)),
        last_seen=base - timedelta(minutes=int(rng.random() ** 3 * 60_000) + 5),
        online=rng.random() < 0.1,
        notice="pays well" if rng.random() < 0.08 else "",
        display_name=name.split()[0] if rng.random() < 0.08 else "",
    )
