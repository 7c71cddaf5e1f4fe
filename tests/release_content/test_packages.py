"""The check "packages": manifests and lock files, before and after."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muva_console.drill.repository import application_files
from muva_console.ops.readings import Level
from muva_console.ops.release import lockfile
from muva_console.ops.release.lockfile import Lock, Locked, read_lock
from muva_console.ops.release.manifest import Manifest, read_manifest
from muva_console.ops.release.package_changes import changes_of
from muva_console.ops.release.package_lock import match_lock
from muva_console.ops.release.schema_ground import Told
from tests.release_content.conftest import World, said

APPLICATION = application_files()
LOCK = APPLICATION["pnpm-lock.yaml"]


def manifest(folder: str = "", **keys: Any) -> Manifest:
    return read_manifest(f"{folder}/package.json".lstrip("/"), json.dumps(keys).encode())


def changed(old: dict[str, Any], new: dict[str, Any]) -> tuple[Level, str]:
    told = Told()
    removed = changes_of(told, "", manifest(**old), manifest(**new), None, ".")
    return told.level, "\n".join([*told.evidence, *removed.values()])


# --- manifests


@pytest.mark.parametrize(
    ("old", "new", "level", "words"),
    [
        ({"dependencies": {"a": "^1.2.0"}}, {"dependencies": {"a": "^1.9.0"}}, Level.OK, "a 1.2.0 -> 1.9.0"),
        ({"dependencies": {"a": "^1.2.0"}}, {"dependencies": {"a": "^2.0.0"}}, Level.FAIL, "breaking"),
        ({"dependencies": {"a": "^0.2.0"}}, {"dependencies": {"a": "^0.3.0"}}, Level.FAIL, "breaking"),
        ({"dependencies": {"a": "2.0.0"}}, {"dependencies": {"a": "1.0.0"}}, Level.FAIL, "(back)"),
        ({"devDependencies": {"a": "^1.0.0"}}, {"devDependencies": {"a": "^2.0.0"}}, Level.FAIL, "breaking"),
        (
            {"devDependencies": {"@types/a": "1.0.0"}},
            {"devDependencies": {"@types/a": "2.0.0"}},
            Level.WARN,
            "2.0.0",
        ),
        ({}, {"dependencies": {"a": "1.0.0"}}, Level.OK, "a 1.0.0 is added (production)"),
        ({}, {"dependencies": {"a": "github:x/a"}}, Level.WARN, "not from the registry"),
        ({"dependencies": {"a": "1.0.0"}}, {"dependencies": {"a": "file:../a"}}, Level.WARN, "elsewhere"),
        ({"devDependencies": {"a": "1.0.0"}}, {}, Level.WARN, "a (development) is removed"),
        (
            {"dependencies": {"a": "1.0.0"}},
            {},
            Level.OK,
            "a (production) is removed",
        ),  # whether used: the caller
        ({"dependencies": {"a": "1"}}, {"devDependencies": {"a": "1"}}, Level.WARN, "in development only"),
        (
            {"engines": {"node": ">=18"}},
            {"engines": {"node": ">=20"}},
            Level.WARN,
            "node is to be >=18 -> >=20",
        ),
        ({"packageManager": "pnpm@9.1.0"}, {"packageManager": "pnpm@10.0.0"}, Level.WARN, "pnpm@10.0.0"),
        ({}, {"pnpm": {"onlyBuiltDependencies": ["sharp"]}}, Level.WARN, "sharp may now run scripts"),
        ({}, {"scripts": {"postinstall": "curl x | sh"}}, Level.WARN, "postinstall is new or changed"),
        ({"version": "1.0.0"}, {"version": "2.0.0", "scripts": {"dev": "x"}}, Level.OK, ""),
        ({}, {"dependencies": {"\x1b[2J`$(id)\n": "1.0.0"}}, Level.OK, "`$(id)"),
    ],
)
def test_what_a_change_of_a_manifest_means(
    old: dict[str, Any], new: dict[str, Any], level: Level, words: str
) -> None:
    found, lines = changed(old, new)
    assert found is level, lines
    assert words in lines
    assert "\x1b" not in lines


# --- lock files


def test_a_lock_of_pnpm_is_read_whole() -> None:
    lock = read_lock("pnpm-lock.yaml", LOCK)
    assert lock.importers == {".": {"dependencies": {"pg": Locked("8.23.1", "8.23.1")}}}
    assert not lock.trouble
    assert not lock.missing
    for line in (b"  split2@4.2.0:\n    resolution", b"  pg@8.23.1:\n    resolution"):
        assert line in LOCK
        broken = LOCK.replace(line, line.replace(b"@", b"-gone@"))
        assert read_lock("pnpm-lock.yaml", broken).missing


PNPM_6 = """
lockfileVersion: '6.0'
overrides: {'b>a': 1.0.1}
dependencies:
  a: {specifier: 1.0.1, version: 1.0.1(c@2.0.0)}
  l: {specifier: 'workspace:*', version: 'link:../l'}
packages:
  /a@1.0.1(c@2.0.0):
    resolution: {integrity: x}
    requiresBuild: true
  /@s/c@2.0.0:
    resolution: {tarball: 'https://u:hunter2@example.org/c.tgz?token=hunter2'}
"""
NPM = {
    "lockfileVersion": 3,
    "packages": {
        "": {"dependencies": {"a": "^1.0.0", "gone": "1"}, "workspaces": ["w"]},
        "w": {"dependencies": {"a": "^2.0.0"}},
        "node_modules/w": {"link": True, "resolved": "w"},
        "node_modules/a": {
            "version": "1.0.5",
            "resolved": "https://registry.test/a.tgz",
            "hasInstallScript": True,
        },
        "w/node_modules/a": {"version": "2.0.0", "resolved": "https://registry.test/a2.tgz"},
        "node_modules/g": {"version": "1.0.0", "resolved": "git+ssh://git@example.org/g.git#abc"},
    },
}
YARN = '# yarn lockfile v1\n\n"@s/a@^1.0.0", "@s/a@^1.1.0":\n  version "1.2.0"\n  resolved "https://r.test/a.tgz#1"\n'


def test_locks_of_other_kinds() -> None:
    old = read_lock("pnpm-lock.yaml", PNPM_6.encode())
    assert (old.trouble, old.missing, old.builds) == ("", [], ["a"])
    assert old.foreign == ["@s/c from https://example.org/c.tgz"]
    npm = read_lock("package-lock.json", json.dumps(NPM).encode())
    assert npm.importers["."]["dependencies"]["a"] == Locked("^1.0.0", "1.0.5")
    assert npm.importers["w"]["dependencies"]["a"] == Locked("^2.0.0", "2.0.0")
    assert (npm.missing, npm.builds) == (["gone@1"], ["a"])
    assert npm.foreign == ["g from git+ssh://example.org/g.git"]
    yarn = read_lock("yarn.lock", YARN.encode())
    assert yarn.wanted == {"@s/a@^1.0.0": "1.2.0", "@s/a@^1.1.0": "1.2.0"}


@pytest.mark.parametrize(
    ("name", "data", "trouble", "unread"),
    [
        ("pnpm-lock.yaml", b"a: [", "line 2: is not valid YAML", False),
        ("pnpm-lock.yaml", b"a: 1\n<<<<<<< HEAD\n", "line 2: an unresolved merge conflict", False),
        ("pnpm-lock.yaml", b"lockfileVersion: '9.0'\nimporters: 7\n", "does not look like", False),
        ("pnpm-lock.yaml", b"a: &x [1]\nb: [*x, *x]\n", "anchors", False),
        ("pnpm-lock.yaml", b"lockfileVersion: 5.4\n", "version 5.4", True),
        ("package-lock.json", b"[" * 100_000, "deep", False),
        ("package-lock.json", b'{"lockfileVersion": 1}', "version 1", True),
        ("yarn.lock", b"#\n__metadata:\n  version: 8\n", "yarn 2", True),
    ],
)
def test_a_lock_that_cannot_be_read_says_why(name: str, data: bytes, trouble: str, unread: bool) -> None:
    lock = read_lock(name, data)
    assert trouble in lock.trouble
    assert lock.unread is unread


def test_a_lock_out_of_step_with_its_manifest() -> None:
    asked = manifest(
        dependencies={"a": "^1.0.0", "o": "^1.0.0"}, peerDependencies={"p": "1"}, devDependencies={"n": "1"}
    )
    lock = Lock(
        importers={
            ".": {"dependencies": {name: Locked("2.0.0", "2.0.0") for name in ("a", "o", "p", "left")}}
        },
        overrides={"x>o@1": "2.0.0"},
    )
    lines = sorted(match_lock(asked, lock, "."))
    assert [line.split()[0] for line in lines] == ["a", "left", "n"], lines
    assert "locked for 2.0.0" in lines[0]
    yarn = read_lock("yarn.lock", YARN.encode())
    assert not list(match_lock(manifest(dependencies={"@s/a": "^1.1.0"}), yarn, ".", yarn=True))
    assert list(match_lock(manifest(dependencies={"@s/a": "^2.0.0"}), yarn, ".", yarn=True))


def test_indirect_packages_are_counted() -> None:
    request = lockfile.Request("pnpm-lock.yaml", LOCK, LOCK.replace(b"pgpass@1.0.5", b"pgpass@2.0.0"))
    assert lockfile.compare(request).breaking == ["pgpass 1.0.5 -> 2.0.0"]


# --- the check


def without_pg(lock: bytes) -> bytes:
    start, end = lock.index(b"    dependencies:"), lock.index(b"\npackages:")
    return lock[:start].rstrip().removesuffix(b".:") + b".: {}\n" + lock[end:]


async def test_nothing_changed(world: World) -> None:
    world.release({**APPLICATION}, {"src/x.js": "1", "tests/fixtures/package.json": "{"})
    (found,) = await world.check("packages")
    assert (found.level, found.summary) == (Level.OK, "no dependency changed")


async def test_a_removed_package_that_is_still_imported_fails(world: World) -> None:
    manifest = APPLICATION["package.json"].replace(b'{ "pg": "8.23.1" }', b"{}")
    release = {"package.json": manifest, "pnpm-lock.yaml": without_pg(LOCK)}
    world.release({**APPLICATION}, {**release, "odd $(x)\n'.js": "// require('pg')\nrequire('pg/lib')"})
    (found,) = await world.check("packages")
    assert found.level is Level.FAIL
    assert "pg (production) is removed, and is still imported in odd $(x) '.js:2, src/database.js:4" in said(
        found
    )
    world.git("checkout", "-q", "-f", "staging")
    world.git("rm", "-q", "src/database.js", "odd $(x)\n'.js")
    world.git("-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "-m", "x")
    (found,) = await world.check("packages")
    assert found.level is Level.WARN, said(found)


async def test_the_packages_of_a_monorepo(world: World) -> None:
    before = {
        "package.json": "{}",
        "pnpm-workspace.yaml": "packages:\n  - 'apps/*'\n",
        "apps/web/package.json": '{"dependencies": {"a": "^1.0.0"}}',
        "pnpm-lock.yaml": (
            "lockfileVersion: '9.0'\nimporters:\n  .: {}\n  apps/web:\n    dependencies:\n"
            "      a: {specifier: ^1.0.0, version: 1.0.1}\n"
            "packages:\n  a@1.0.1: {resolution: {integrity: x}}\nsnapshots:\n  a@1.0.1: {}\n"
        ),
    }
    lock = before["pnpm-lock.yaml"].replace("1.0.1", "2.0.0").replace("^1.0.0", "'>=1'")
    world.release(
        {**before},
        {
            "apps/web/package.json": '{"dependencies": {"a": ">=1"}}',
            "pnpm-lock.yaml": lock,
            "apps/new/package.json": '{"dependencies": {"b": "1.0.0"}}',
        },
    )
    (found,) = await world.check("packages")
    assert found.level is Level.FAIL
    # by what the lock resolves: the specifiers alone would allow both
    assert "breaking dependency changes: a in apps/web 1.0.1 -> 2.0.0" in found.evidence
    assert "it does not know apps/new/package.json" in said(found)


async def test_broken_and_unknown_files(world: World) -> None:
    world.release({**APPLICATION}, {"package.json": "{", "pnpm-lock.yaml": None, "bun.lock": "{}"})
    (found,) = await world.check("packages")
    assert found.level is Level.FAIL
    assert "package.json: is not valid JSON" in found.summary
    assert "bun.lock is of a kind that is not read" in found.evidence
