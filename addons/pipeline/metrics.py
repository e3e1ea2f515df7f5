"""Prometheus metrics of the gateway. Labels are bounded: rule ids, sources, outcomes; never paths, accounts or users."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from addons.pipeline.exchange import Exchange
    from ofapi_store.queries.backlog import Backlog

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """One registry per gateway, so that tests and several gateways in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter(
            "ofapi_requests", "Requests answered.", ["rule", "source", "dialect", "status"], registry=r
        )
        self.seconds = Histogram(
            "ofapi_request_seconds", "Time to the answer.", ["source"], buckets=_BUCKETS, registry=r
        )
        self.upstream_seconds = Histogram(
            "ofapi_upstream_seconds", "Time upstream took.", ["source"], buckets=_BUCKETS, registry=r
        )
        self.upstream_status = Counter(
            "ofapi_upstream_answers", "Upstream's answers by class, `none` for failures.", ["class"], registry=r
        )
        self.steps_skipped = Counter("ofapi_steps_skipped", "Steps rolled back.", ["rule", "step"], registry=r)
        self.edits = Counter("ofapi_edits", "Fields changed in upstream bodies.", ["rule"], registry=r)
        self.credits = Counter("ofapi_credits", "Credits charged.", ["source"], registry=r)
        self.observed = Counter("ofapi_observed_bodies", "Bodies seen by observe.", ["outcome"], registry=r)
        self.observe_queue = Gauge("ofapi_observe_queue_bytes", "Bytes waiting to be observed.", registry=r)
        self.reloads = Gauge("ofapi_rules_reload_ok", "1 if the last reload of the rules succeeded.", registry=r)
        self.active = Gauge("ofapi_requests_active", "Requests under way.", registry=r)
        self.jobs = Gauge("ofapi_jobs", "Jobs that wait or run.", ["kind", "state"], registry=r)
        self.jobs_failed = Gauge("ofapi_jobs_failed_last_hour", "Jobs that failed for good.", ["kind"], registry=r)
        self.jobs_late = Gauge("ofapi_jobs_late_seconds", "How long the first due job has waited.", registry=r)
        self.deliveries = Gauge("ofapi_webhook_deliveries", "Deliveries that wait.", ["state"], registry=r)
        self.webhooks = Gauge("ofapi_webhooks", "Webhooks by state.", ["state"], registry=r)
        self._of = lru_cache(maxsize=4096)(_labelled)

    def finished(self, x: Exchange, seconds: float) -> None:
        """Count one answered exchange."""
        of = self._of
        source = x.match.rule.source if x.match else ("local" if x.upstream is None else "passthrough")
        status = str(x.response.status) if x.response else "none"
        of(self.requests, x.rule_id, source, x.dialect, status).inc()
        of(self.seconds, source).observe(seconds)
        if x.notes.upstream_ms is not None:
            of(self.upstream_seconds, source).observe(x.notes.upstream_ms / 1000)
            kind = f"{x.upstream_status // 100}xx" if x.upstream_status else "none"
            of(self.upstream_status, kind).inc()
        for step, _ in x.notes.skipped:
            of(self.steps_skipped, x.rule_id, step).inc()
        if x.edits:
            of(self.edits, x.rule_id).inc(len(x.edits))
        if x.notes.credits:
            of(self.credits, source).inc(x.notes.credits)

    def waiting(self, found: Backlog) -> None:
        """What the store says of the work that is to be done; the same in every gateway of a store."""
        for gauge in (self.jobs, self.jobs_failed, self.deliveries, self.webhooks):
            gauge.clear()
        for (kind, state), n in found.jobs.items():
            self.jobs.labels(kind, state).set(n)
        for kind, n in found.failed.items():
            self.jobs_failed.labels(kind).set(n)
        for state, n in found.deliveries.items():
            self.deliveries.labels(state).set(n)
        for state in ("active", "paused", "disabled"):
            self.webhooks.labels(state).set(found.webhooks.get(state, 0))
        self.jobs_late.set(found.late_s)

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)


def _labelled(metric: Any, *labels: str) -> Any:
    """A counter or histogram of these labels; finding it takes a lock, so those in use are kept at hand."""
    return metric.labels(*labels)
