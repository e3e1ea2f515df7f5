"""Sections about what listens, what is asked, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from addons.config.types import (
    Amount,
    Cidr,
    ConfigPath,
    Count,
    HostName,
    HttpUrl,
    Mount,
    Port,
    Seconds,
    SecretRef,
    Section,
    StoreUrl,
)

MB = 1_000_000


class Listen(Section):
    """Where API clients connect."""

    host: str = Field("127.0.0.1", description="Address to listen on; keep loopback and put nginx in front.")
    port: Port = Field(8080, description="TCP port; 0 takes any free one.")
    trusted_proxies: tuple[Cidr, ...] = Field(
        ("127.0.0.0/8", "::1/128"),
        description="Address ranges of front proxies whose X-Forwarded-For, -Proto and -Host are believed.",
    )


class Proxy(Section):
    """The regular HTTP proxy, for clients that name the gateway in HTTPS_PROXY."""

    enabled: bool = Field(True, description="Whether the gateway is a proxy: at this address, and at that of `listen`.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8081, description="TCP port; 0 takes any free one.")
    api_hosts: tuple[HostName, ...] = Field(
        ("api.fansapi.com", "app.onlyfansapi.com"),
        description="Hosts whose requests are served by the rules instead of being sent on.",
    )
    allow_sessions: bool = Field(
        False,
        description="Whether requests straight to upstream may use the client's own cookies; else they need an API key.",
    )
    ca_dir: ConfigPath = Field(
        "data/mitmproxy", description="Folder of the proxy's own certificate authority, made at first start."
    )  # type: ignore[assignment]


class Retention(Section):
    """How many flows mitmweb keeps; marked ones stay."""

    max_flows: Count = Field(2000, description="Most flows kept.")
    max_bytes: Count = Field(200 * MB, description="Most bytes of bodies kept.")
    max_age_s: Seconds = Field(86_400, description="Age in seconds after which a flow is dropped.")


class Web(Section):
    """mitmweb, where an operator sees each request and its edits."""

    enabled: bool = Field(False, description="Whether mitmweb runs; `--web` turns it on too.")
    host: Literal["127.0.0.1", "::1", "localhost"] = Field(
        "127.0.0.1", description="Address to listen on; loopback only, for access to mitmweb is access to the machine."
    )
    port: Port = Field(8083, description="TCP port; 0 takes any free one.")
    password: SecretRef | None = Field(
        None, description="Argon2 hash of the password by reference; null makes one at each start and prints it."
    )
    retention: Retention = Field(Retention(), description="How many flows are kept.")


class Mounts(Section):
    """Path prefixes of the listener."""

    raw: Mount = Field("/", description="The raw dialect: upstream's payload, enriched in place.")
    envelope: Mount = Field("/api", description="The envelope dialect that the official clients speak.")
    redirect: Mount = Field("/go", description="Public redirects of smart links.")
    cdn: Mount = Field("/cdn", description="Cached media files.")
    connect: Mount = Field("/connect", description="Hosted page where a creator connects an account.")
    embed: Mount = Field(
        "/embed-auth", description="The same page, at the path where the npm package @onlyfansapi/auth opens it."
    )
    internal: Mount = Field("/_ofapi", description="Health, metrics, signed downloads.")


class Rules(Section):
    """The rule files."""

    dir: ConfigPath = Field("rules", description="Folder of the rule files.")  # type: ignore[assignment]
    watch: bool = Field(True, description="Whether edits are loaded while running.")
    max_file_bytes: Count = Field(2 * MB, description="Largest rule file in bytes.")


class Upstream(Section):
    """OnlyFans, or what stands in for it."""

    base_url: HttpUrl = Field("https://onlyfans.com", description="Root of upstream; `/api2/v2/…` follows it.")
    direct_hosts: tuple[HostName, ...] = Field(
        ("onlyfans.com",), description="Hosts that the proxy treats as upstream, matched by their upstream path."
    )
    signer: str | None = Field(
        None,
        description="Python callable `module:function` that adds request headers to what goes to upstream; none ships.",
    )
    connect_timeout_s: Seconds = Field(10, description="Longest time to connect, in seconds.")
    read_timeout_s: Seconds = Field(60, description="Longest wait for the answer to begin or go on, in seconds.")
    ca_file: ConfigPath | None = Field(
        None, description="PEM file of a certificate authority that upstream's certificate may also come from."
    )
    keepalive_s: Seconds = Field(30, description="Idle seconds after which a connection is not used again.")
    user_agent: str = Field(
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        description="User agent for accounts that were connected without one.",
    )

    @field_validator("signer")
    @classmethod
    def _module_and_function(cls, value: str | None) -> str | None:
        if value is not None and not all(p.isidentifier() for p in value.replace(":", ".", 1).split(".")):
            raise ValueError(f"{value!r} is not of the form module:function")
        if value is not None and ":" not in value:
            raise ValueError(f"{value!r} is not of the form module:function")
        return value


class StoreSection(Section):
    """The local store."""

    url: StoreUrl = Field(
        "sqlite:///data/ofapi.db",
        description="sqlite:///file or postgresql://user@host/database; with a password, by reference.",
    )
    keep_message_text: bool = Field(
        False, description="Whether the text of messages is stored (needed by the chat_messages export)."
    )


class Secrets(Section):
    """The keys that encrypt logins and webhook secrets."""

    keys: tuple[SecretRef, ...] = Field(
        ({"file": "data/secret.key"},),  # type: ignore[arg-type]
        description="References to Fernet keys; the first encrypts, all decrypt. A missing first file is made at set-up.",
    )

    @field_validator("keys")
    @classmethod
    def _at_least_one(cls, value: tuple[SecretRef, ...]) -> tuple[SecretRef, ...]:
        if not value:
            raise ValueError("name at least one key: {env: NAME} or {file: path}")
        return value


class Limits(Section):
    """What a client may send, and how much of upstream's answer is edited."""

    requests_per_minute: Count = Field(1000, description="Requests per minute and team, unless the team has its own.")
    json_body_bytes: Count = Field(10 * MB, description="Largest JSON request body in bytes.")
    upload_body_bytes: Count = Field(5000 * MB, description="Largest upload in bytes.")
    header_bytes: Count = Field(65_536, description="Most bytes of request headers.")
    query_bytes: Count = Field(16_384, description="Longest query string in bytes.")
    max_body_bytes: Count = Field(
        20 * MB, description="Largest upstream answer in bytes that is held and edited; larger ones are streamed."
    )


PRICES: Mapping[str, int] = {
    # contract 3; everything else costs `credits.default`
    "whoami": 0,
    "accounts-*": 0,
    "authenticate-*": 0,
    "client-sessions-*": 0,
    "usage-credits": 0,
    "profiles-*": 0,  # answered from the store, as the cached ones of the contract
    "fan-summary-*": 0,
    "stored-*": 0,
    "link-tags-*": 0,
    "smart-links-delete": 0,
    "smart-links-spenders": 0,
    "smart-links-tags-*": 0,
    "postbacks-*": 0,
    "webhooks-*": 0,  # deliveries: `webhooks.events_per_credit`
    "webhooks-redeliver": 1,
    "data-exports-*": 0,  # charged by rows when started
    "media-download": 0,  # this and the next three by size: `media.credits_per_megabyte`
    "media-scrape": 0,
    "media-upload": 0,
    "media-vault-upload": 0,
    "media-upload-status": 0,
}


class Credits(Section):
    """What requests cost."""

    spool_dir: ConfigPath = Field(  # type: ignore[assignment]
        "data/credits", description="Folder where debits wait to be booked in the ledger; local to the machine."
    )
    flush_interval_s: Seconds = Field(0.1, description="Longest time that debits wait for a common write, in seconds.")

    default: Amount = Field(1, description="Credits of a request that nothing else prices.")
    initial_balance: Amount = Field(1_000_000, description="Credits of a new team.")
    operations: dict[str, Amount] = Field(
        dict(PRICES),
        description="Credits by rule id or glob; entries are added to the default ones or replace them, the longest match"
        " counts, a rule's own figure comes first.",
    )

    @field_validator("operations")
    @classmethod
    def _over_the_table(cls, value: dict[str, int]) -> dict[str, int]:
        return {**PRICES, **value}


class Media(Section):
    """Cached copies of CDN files."""

    dir: ConfigPath = Field("data/media", description="Folder of the copies.")  # type: ignore[assignment]
    public_url: HttpUrl | None = Field(
        None, description="Root of the URLs that replace cached CDN URLs; null uses this gateway's own `mounts.cdn`."
    )
    hosts: tuple[HostName, ...] = Field(
        ("cdn.fansapi.com",),
        description="Hosts that are cached files alone: what comes in for them, by our listener or the proxy, goes to"
        " `mounts.cdn` without its prefix.",
    )
    upstream_base_url: HttpUrl | None = Field(
        None, description="Where CDN fetches go instead, with the original Host header; null is the URL's own host."
    )
    enabled: bool = Field(True, description="Whether files are cached and URLs swapped.")
    link_ttl_s: Seconds = Field(86_400, description="Seconds that a signed link to a cached file works.")
    max_file_bytes: Count = Field(500 * MB, description="Largest file that is cached, in bytes.")
    max_cache_bytes: Count = Field(50_000 * MB, description="Bytes of all cached files before the least used go.")
    min_free_bytes: Amount = Field(500 * MB, description="Free bytes on the disk below which filling pauses.")
    parallel: Count = Field(4, description="Files fetched at once.")
    bandwidth_bytes_per_s: Count | None = Field(
        None, description="Most bytes per second for all fills together; null is no limit."
    )
    credits_per_megabyte: Amount = Field(3, description="Credits per decimal megabyte of a download or upload.")
    store: str | None = Field(
        None, description="Object store URL (`s3://bucket/prefix`) for the copies; null keeps them in `media.dir`."
    )
    host: str = Field("127.0.0.1", description="Address of the file server behind the gateway.")
    port: Port = Field(0, description="Its TCP port; 0 takes any free one.")
