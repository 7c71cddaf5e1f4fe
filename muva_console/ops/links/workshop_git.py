"""Running git in the console's own repository: nothing of a repository's is executed, nothing asks."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from muva_console.config.redact import redact
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.local import LIMIT, LocalResult, run_local
from muva_console.ops.links.local_lines import clean_lines
from muva_console.ops.text import sanitise_line

TIMEOUT = 30.0
"""Seconds for a git command that stays on this machine."""
CONNECT_TIMEOUT = 10
"""Seconds for SSH to connect. Ours, as for the console's own SSH links."""
SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

_SAFE = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.quotePath=false",
    "core.autocrlf=false",
    "gc.autoDetach=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "log.showSignature=false",
    "i18n.logOutputEncoding=UTF-8",
    "advice.detachedHead=false",
    "protocol.ext.allow=never",
    "http.lowSpeedLimit=1000",  # bytes a second, for so many seconds: a server that has stopped answering
    "http.lowSpeedTime=30",
)
"""What no configuration of the engineer's or of a repository may change here."""
_LOCAL = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TRACE",
    "GIT_WORK_TREE",
)
"""Variables that point git at another repository (``git rev-parse --local-env-vars``) or change its output;
they are there where the console was started by a hook or an alias.
"""
# What git, ssh and curl say (git's messages in the C locale; OpenSSH's and libcurl's have no other).
_WORDS: tuple[tuple[str, Fault], ...] = (
    (r"dubious ownership", Fault.AUTH),
    (r"unable to create '.*\.lock'", Fault.OTHER),
    (r"could not resolve host|name or service not known|temporary failure in name resolution"
     r"|nodename nor servname|unable to look up", Fault.DNS),
    (r"host key verification failed|remote host identification has changed", Fault.HOST_KEY),
    (r"ssl certificate|certificate verif|certificate subject|ssl_error|gnutls|ssl connect", Fault.TLS),
    (r"connection refused|could(?:n't| not) connect to server", Fault.REFUSED),
    (r"timed out|timeout was reached", Fault.TIMEOUT),
    (r"no route to host|network is unreachable", Fault.UNREACHABLE),
    (r"permission denied|authentication failed|could not read (?:username|password)|terminal prompts disabled"
     r"|returned error: 40[13]|invalid username or (?:password|token)|access denied", Fault.AUTH),
    (r"not appear to be a git repository|repository .*not found|does not exist|not a git repository"
     r"|returned error: 404|no such file or directory|no such remote", Fault.MISSING),
    (r"hung up|early eof|connection reset|connection closed|broken pipe|rpc failed", Fault.CLOSED),
)  # fmt: skip


class Git:
    """git in one bare repository of the console's own, or in a worktree of it."""

    def __init__(self, directory: Path, *, tree: Path | None = None, log: CommandLog | None = None) -> None:
        """`tree`: the files, where `directory` is a worktree's own."""
        self.directory = directory
        self.log = log
        self._tree = tree

    async def run(
        self,
        *words: str,
        timeout: float = TIMEOUT,
        limit: int = LIMIT,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        fine: Sequence[int] = (0,),
    ) -> LocalResult:
        """Run git; an exit status that is not in `fine` raises the LinkError that its words tell."""
        safe = [word for setting in _SAFE for word in ("-c", setting)]
        where = ["--git-dir", str(self.directory)]
        where += ["--work-tree", str(self._tree)] if self._tree is not None else []
        result = await run_local(
            ["git", *safe, *where, "--literal-pathspecs", *words],
            cwd=self._tree or self.directory,
            timeout=timeout,
            limit=limit,
            input=input,
            env=environment(env),
            without=_LOCAL,
            log=self.log,
            shown=shlex.join(["git", *words]),
            # these may start programs of others: ssh, credential helpers, filters
            leftovers=words[0] in ("fetch", "push", "ls-remote", "commit")
            or "merge" in words[:3]
            or words[:2] == ("worktree", "add"),
        )
        if result.timed_out:
            what = f"git {words[0]} did not end within {timeout:g} s"
            raise LinkError(Fault.TIMEOUT, what, where=str(self.directory))
        if result.truncated:
            what = f"git {words[0]} gives more than {limit // 1024:,} KiB"
            raise LinkError(Fault.TOO_LARGE, what, where=str(self.directory))
        if result.exit_status not in fine:
            raise explain(result.output, where=str(self.directory))
        return result

    async def text(self, *words: str, fine: Sequence[int] = (0,)) -> str:
        """The output of a short answer, without the newline at its end."""
        result = await self.run(*words, fine=fine)
        return result.stdout.decode("utf-8", "replace").rstrip("\n")


async def ask_checkout(checkout: Path, *words: str, log: CommandLog | None = None) -> LocalResult:
    """Ask the engineer's checkout something that changes nothing; any exit status is an answer."""
    result = await run_local(
        ["git", "-c", "core.fsmonitor=false", *words],
        cwd=checkout,
        timeout=TIMEOUT,
        env=environment(),
        without=_LOCAL,
        log=log,
        leftovers=False,
    )
    if result.timed_out:
        raise LinkError(
            Fault.TIMEOUT, f"git {words[0]} did not end within {TIMEOUT:g} s", where=str(checkout)
        )
    return result


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What git gets in its environment beside the usual."""
    return {"LC_ALL": "C", "GIT_NO_LAZY_FETCH": "1", "SSH_ASKPASS_REQUIRE": "never", **(extra or {})}


def as_variables(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Settings for one git command as environment variables (git 2.31): they may hold a token, and what
    stands on a command line is seen by everybody on the machine.
    """
    told = os.environ.get("GIT_CONFIG_COUNT", "")
    there = int(told) if told.isdigit() else 0  # what the engineer's own environment sets stays
    variables = {"GIT_CONFIG_COUNT": str(there + len(settings))}
    for number, (key, value) in enumerate(settings, there):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def ssh_command(configured: str) -> str:
    """The ssh that git shall use: what is configured, asking nothing and giving up in time. It uses a
    master connection that is there and makes none, for that would outlive us.
    """
    command = os.environ.get("GIT_SSH_COMMAND") or configured or "ssh"
    try:
        program = shlex.split(command)[0]
    except (ValueError, IndexError):
        return command
    if Path(program).name != "ssh":
        return command  # plink and its like have other options
    alive = "-o ServerAliveInterval=10 -o ServerAliveCountMax=3"
    return f"{command} -o BatchMode=yes -o ConnectTimeout={CONNECT_TIMEOUT} {alive} -o ControlMaster=no"


def explain(output: bytes, *, where: str) -> LinkError:
    """What git's complaint means."""
    lines = clean_lines(output)
    text = "\n".join(lines).lower()
    words, fault = next((pair for pair in _WORDS if re.search(pair[0], text)), ("(?!)", Fault.OTHER))
    telling = [line for line in lines if line.strip() and not line.startswith(("hint:", "Please make sure"))]
    best = next((line for line in telling if re.search(words, line.lower())), None)
    marked = [line for line in telling if line.startswith(("fatal:", "error:"))]
    what = best or next(iter([*marked, *telling]), "git failed")
    next_step = ""
    if "dubious ownership" in text:
        told = re.search(r"dubious ownership in repository at '(.*)'", "\n".join(lines))
        what = "git does not trust this repository: it belongs to somebody else"
        next_step = f"git config --global --add safe.directory {shlex.quote(told[1] if told else where)}"
    return LinkError(
        fault,
        sanitise_line(what.removeprefix("fatal: ").removeprefix("error: "), cap=300),
        where=where,
        next=next_step,
    )


def check_sha(sha: str) -> str:
    """The hash itself, so that nothing else comes to stand where git takes options and ranges. Raises
    LinkError(MISSING).
    """
    if not SHA.fullmatch(sha):
        raise LinkError(Fault.MISSING, f"{redact(sanitise_line(sha, cap=80))} is no commit's whole hash")
    return sha
