"""Which token GitHub is asked with, and where it came from: the latter is what a refusal has to tell."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from muva_console.config.model import Config, Secret
from muva_console.config.redact import redactor
from muva_console.config.secrets import forget, told
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.github_errors import ANONYMOUS

VARIABLES = ("GH_TOKEN", "GITHUB_TOKEN")
"""In the order in which `gh` itself looks (its manual, "gh help environment")."""
GH_TIMEOUT = 5.0
"""Seconds that `gh auth token` may take: it reads a file or a keyring."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,1024}")


class GitHubToken:
    """Called, it tells the token, or None where there is none anywhere; `origin` says where it came from.

    [github] token, else $GH_TOKEN, else $GITHUB_TOKEN, else `gh auth token`. What was found is kept by
    who asks, and asked for again when it was refused; a configured token that cannot be had is an error
    (SecretError), never replaced by another.
    """

    def __init__(self, config: Config, resolve: Callable[[Secret], Awaitable[str]]) -> None:
        self._config = config
        self._resolve = resolve
        self.origin = ANONYMOUS
        self._asked = False

    async def __call__(self) -> str | None:
        """The token. Raises LinkError."""
        secret = self._config.github.token
        if secret is not None:
            self.origin = told(secret)
            if self._asked:  # what was told before was refused: it may have been changed
                forget(secret)
            self._asked = True
            return self._checked(await self._resolve(secret))
        for name in VARIABLES:
            value = os.environ.get(name, "").strip()
            if value:
                self.origin = f"the environment variable {name}"
                return self._checked(value)
        value = await _of_gh(self._config.github.api)
        self.origin = "`gh auth token`" if value else ANONYMOUS
        return self._checked(value) if value else None

    def _checked(self, value: str) -> str:
        redactor.add(value)
        if not _TOKEN.fullmatch(value):
            raise LinkError(Fault.CONFIG, f"what {self.origin} holds is not a token", where="GitHub")
        return value


def github_token(config: Config, resolve: Callable[[Secret], Awaitable[str]]) -> GitHubToken:
    """Where the link gets its token from; `resolve` turns a reference of the configuration into its value."""
    return GitHubToken(config, resolve)


async def _of_gh(api: str) -> str:
    """What `gh auth token` prints; nothing where there is no gh, nobody is logged in or it takes too long."""
    program = shutil.which("gh")
    if program is None:
        return ""
    host = (urlsplit(api).hostname or "").removeprefix("api.")
    process = await asyncio.create_subprocess_exec(
        program, "auth", "token", "--hostname", host,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(), GH_TIMEOUT)
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = out.decode("utf-8", "replace").split("\n")
    return lines[0].strip() if process.returncode == 0 else ""
