"""Migrations as a release needs them: valid, without conflict, tested, in sync."""
