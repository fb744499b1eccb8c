"""env owns how Alembic meets the store: on a connection it is given, inside that connection's transaction."""

from __future__ import annotations

from alembic import context

from maestro.store.migrations.tables import TableRow

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=TableRow.metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
