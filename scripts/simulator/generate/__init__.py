"""Generation of one creator's world, topic by topic; each topic has its own random stream, so sizes do not mix."""

from __future__ import annotations

import random
from datetime import datetime
from typing import TYPE_CHECKING

from scripts.simulator.files import FileTable
from scripts.simulator.generate import content, links, messages, money, people, rest
from scripts.simulator.model import Creator

if TYPE_CHECKING:
    from scripts.simulator.world import Options

shared_links = links.shared_links


def creator(options: Options, index: int, base: datetime, files: FileTable) -> Creator:
    """The creator number `index` of a world that ends at `base`."""

    def rng(topic: str) -> random.Random:
        return random.Random(f"{options.seed}:{index}:{topic}")

    who = people.creator(index, options.seed, rng("creator"), base)
    links.make_links(who, options, rng("links"), base)
    people.fans(who, index, options, rng("fans"), base)
    links.subscribe_all(who, rng("spans"), base)
    content.vault(who, options, rng("vault"), base, files)
    messages.chats(who, options, rng("messages"), base)
    money.transactions(who, options, rng("money"), base)
    content.posts(who, options, rng("posts"), base)
    content.stories(who, rng("stories"), base)
    rest.everything(who, options, rng("rest"), base)
    return who
