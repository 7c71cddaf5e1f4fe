"""Applying migrations: real PostgreSQL, statements that fail, sessions that are killed."""
