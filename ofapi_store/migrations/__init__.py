"""One Alembic chain for both databases. See NOTES.md before adding to it."""
