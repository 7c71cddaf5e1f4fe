"""The check "environment-variables" on a real repository and a real host's file."""

from __future__ import annotations

from muva_console.ops.readings import Level
from tests.release_content.conftest import Files, World, said

BEFORE: Files = {
    ".env.template": "# MUVA_MAIL=\nDATABASE_URL=\nMUVA_KEY=\n",
    "src/a.js": "process.env.DATABASE_URL; process.env.OLD;",
    "src/a.test.js": "process.env.ONLY_TESTED",
    "src/kept.js": "process.env.DATABASE_URL",
}
HOST = "export DATABASE_URL='postgres://u:hunter2@db/x'\nMUVA_KEY=hunter2\nMORE=hunter2\n"


async def test_all_is_well_when_code_template_and_host_agree(world: World) -> None:
    world.release(
        {**BEFORE, "src/a.js": "process.env.DATABASE_URL"},
        {"src/b c.ts": "process.env.MUVA_MAIL || process.env.DATABASE_URL"},
    )
    world.host(HOST)
    code, host = await world.check("environment-variables")
    assert code.level is Level.OK, said(code)
    assert code.summary.endswith("(2); new: MUVA_MAIL")
    assert host.level is Level.OK, said(host)
    assert "lacks the optional MUVA_MAIL" in host.evidence
    assert "hunter2" not in said(code, host)
    assert "'\"'\"'" in host.command  # a path with a space is quoted


async def test_undocumented_variables_are_told_with_their_place(world: World) -> None:
    world.release(
        BEFORE, {"src/$(id) x.ts": "\nconst {MUVA_API_KEY} = process.env", "src/a.js": "process.env.OLD"}
    )
    world.host(HOST.replace("MUVA_KEY=hunter2", "MUVA_KEY="))
    code, host = await world.check("environment-variables")
    assert code.level is Level.FAIL
    assert "MUVA_API_KEY (new), OLD" in code.summary
    assert "src/$(id) x.ts:2 reads MUVA_API_KEY (new)" in code.evidence
    assert "src/a.js:1 reads OLD" in code.evidence
    assert host.level is Level.WARN
    assert "no value for MUVA_KEY" in host.summary


async def test_a_host_that_lacks_names_or_cannot_be_asked(world: World) -> None:
    world.release(BEFORE, {"src/a.js": ""})
    world.host("DATABASE_URL=x\n")
    _, host = await world.check("environment-variables")
    assert host.level is Level.FAIL
    assert "lacks MUVA_KEY" in host.summary
    (world.app / ".env.production").unlink()
    _, host = await world.check("environment-variables")
    assert host.level is Level.FAIL, said(host)
    world.link.pull()
    _, host = await world.check("environment-variables")
    assert host.level is Level.UNKNOWN
    world.env_file = None
    _, host = await world.check("environment-variables")
    assert host.level is Level.UNKNOWN
    assert "no env_file configured" in host.summary


async def test_no_template_fails(world: World) -> None:
    world.release({"src/a.js": "process.env.A"}, {"README.md": "x"})
    (code,) = await world.check("environment-variables")
    assert code.level is Level.FAIL
    assert "has no .env.template" in code.summary


async def test_what_cannot_be_fetched_is_never_well(world: World) -> None:
    """The last fetch still tells, but not whether it is what goes out."""
    world.release({**BEFORE, "src/a.js": ""}, {"README.md": "x"})
    world.host(HOST)
    for name in (checks := ("environment-variables", "packages", "no-secrets")):
        assert (await world.check(name))[0].level is Level.OK
    (world.folder / "checkout").rename(world.folder / "gone")
    for name in checks:
        found = (await world.check(name))[0]
        assert found.level is Level.UNKNOWN, said(found)
        assert "as of the last fetch" in said(found)
