"""Sections about work that happens later: jobs, sync, webhooks, exports, links, logins."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from addons.config.types import (
    Amount,
    ConfigPath,
    Count,
    HostOrCidr,
    HttpUrl,
    Port,
    Seconds,
    SecretRef,
    Section,
)

DAY_S = 86_400


class Jobs(Section):
    """The worker that runs the outbox."""

    worker: Literal["process", "task", "none"] = Field(
        "process",
        description="How `scripts/run` runs a worker: a process of its own, a task inside the gateway, or not at all.",
    )
    concurrency: Count = Field(16, description="Jobs at once in one worker.")
    per_kind: dict[str, Count] = Field(
        {"sync.account": 4, "export.calculate": 4, "export.build": 2, "auth.login": 4, "links.postback": 12},
        description="Jobs at once in one worker by kind, below `jobs.concurrency`.",
    )
    poll_interval_s: Seconds = Field(0.5, description="Seconds between looks for due jobs when idle.")
    lease_s: Seconds = Field(30, description="Seconds after which a silent worker's job is taken over.")
    backoff_s: Seconds = Field(5, description="Wait before the second try in seconds; doubles with each further one.")
    backoff_max_s: Seconds = Field(3600, description="Longest wait between tries, in seconds.")
    shutdown_grace_s: Seconds = Field(10, description="Seconds that running jobs get to end when the worker stops.")
    retention_days: Count = Field(30, description="Days that finished jobs stay listed.")
    metrics_port: Port | None = Field(
        None,
        description="Loopback TCP port where a worker process shows Prometheus metrics; null is none, 0 any free one.",
    )


class Sync(Section):
    """How upstream is walked to fill the store."""

    interval_s: Amount = Field(900, description="Seconds between syncs of each connected account; 0 is never.")
    collections: tuple[str, ...] = Field(
        (
            "fans",
            "transactions",
            "chargebacks",
            "tracking_links",
            "trial_links",
            "shared_tracking_links",
            "shared_trial_links",
            "messages",
            "claimers",
        ),
        description="What the regular sync walks, all that it knows unless set.",
    )
    full_every_days: float = Field(
        7, gt=0, description="Days after which a sync walks everything again, not only what is new."
    )
    min_interval_s: float = Field(0.3, ge=0, description="Least seconds between two requests of one account.")
    max_parallel: Count = Field(6, le=12, description="Most requests of one account at once.")
    backoff_max_s: Seconds = Field(300, description="Longest wait after upstream's 429, in seconds.")
    attempts: Count = Field(6, description="Tries of one page before the sync stops, to be resumed later.")


class Webhooks(Section):
    """Delivery of events, and of smart-link postbacks."""

    connect_timeout_s: Seconds = Field(5, description="Longest time to connect, in seconds.")
    total_timeout_s: Seconds = Field(10, description="Longest time for a whole delivery, in seconds.")
    retry_schedule_s: tuple[float, ...] = Field(
        (0, 5, 300, 1800, 7200, 18_000, 36_000), description="Wait before each try in seconds.", min_length=1
    )
    jitter: float = Field(0.2, ge=0, le=1, description="Share by which each wait may vary.")
    pause_after: Count = Field(20, description="Final failures in a row after which a webhook is paused.")
    cooldown_s: tuple[float, ...] = Field(
        (300, 900, 1800, 3600, 7200, 21_600),
        description="Seconds of each pause in turn; the last repeats.",
        min_length=1,
    )
    retention_days: Count = Field(30, description="Days that deliveries stay listed.")
    max_batch: Count = Field(200, description="Deliveries that one look at the store takes.")
    parallel: Count = Field(64, description="Deliveries at once in one worker.")
    parallel_per_host: Count = Field(8, description="Deliveries at once to one endpoint.")
    max_response_bytes: Count = Field(4096, description="Bytes of an endpoint's answer that are kept.")
    look_interval_s: Amount = Field(
        60,
        description="Seconds between looks at an account for news (notifications, newest messages and transactions) that"
        " a webhook wants; 0 is never: then events come from syncs and traffic only.",
    )
    events_per_credit: Count = Field(100, description="Deliveries that one credit pays for.")


class Exports(Section):
    """Data exports."""

    dir: ConfigPath = Field("data/exports", description="Folder of the files.")  # type: ignore[assignment]
    rows_per_credit: Count = Field(20, description="Rows that one credit pays for.")
    retention_days: Count = Field(30, description="Days that finished files are kept.")
    batch_rows: Count = Field(1000, description="Rows read from the store at once.")
    max_rows: Count = Field(5_000_000, description="Most rows of one export.")


class Links(Section):
    """Tracking, trial and smart links."""

    pool_size: Count = Field(5, description="Upstream links that a new smart link gets.")
    refill_at: Amount = Field(2, description="Free pool links at or below which more are made.")
    pool_max: Count = Field(50, description="Most upstream links of one smart link.")
    redirect_base_url: HttpUrl | None = Field(
        None, description="Root of the redirect URLs; null uses this gateway's own `mounts.redirect`."
    )
    hold_window_s: Seconds = Field(6 * 3600, description="Seconds that a click holds its pool link for attribution.")
    duplicate_window_s: Seconds = Field(
        3600, description="Seconds in which a second click of a visitor is a duplicate."
    )
    store_ip: bool = Field(True, description="Whether the raw address of a click is stored.")
    retention_days: Count = Field(400, description="Days that single clicks are kept; totals stay.")
    mmdb: ConfigPath | None = Field(None, description="MaxMind database for the country of a click; null stores none.")
    datacenter_ranges_file: ConfigPath | None = Field(
        None, description="File of address ranges, one per line, whose clicks count as bots."
    )
    max_limit: Count = Field(1000, description="Most rows of one page of clicks, conversions, fans.")
    spool_dir: ConfigPath = Field(  # type: ignore[assignment]
        "data/clicks", description="Folder where answered clicks wait to be stored; local to the machine."
    )
    flush_interval_s: Seconds = Field(0.25, description="Longest time that clicks wait for a common write, in seconds.")
    revenue_delay_s: Amount = Field(
        5, description="Seconds that news of a fan wait for more before revenue and conversions are worked out."
    )


class Auth(Section):
    """Connecting accounts."""

    client_session_ttl_s: Seconds = Field(3600, description="Seconds that a client session's token works.")
    attempt_ttl_s: Seconds = Field(1800, description="Seconds after which an unfinished attempt fails.")
    max_code_tries: Count = Field(5, description="Wrong 2FA codes before the attempt fails.")
    keep_credentials: bool = Field(
        False, description="Whether e-mail and password stay stored, encrypted, for re-login."
    )
    auto_reauthenticate: bool = Field(False, description="Whether a dead session starts a login with kept credentials.")
    request_timeout_s: Seconds = Field(30, description="Longest wait for upstream during a login, in seconds.")
    proxies: dict[str, HttpUrl] = Field(
        {}, description="Upstream proxy by country code (`us`), for accounts connected with proxyCountry."
    )
    embed_origins: tuple[HttpUrl, ...] = Field(
        (), description="Sites that may show the hosted page in a frame (`https://app.example.com`); none: nobody."
    )
    smtp_url: SecretRef | None = Field(
        None, description="Mail server for links to creators, as `smtp[s]://user:password@host:port`; null: no mail."
    )
    mail_from: str = Field("ofapi@localhost", description="Sender address of mails to creators.")


class Network(Section):
    """Addresses that outgoing requests to URLs from clients may reach."""

    allow_private: tuple[HostOrCidr, ...] = Field(
        (), description="Ranges and hosts that are reachable although not public (webhooks on an intranet, tests)."
    )
    allow_http: bool = Field(True, description="Whether webhook and postback URLs may be http://; https:// always may.")


class Log(Section):
    """What is logged, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity that is shown.")
    format: Literal["text", "json"] = Field("text", description="Lines for people or JSON objects.")
