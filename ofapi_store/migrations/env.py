"""Runs migrations on the connection that `ofapi_store.migrate` hands over. There is no alembic.ini."""

from __future__ import annotations

from alembic import context

from ofapi_store.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
