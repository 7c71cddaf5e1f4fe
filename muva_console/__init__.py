"""muva-console: the operations console of MUVA Chat."""

__version__ = "0.1.0"
