"""``python -m tests.screens.show [crash]``: the console on a frozen estate, in the terminal it is given."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

from muva_console.config.load import load
from tests.screens.estate import Estate, config


def crash(_self: Any) -> Any:
    password = "sup3r-" + "s3cret-value"
    raise RuntimeError(f"boom of {len(password)} characters")


def main() -> int:
    """Run it; the exit status is the console's."""
    estate = Estate(config(glyphs="auto"))
    folder = tempfile.mkdtemp()
    file = Path(folder) / "muva.toml"
    file.write_text('[environments.dev]\nbranch = "dev"\n', encoding="utf-8")
    estate.loaded = load(file)
    app = estate.app(environ=dict(os.environ), live=True)
    if "crash" in sys.argv:
        from muva_console.widgets.bars import ModeBar

        cast(Any, ModeBar).render = crash
    try:
        app.run()
    finally:
        shutil.rmtree(folder)
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
