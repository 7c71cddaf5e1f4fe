"""The three checks on the drill's own release, dev to staging, and on variants that each fail one of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from muva_console.drill.configuration import HOST
from muva_console.drill.state import Estate
from muva_console.ops.checks import CheckContext, run_checks
from muva_console.ops.links.workshop import Workshop
from muva_console.ops.readings import Finding, Level, worst
from muva_console.ops.release.context import Release
from tests.hostility.parts import opened
from tests.release_content.conftest import said

CHECKS = ("environment-variables", "packages", "no-secrets")


def variants(read: Any) -> dict[str, tuple[str, dict[str, str]]]:
    """By branch: the check that is to fail, and the files that make it."""
    manifest, lock = json.loads(read("package.json")), read("pnpm-lock.yaml")
    pg = manifest["dependencies"]["pg"]
    manifest["dependencies"]["pg"] = "99.0.0"
    bumped = json.dumps(manifest)
    manifest["dependencies"] = {"pg": pg, "left-pad": "1.3.0"}
    key = "sk_" + "live_" + "a1B2c3D4e5F6g7H8i9J0k1L2"
    return {
        "secret": ("no-secrets", {"src/pay.js": f"module.exports = connect('{key}');\n"}),
        "undocumented": ("environment-variables", {"src/sms.js": "exports.a = process.env.SMS_SENDER;\n"}),
        "missing": ("environment-variables", {".env.template": f"{read('.env.template')}\nPUSH_URL=\n"}),
        "major": ("packages", {"package.json": bumped, "pnpm-lock.yaml": lock.replace(pg, "99.0.0")}),
        "stale": ("packages", {"package.json": json.dumps(manifest)}),
    }


def by_check(findings: tuple[Finding, ...]) -> dict[str, Level]:
    return {name: worst(one.level for one in findings if one.check == name) for name in CHECKS}


async def test_the_release_passes_and_each_variant_fails_its_own_check(
    estate: Estate, tmp_path: Path
) -> None:
    """On a copy of the repository; of the estate itself only the host's file is asked, over SSH."""
    copy = tmp_path / "copy.git"

    def git(*words: str | Path, input: bytes | None = None) -> str:
        line = ["git", "-C", str(tmp_path), *map(str, words)]
        return subprocess.run(line, check=True, capture_output=True, input=input, timeout=60).stdout.decode()

    git("clone", "-q", "--bare", "--template=", estate.repository, copy)
    git("-C", copy, "remote", "remove", "origin")
    made = variants(lambda path: git("-C", copy, "show", f"dev:{path}"))
    stream = bytearray()
    for branch, (_, files) in made.items():
        stream += f"commit refs/heads/{branch}\ncommitter A <a@example.org> 1760000000 +0000\n".encode()
        stream += b"data 1\nx\nfrom refs/heads/dev^0\n"
        for path, text in files.items():
            stream += f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n".encode()
    git("-C", copy, "fast-import", "--quiet", input=bytes(stream))

    async with opened(estate.config) as workspace:
        workshop = Workshop(copy, tmp_path / "workshop", fresh=600.0)

        async def sense(branch: str) -> tuple[Finding, ...]:
            context: CheckContext = workspace.environments["staging"].context()
            context.release = Release(
                source_branch=branch,
                target_branch="staging",
                repository=workshop,
                journal=workspace.journal,
                secret=workspace.secret,
            )
            return await run_checks(CHECKS, context)

        try:
            seeded = await sense("dev")
            assert by_check(seeded) == dict.fromkeys(CHECKS, Level.OK), said(*seeded)
            assert any(HOST in one.subject for one in seeded)
            for branch, (check, _) in made.items():
                found = await sense(branch)
                assert by_check(found) == {**dict.fromkeys(CHECKS, Level.OK), check: Level.FAIL}, said(*found)
                assert "sk_live_a1" not in said(*found)
        finally:
            await workshop.close()
