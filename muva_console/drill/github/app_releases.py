"""Releases and refs: what names a commit for good."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muva_console.drill.github import shapes_releases as bodies
from muva_console.drill.github.actions import Refusal
from muva_console.drill.github.asking import BELOW, Answers, body_of, page_of
from muva_console.drill.github.protection import NEEDED, protected
from muva_console.drill.github.records import Release, now

_SHA = re.compile(r"[0-9a-f]{40}")


class ReleaseAnswers(Answers):
    """Below ``/releases`` and ``/git``."""

    def routes(self) -> list[Route]:
        """Its addresses."""
        return [
            Route(f"{BELOW}/releases", self.releases, methods=["GET"]),
            Route(f"{BELOW}/releases", self.create, methods=["POST"]),
            Route(f"{BELOW}/releases/latest", self.latest, methods=["GET"]),
            Route(f"{BELOW}/releases/tags/{{tag:path}}", self.by_tag, methods=["GET"]),
            Route(f"{BELOW}/releases/{{id:int}}", self.release, methods=["GET"]),
            Route(f"{BELOW}/git/refs", self.create_ref, methods=["POST"]),
            Route(f"{BELOW}/git/ref/{{ref:path}}", self.ref, methods=["GET"]),
            Route(f"{BELOW}/git/refs/{{ref:path}}", self.delete_ref, methods=["DELETE"]),
        ]

    async def releases(self, request: Request) -> Response:
        """``GET /releases``."""
        state = self.state()
        shapes = self.shapes(request, state)
        return page_of(request, [bodies.release(shapes, one) for one in state.releases[::-1]])

    async def create(self, request: Request) -> Response:
        """A release, and its tag where there is none. A tag has one release."""
        told = await body_of(request)
        tag = str(told.get("tag_name") or "")
        if not await self._named_well(f"refs/tags/{tag}"):
            raise _wrong("tag_name")
        target = str(told.get("target_commitish") or "main")
        draft = bool(told.get("draft"))
        tagged = await self.git.resolve(f"refs/tags/{tag}")
        sha = tagged or await self.git.resolve(target)
        if sha is None:
            raise _wrong("target_commitish")
        at = now()
        with self.store.change() as state:
            if any(one.tag == tag and not one.draft for one in state.releases) and not draft:
                raise _wrong("tag_name", "already_exists")
            made = Release(
                id=state.new_id(), tag=tag, target=target, name=str(told.get("name") or ""),
                body=str(told.get("body") or ""), author=request.state.login, created_at=at,
                published_at=None if draft else at, draft=draft, prerelease=bool(told.get("prerelease")),
            )  # fmt: skip
            state.releases.append(made)
        if tagged is None and not draft:
            await self.git.git("update-ref", f"refs/tags/{tag}", sha)
        body = bodies.release(self.shapes(request), made)
        return JSONResponse(body, status_code=201, headers={"location": body["url"]})

    async def latest(self, request: Request) -> Response:
        """``GET /releases/latest``."""
        return self._first(request, lambda one: not one.draft and not one.prerelease)

    async def by_tag(self, request: Request) -> Response:
        """``GET /releases/tags/{tag}``."""
        tag = request.path_params["tag"]
        return self._first(request, lambda one: one.tag == tag and not one.draft)

    async def release(self, request: Request) -> Response:
        """``GET /releases/{id}``."""
        return self._first(request, lambda one: one.id == request.path_params["id"])

    async def create_ref(self, request: Request) -> Response:
        """A branch or a tag; a new branch is a push too."""
        told = await body_of(request)
        ref, sha = str(told.get("ref") or ""), str(told.get("sha") or "")
        if not ref.startswith(("refs/heads/", "refs/tags/")) or not await self._named_well(ref):
            raise Refusal(422, "Reference name must start with 'refs/' and have at least two slashes")
        if not _SHA.fullmatch(sha) or await self.git.resolve(sha) is None:
            raise Refusal(422, "Object does not exist")
        if await self.git.resolve(ref) is not None:
            raise Refusal(422, "Reference already exists")
        await self.git.git("update-ref", ref, sha, "0" * 40)
        if ref.startswith("refs/heads/"):
            branch = ref.removeprefix("refs/heads/")
            await self.github.after_push(branch, "0" * 40, sha, request.state.login)
        return JSONResponse(bodies.git_ref(self.shapes(request), ref, sha), status_code=201)

    async def ref(self, request: Request) -> Response:
        """``GET /git/ref/{ref}``."""
        ref = f"refs/{request.path_params['ref']}"
        sha = await self.git.resolve(ref)
        if sha is None:
            raise Refusal(404, "Not Found")
        return JSONResponse(bodies.git_ref(self.shapes(request), ref, sha))

    async def delete_ref(self, request: Request) -> Response:
        """``DELETE /git/refs/{ref}``."""
        name = request.path_params["ref"]
        if await self.git.resolve(f"refs/{name}") is None:
            raise Refusal(422, "Reference does not exist")
        if name.removeprefix("heads/") in protected(self.hub.estate.repository):
            raise Refusal(422, f"Protected branch update failed for refs/{name}. {NEEDED}")
        await self.git.git("update-ref", "-d", f"refs/{name}")
        return Response(status_code=204)

    def _first(self, request: Request, fits: Callable[[Release], bool]) -> Response:
        state = self.state()
        for one in state.releases[::-1]:
            if fits(one):
                return JSONResponse(bodies.release(self.shapes(request, state), one))
        raise Refusal(404, "Not Found")

    async def _named_well(self, ref: str) -> bool:
        """Whether git takes it: the plain form is told, or nothing is."""
        return bool((await self.git.git("check-ref-format", "--normalize", ref, check=False)).strip())


def _wrong(field: str, code: str = "invalid") -> Refusal:
    return Refusal(422, "Validation Failed", resource="Release", field=field, code=code)
