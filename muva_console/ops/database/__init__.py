"""A database as a whole: backed up by `pg_dump`, and put back by `pg_restore`."""
