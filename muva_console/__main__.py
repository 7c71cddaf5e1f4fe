"""``python -m muva_console`` and the ``muva`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; never returns."""
    from muva_console.cli import run

    sys.exit(run())


if __name__ == "__main__":
    main()
