"""The database and the world of the tests of applying: what is rolled back was applied there."""

from tests.migration_apply.conftest import cluster, world

__all__ = ["cluster", "world"]
