"""The application and the contexts of the tests of health serve here too."""

from tests.health.conftest import app, context

__all__ = ["app", "context"]
