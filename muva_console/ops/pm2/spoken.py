"""What a person would type on the host to ask or tell PM2 the same."""

from __future__ import annotations

import shlex

from muva_console.config.model import Host


def pm2_line(host: Host, *words: str) -> str:
    """``pm2 WORDS`` as a line of the host's shell, with the PM2_HOME where that is not the usual one."""
    home = host.pm2_home
    prefix = "" if home in {"~/.pm2", "~/.pm2/"} else f"PM2_HOME={home_word(home)} "
    return f"{prefix}{host.pm2} {shlex.join(words)}"


def home_word(home: str) -> str:
    """A PM2_HOME as a word of the shell; a leading ``~/`` stays the login's own folder."""
    return "~/" + shlex.quote(home[2:]) if home.startswith("~/") else shlex.quote(home)
