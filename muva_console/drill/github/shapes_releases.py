"""The JSON of releases, issues, comments, refs and the token's owner, as GitHub answers with them."""

from __future__ import annotations

from urllib.parse import quote

from muva_console.drill.github.records import Comment, Issue, Pull, Release
from muva_console.drill.github.shapes import Json, Shapes, moment


def release(shapes: Shapes, one: Release) -> Json:
    """A release."""
    url = f"{shapes.repo}/releases/{one.id}"
    return {
        "url": url, "html_url": f"{shapes.html}/releases/tag/{quote(one.tag)}", "assets_url": f"{url}/assets",
        "upload_url": f"{url}/assets{{?name,label}}", "id": one.id, "node_id": f"RE_{one.id}",
        "tarball_url": f"{shapes.repo}/tarball/{quote(one.tag)}",
        "zipball_url": f"{shapes.repo}/zipball/{quote(one.tag)}", "tag_name": one.tag,
        "target_commitish": one.target, "name": one.name or None, "body": one.body or None,
        "draft": one.draft, "prerelease": one.prerelease, "created_at": moment(one.created_at),
        "published_at": moment(one.published_at), "author": shapes.user(one.author), "assets": [],
    }  # fmt: skip


def issue(shapes: Shapes, one: Issue) -> Json:
    """An issue."""
    url = f"{shapes.repo}/issues/{one.number}"
    return {
        "url": url, "repository_url": shapes.repo, "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments", "events_url": f"{url}/events",
        "html_url": f"{shapes.html}/issues/{one.number}", "id": 810_000 + one.number,
        "node_id": f"I_{one.number}", "number": one.number, "title": one.title,
        "user": shapes.user(one.author), "labels": [shapes.label(name) for name in one.labels],
        "state": "open" if one.open else "closed", "state_reason": one.reason, "locked": False,
        "assignee": None, "assignees": [], "milestone": None, "comments": one.comments,
        "created_at": moment(one.created_at), "updated_at": moment(one.updated_at),
        "closed_at": moment(one.closed_at), "author_association": "MEMBER", "body": one.body or None,
        "closed_by": shapes.user(one.closed_by) if one.closed_by else None,
    }  # fmt: skip


def pull_as_issue(shapes: Shapes, pull: Pull, comments: int) -> Json:
    """A pull request asked for as an issue; what tells it apart is ``pull_request``."""
    one = Issue(
        number=pull.number, title=pull.title, author=pull.author, created_at=pull.created_at,
        updated_at=pull.updated_at, body=pull.body, labels=pull.labels, comments=comments,
        closed_at=pull.closed_at,
    )  # fmt: skip
    simple = shapes.pull_simple(pull)
    links = {name: simple[name] for name in ("url", "html_url", "diff_url", "patch_url", "merged_at")}
    return {**issue(shapes, one), "html_url": simple["html_url"], "draft": pull.draft, "pull_request": links}


def comment(shapes: Shapes, number: int, one: Comment) -> Json:
    """A comment below an issue or a pull request."""
    return {
        "id": one.id, "node_id": f"IC_{one.id}", "url": f"{shapes.repo}/issues/comments/{one.id}",
        "html_url": f"{shapes.html}/issues/{number}#issuecomment-{one.id}", "body": one.body,
        "user": shapes.user(one.author), "created_at": moment(one.at), "updated_at": moment(one.at),
        "issue_url": f"{shapes.repo}/issues/{number}", "author_association": "MEMBER",
    }  # fmt: skip


def git_ref(shapes: Shapes, ref: str, sha: str) -> Json:
    """A ref, ``refs/heads/…`` or ``refs/tags/…``."""
    return {
        "ref": ref, "node_id": f"REF_{ref}", "url": f"{shapes.repo}/git/{quote(ref)}",
        "object": {"sha": sha, "type": "commit", "url": f"{shapes.repo}/git/commits/{sha}"},
    }  # fmt: skip


def me(shapes: Shapes, login: str) -> Json:
    """The token's owner, asked for by themselves."""
    name = login.replace("-", " ").title()
    at = moment(shapes.state.created_at)
    return {
        **shapes.user(login), "name": name, "company": None, "blog": "", "location": None, "email": None,
        "hireable": None, "bio": None, "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
        "created_at": at, "updated_at": at,
    }  # fmt: skip
