"""What is applied and not among a branch's files, held against the other branch of the environment.

An environment's files are those of its own branch and of the one that flows into it (`matrix`): what was
applied from the coming branch is missing only where neither has it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from muva_console.ops.health.words import count
from muva_console.ops.migrations.apply_ground import Ground
from muva_console.ops.migrations.compare import drifted
from muva_console.ops.migrations.files import files_of, texts_of
from muva_console.ops.migrations.model import FileSet, History, Standing, State


def other_branch(ground: Ground, branch: str) -> str:
    """The environment's other branch, as seen from `branch`: the coming one, or its own where the files are
    not taken from there; empty where there is none.
    """
    return ground.branch if branch != ground.branch else ground.coming


async def elsewhere(
    ground: Ground, heads: Mapping[str, str], branch: str, standings: tuple[Standing, ...], history: History
) -> tuple[list[str], list[str]]:
    """Of what is applied and not among the files of `branch`: reasons against an apply, and remarks. Raises
    LinkError.
    """
    missing = [one for one in standings if one.state is State.MISSING]
    if not missing:
        return [], []
    other = other_branch(ground, branch)
    files = FileSet(sha="", folder=ground.folder, migrations=())
    if other in heads:
        files = await files_of(ground.repository, heads[other], ground.folder)
    there = {one.version: of for one in missing if (of := files.by_version.get(one.version))}
    texts: Mapping[str, bytes] = {}
    if there:
        paths = [one.path for of in there.values() for one in of]
        texts, _ = await texts_of(ground.repository, files.sha, paths)
    few = structs.replace(history, applied={version: history.applied[version] for version in there})
    changed = await drifted(files, texts, few)
    lacking = f"neither {branch} nor {other} has it" if other in heads else "the files lack it"
    reasons, brought = [], []
    for one in missing:
        title = f"{one.title} is applied on {ground.environment}"
        if one.version not in there:
            reasons.append(f"{title}, and {lacking}")
        elif changed.get(one.version):
            reasons.append(f"{title} with another content than {other} has")
        else:
            brought.append(one.title)
    remarks = []
    if brought:
        named = ", ".join(brought[:3]) + (f" and {len(brought) - 3} more" if len(brought) > 3 else "")
        remarks.append(
            f"{count(len(brought), 'migration')} applied on {ground.environment} "
            f"{'is' if len(brought) == 1 else 'are'} of {other}, and not of {branch} yet: {named}"
        )
    return reasons, remarks
