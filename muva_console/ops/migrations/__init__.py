"""Migrations: the files of a branch, the history of a database, and what of the one is missing in the other."""
