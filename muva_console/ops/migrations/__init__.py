"""Migrations: the files of a branch, the history of a database, and what they say of each other."""
