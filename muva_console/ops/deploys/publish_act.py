"""The act "release-publish" and the check "release-published": a release on GitHub, tagged at the merge."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.candidate import Candidate, candidate_of
from muva_console.ops.deploys.changes import Changes
from muva_console.ops.deploys.deed import (
    AlreadyError,
    Deed,
    done,
    github_of,
    here,
    step,
    verified,
    warning,
    workshop_of,
)
from muva_console.ops.deploys.notes import merged_release, render_notes
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.links.github_model import Declined, Unsure
from muva_console.ops.operations import Event, Plan
from muva_console.ops.readings import Finding, Level

GOOD_FOR = 120.0
"""Seconds. Ours."""
SECONDS = 120.0


@check("release-published", title="Release notes", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def release_published(ctx: CheckContext) -> Finding:
    """GitHub has a release of the merged version, and its tag is at the commit of the merge."""
    found = await candidate_of(ctx)
    command = f"gh release view {found.name}"
    if not found.merged:
        summary = f"{found.name} is not merged yet, so there is nothing to publish"
        return tell(Level.UNKNOWN, summary, command=command)
    there = await github_of(ctx).releasing.release_by_tag(found.name)
    tag = found.tags.get(found.name, "")
    evidence = [f"merge {found.commit}", f"tag {found.name} at {tag}" if tag else f"no tag {found.name}"]
    if tag and tag != found.commit:
        return tell(
            Level.FAIL,
            f"the tag {found.name} is at {tag[:7]}, and the release is {found.commit[:7]}",
            evidence=evidence,
            command=command,
            next="Find out who set it; a tag that others have fetched is not moved.",
        )
    if there is None:
        summary = f"{found.name} has no release on GitHub yet"
        return tell(Level.UNKNOWN, summary, evidence=evidence, command=command, pending=True)
    if there.draft:
        summary = f"the release {found.name} is a draft"
        return tell(Level.WARN, summary, evidence=[*evidence, there.url], command=command)
    return tell(Level.OK, f"{found.name} is published", evidence=[*evidence, there.url], command=command)


class ReleasePublish(Deed):
    """Publish the release with its notes."""

    NAME = "release-publish"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._seen = ""
        self._notes = ""
        self._made: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """The release, for the journal."""
        return self._made

    async def _plan(self, ctx: CheckContext) -> Plan:
        found, changes = await self._to_publish(ctx)
        self._seen = found.commit
        self._notes = render_notes(found, changes, github_of(ctx).repository)
        line = f"gh release create {found.name} --target {found.commit} --title {found.name} --notes-file -"
        return self._planned(
            f"Publish the release {found.name}",
            f"release {found.name}",
            [here(line, f"with the notes:\n{self._notes}")],
            risks=[f"not known: {one}" for one in changes.untold],
            undo=f"gh release delete {found.name} --cleanup-tag",
            production=False,
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        yield step("looking whether it is published already")
        found, _ = await self._to_publish(ctx)
        if found.commit != self._seen:
            raise OpsError(f"{found.name} is another commit by now", next="Plan it again.")
        releasing = github_of(ctx).releasing
        yield step(f"publishing {found.name} at {found.commit[:7]}")
        try:
            made = await releasing.create_release(found.name, found.commit, found.name, self._notes)
        except (Declined, Unsure) as error:
            there = await releasing.release_by_tag(found.name)
            if there is None:
                raise
            yield warning(str(error))
            made = there
        tags = await (await workshop_of(ctx).bench()).refs(f"refs/tags/{found.name}")
        at = tags.get(f"refs/tags/{found.name}", "")
        self._made = {"tag": found.name, "commit": found.commit, "url": made.url}
        if at and at != found.commit:
            raise OpsError(
                f"{found.name} is published, and its tag is at {at[:7]}, not at {found.commit[:7]}"
            )
        yield verified(f"tag {found.name} at {(at or found.commit)[:7]}")
        yield done(f"{found.name} is published: {made.url}")

    async def _to_publish(self, ctx: CheckContext) -> tuple[Candidate, Changes]:
        found, changes = await merged_release(ctx)
        there = await github_of(ctx).releasing.release_by_tag(found.name)
        tag = found.tags.get(found.name, "")
        if tag and tag != found.commit:
            raise Refused(
                f"the tag {found.name} is at {tag[:7]}, and the release is {found.commit[:7]}",
                next="Find out who set it; a tag that others have fetched is not moved.",
            )
        if there is not None:
            raise AlreadyError(f"{found.name} is published already: {there.url}")
        return found, changes


def factory(ctx: CheckContext) -> ReleasePublish:
    """The act for an environment."""
    return ReleasePublish(ctx)
