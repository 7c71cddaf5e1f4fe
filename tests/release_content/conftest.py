"""A release in small: two commits in a real git repository, and a folder that stands for the host."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from muva_console.config.model import Config, Environment, Host, Project
from muva_console.ops.checks import CheckContext, run_checks
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.web import WebLink
from muva_console.ops.links.workshop import Workshop
from muva_console.ops.readings import Finding
from muva_console.ops.release.context import Release
from tests.logs.local_link import LocalLink

Files = dict[str, str | bytes | None]


@dataclass
class World:
    """`release` makes main and staging; `check` asks production's checks."""

    folder: Path
    env_file: str | None = ".env.production"
    link: LocalLink = field(default_factory=lambda: LocalLink("vps"))
    workshop: Workshop | None = None

    @property
    def app(self) -> Path:
        """The application's folder on the host."""
        return self.folder / "var www"

    def git(self, *words: str, input: bytes | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder / "checkout"), *words],
            check=True, capture_output=True, input=input, timeout=60,
        )  # fmt: skip
        return done.stdout.decode().strip()

    def release(self, main: Files, *staging: Files) -> None:
        """main has one commit of `main`; staging one more for each of `staging`. None removes a file."""
        checkout = self.folder / "checkout"
        subprocess.run(
            ["git", "init", "-q", "--template=", "-b", "main", str(checkout)], check=True, timeout=60
        )
        stream = bytearray()
        for number, files in enumerate((main, *staging)):
            branch = "staging" if number else "main"
            stream += f"commit refs/heads/{branch}\nmark :{number + 1}\n".encode()
            stream += b"committer A <a@example.org> 1760000000 +0000\ndata 1\nx\n"
            stream += f"from :{number}\n".encode() if number else b""
            for name, content in files.items():
                quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
                if content is None:
                    stream += f"D {quoted}\n".encode()
                    continue
                data = content.encode() if isinstance(content, str) else content
                stream += f"M 100644 inline {quoted}\ndata {len(data)}\n".encode() + data + b"\n"
            stream += b"\n"
        if not staging:
            stream += b"reset refs/heads/staging\nfrom :1\n\n"
        self.git("fast-import", "--quiet", "--force", input=bytes(stream))

    def host(self, content: str | bytes) -> None:
        """Write the environment file on the host."""
        self.app.mkdir(exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        (self.app / (self.env_file or "")).write_bytes(data)

    async def check(self, name: str) -> list[Finding]:
        environment = Environment(
            branch="main", hosts=("vps",), directory=str(self.app), env_file=self.env_file
        )
        config = Config(
            project=Project(checkout=self.folder / "checkout"),
            hosts={"vps": Host(address="vps.example.org")},
            environments={"production": environment},
        )
        if self.workshop is None:
            self.workshop = Workshop(self.folder / "checkout", self.folder / "copy", fresh=0.0)
        web = WebLink("web production", CommandLog())
        context = CheckContext(
            environment_name="production",
            environment=environment,
            config=config,
            web=web,
            hosts={"vps": self.link},
            release=Release(
                source_branch="staging",
                target_branch="main",
                repository=self.workshop,
                journal=cast(Any, None),
                secret=cast(Any, None),
            ),
        )
        try:
            return list(await run_checks([name], context))
        finally:
            await web.close()


def said(*findings: Finding) -> str:
    """Everything that findings tell."""
    return "\n".join(
        "\n".join((one.level, one.subject, one.summary, *one.evidence, one.command, one.next))
        for one in findings
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    if made.workshop is not None:
        await made.workshop.close()
