"""Alembic's environment: it runs on the connection that :func:`serving.store.migrate` hands it."""

from alembic import context

from serving.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
context.run_migrations()
