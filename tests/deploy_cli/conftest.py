from tests.cli.conftest import muva

__all__ = ["muva"]
