"""The job kinds of this package (`addons.jobs.registry`)."""

from __future__ import annotations

from addons.jobs.registry import JobKind
from addons.media.upload_work import job_failed, run_job
from ofapi_store.queries.uploads import JOB

JOBS = {JOB: JobKind(run_job, timeout_s=3600.0, on_failed=job_failed)}
