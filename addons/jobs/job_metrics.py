"""Prometheus metrics of a worker. Labels are job kinds and outcomes, both closed lists."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)


class JobMetrics:
    """`outcome` of jobs: done, again, later, retry, failed, lost, released; of deliveries: ok, or the error's type."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        r = self.registry
        self.runs = Counter("ofapi_job_runs", "Tries of jobs that ended.", ["kind", "outcome"], registry=r)
        self.seconds = Histogram("ofapi_job_seconds", "Time of one try.", ["kind"], buckets=_BUCKETS, registry=r)
        self.running = Gauge("ofapi_jobs_running", "Jobs that this worker runs.", ["kind"], registry=r)
        self.tries = Counter("ofapi_webhook_tries", "Deliveries tried.", ["outcome"], registry=r)
        self.taken_over = Counter("ofapi_jobs_taken_over", "Jobs whose worker's lease ran out.", registry=r)
