"""The estate's host: a home folder, the programs on its path, and running commands there as SSH would."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from muva_console.drill.parts import Parts
from muva_console.drill.run import run
from muva_console.drill.state import TAG, Estate

WORKER_INTERVAL_MS = 1000
"""How often PM2 checks memory limits here; its own default is 30 s, long for a drill."""


def shell() -> str:
    """The login shell of the host's user."""
    return shutil.which("bash") or "/bin/sh"


def environment(estate: Estate) -> dict[str, str]:
    """The environment of everything that runs on the host: nothing of this process's own leaks into it."""
    home = str(estate.host_home)
    return {
        TAG: estate.id,
        "HOME": home,
        "USER": estate.user,
        "LOGNAME": estate.user,
        "SHELL": shell(),
        "LANG": "C.UTF-8",
        "TMPDIR": f"{home}/tmp",  # noqa: S108 - the estate's own
        "PATH": f"{home}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "GIT_CONFIG_NOSYSTEM": "1",
        "PM2_HOME": str(estate.pm2_home),
        "PM2_WORKER_INTERVAL": str(WORKER_INTERVAL_MS),
        "PM2_DISABLE_VERSION_CHECK": "true",  # PM2's daemon would ask its makers' server once a day
        "PM2_ENABLE_GIT_PARSING": "true",  # fills pm2_env.versioning
        "npm_config_store_dir": f"{home}/.local/share/pnpm/store",
        "npm_config_cache_dir": f"{home}/.cache/pnpm",
        "npm_config_state_dir": f"{home}/.local/state/pnpm",
        "npm_config_offline": "true",
        "npm_config_update_notifier": "false",
        "npm_config_manage_package_manager_versions": "false",
        "NO_COLOR": "1",
        "CI": "true",  # pnpm asks nothing
    }


def write_tools(estate: Estate) -> None:
    """What the shell of an engineer on the jump host has: the same Node and pnpm as the host.

    A file to be read by a shell before it builds: the console runs the build commands on this machine.
    """
    names = ("PATH", "npm_config_store_dir", "npm_config_cache_dir", "npm_config_state_dir",
             "npm_config_offline", "npm_config_update_notifier",
             "npm_config_manage_package_manager_versions", "CI")  # fmt: skip
    told = environment(estate)
    lines = [f"export {name}={shlex.quote(told[name])}\n" for name in names]
    estate.tools.write_text("".join(lines))


def session_environment(estate: Estate) -> dict[str, str]:
    """The environment of an SSH session: that of the host, without what is meant for unattended commands."""
    env = environment(estate)
    del env["NO_COLOR"], env["CI"]
    return env


def prepare(estate: Estate, parts: Parts) -> None:
    """Make the home folder, its programs and its dot files."""
    home = estate.host_home
    (home / "bin").mkdir(parents=True)
    (home / "var" / "www").mkdir(parents=True)
    (home / "tmp").mkdir()
    for name, target in (("node", parts.node), ("pm2", parts.pm2), ("pnpm", parts.pnpm)):
        (home / "bin" / name).symlink_to(target)
    _share_store(parts.store, home / ".local" / "share" / "pnpm" / "store")
    (home / ".profile").write_text(f'PATH="{home}/bin:$PATH"\nexport PATH\n')
    (home / ".gitconfig").write_text(
        "[user]\n\tname = deploy\n\temail = deploy@vps.example\n"
        "[safe]\n\tdirectory = *\n[advice]\n\tdetachedHead = false\n[init]\n\tdefaultBranch = main\n"
    )
    write_tools(estate)
    estate.pm2_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    (estate.pm2_home / "touch").touch()  # PM2 greets with a banner where this is missing
    if estate.short is not None:
        (home / ".pm2").symlink_to(estate.pm2_home)


def _share_store(cached: Path, store: Path) -> None:
    """A pnpm store with the cache's packages and a list of its users of its own.

    pnpm notes in the store which projects use it; the cache shall not remember estates.
    """
    for version in cached.iterdir():
        (store / version.name).mkdir(parents=True)
        for entry in version.iterdir():
            if entry.name != "projects":
                (store / version.name / entry.name).symlink_to(entry)


async def on_host(estate: Estate, command: str, *, cwd: Path | None = None, timeout: float = 60.0) -> str:
    """Run a shell command line on the host and return what it printed. Raises OpsError."""
    out = await run(
        [shell(), "-c", command], env=environment(estate), cwd=cwd or estate.host_home, timeout=timeout
    )
    return out.decode("utf-8", "replace")
