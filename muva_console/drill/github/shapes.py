"""The JSON that GitHub answers with, for what the stand-in knows.

What a schema of GitHub's description requires is here, and what the console and `gh` read beside it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote
from zlib import crc32

from muva_console.drill.github.gitdata import Commit, File
from muva_console.drill.github.records import PEOPLE, REPOSITORY, CheckRun, Pull, Review, State

Json = dict[str, Any]

REPOSITORY_ID = 700_001
_TEMPLATED = {
    "archive": "/{archive_format}{/ref}", "assignees": "{/user}", "blobs": "/git/blobs{/sha}",
    "branches": "{/branch}", "collaborators": "{/collaborator}", "comments": "{/number}",
    "commits": "{/sha}", "compare": "/{base}...{head}", "contents": "/{+path}", "contributors": "",
    "deployments": "", "downloads": "", "events": "", "forks": "", "git_commits": "/git/commits{/sha}",
    "git_refs": "/git/refs{/sha}", "git_tags": "/git/tags{/sha}", "hooks": "",
    "issue_comment": "/issues/comments{/number}", "issue_events": "/issues/events{/number}",
    "issues": "{/number}", "keys": "{/key_id}", "labels": "{/name}", "languages": "", "merges": "",
    "milestones": "{/number}", "notifications": "{?since,all,participating}", "pulls": "{/number}",
    "releases": "{/id}", "stargazers": "", "statuses": "/statuses/{sha}", "subscribers": "",
    "subscription": "", "tags": "", "teams": "", "trees": "/git/trees{/sha}",
}  # fmt: skip
_OWN_FOLDER = ("git_", "issue_", "statuses", "blobs", "trees")


def moment(at: datetime | None) -> str | None:
    """A time as GitHub writes it."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def login_of(name: str) -> str | None:
    """The login of a commit's author, where they are of the team."""
    wanted = name.lower().replace(" ", "-")
    return wanted if wanted in PEOPLE else None


class Shapes:
    """Bodies with the addresses of one server: `api` is where it answers, `state` what it knows, `repo` and
    `html` the repository's addresses.
    """

    def __init__(self, api: str, state: State) -> None:
        self._api = api
        self.state = state
        self.repo = f"{api}/repos/{REPOSITORY}"
        self.html = f"{api}/{REPOSITORY}"

    def user(self, login: str) -> Json:
        """A simple user."""
        url = f"{self._api}/users/{login}"
        number = crc32(login.encode()) % 1_000_000
        return {
            "login": login, "id": number, "node_id": f"U_{number}", "gravatar_id": "",
            "avatar_url": f"{self._api}/avatars/{number}", "url": url, "html_url": f"{self._api}/{login}",
            "followers_url": f"{url}/followers", "following_url": f"{url}/following{{/other_user}}",
            "gists_url": f"{url}/gists{{/gist_id}}", "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
            "subscriptions_url": f"{url}/subscriptions", "organizations_url": f"{url}/orgs",
            "repos_url": f"{url}/repos", "events_url": f"{url}/events{{/privacy}}",
            "received_events_url": f"{url}/received_events", "type": "User", "site_admin": False,
        }  # fmt: skip

    def minimal_repository(self) -> Json:
        """The repository as it stands in other things."""
        owner, name = REPOSITORY.split("/")
        urls = {
            f"{kind}_url": self.repo + ("" if kind.startswith(_OWN_FOLDER) else f"/{kind}") + rest
            for kind, rest in _TEMPLATED.items()
        }
        return {
            **urls, "id": REPOSITORY_ID, "node_id": f"R_{REPOSITORY_ID}", "name": name,
            "full_name": REPOSITORY, "owner": self.user(owner), "private": True, "fork": False,
            "html_url": self.html, "url": self.repo, "description": "MUVA Chat, for practice",
        }  # fmt: skip

    def repository(self) -> Json:
        """The repository as a whole."""
        created = moment(self.state.created_at)
        waiting = sum(pull.open for pull in self.state.pulls.values())
        return {
            **self.minimal_repository(), "clone_url": f"{self.html}.git", "git_url": f"{self.html}.git",
            "ssh_url": f"git@127.0.0.1:{REPOSITORY}.git", "svn_url": self.html, "default_branch": "main",
            "forks": 0, "forks_count": 0, "has_downloads": True, "has_issues": True, "has_projects": False,
            "has_wiki": False, "has_pages": False, "homepage": None, "language": "JavaScript",
            "archived": False, "disabled": False, "mirror_url": None, "open_issues": waiting,
            "open_issues_count": waiting, "license": None, "pushed_at": created, "size": 120,
            "stargazers_count": 0, "watchers": 0, "watchers_count": 0, "created_at": created,
            "updated_at": created, "visibility": "private",
        }  # fmt: skip

    def commit(self, commit: Commit) -> Json:
        """A commit."""
        url = f"{self.repo}/commits/{commit.sha}"
        author, committer = login_of(commit.author), login_of(commit.committer)
        return {
            "sha": commit.sha, "node_id": f"C_{commit.sha[:12]}", "url": url,
            "html_url": f"{self.html}/commit/{commit.sha}", "comments_url": f"{url}/comments",
            "commit": {
                "url": f"{self.repo}/git/commits/{commit.sha}", "message": commit.message,
                "author": {"name": commit.author, "email": commit.author_email, "date": commit.authored},
                "committer": {
                    "name": commit.committer, "email": commit.committer_email, "date": commit.committed,
                },
                "tree": {"sha": commit.tree, "url": f"{self.repo}/git/trees/{commit.tree}"},
                "comment_count": 0,
                "verification": {
                    "verified": False, "reason": "unsigned", "signature": None, "payload": None,
                    "verified_at": None,
                },
            },
            "author": self.user(author) if author else None,
            "committer": self.user(committer) if committer else None,
            "parents": [
                {
                    "sha": parent, "url": f"{self.repo}/commits/{parent}",
                    "html_url": f"{self.html}/commit/{parent}",
                }
                for parent in commit.parents
            ],
        }  # fmt: skip

    def file(self, file: File, head: str) -> Json:
        """A file that differs."""
        path = quote(file.path)
        return {
            "sha": file.blob, "filename": file.path, "status": file.status, "additions": file.additions,
            "deletions": file.deletions, "changes": file.additions + file.deletions,
            "blob_url": f"{self.html}/blob/{head}/{path}", "raw_url": f"{self.html}/raw/{head}/{path}",
            "contents_url": f"{self.repo}/contents/{path}?ref={head}",
        }  # fmt: skip

    def comparison(
        self, base: Commit, parted: Commit, head: str, count: tuple[int, int], commits: list[Commit],
        files: list[File],
    ) -> Json:  # fmt: skip
        """Two commits compared; `count` is ahead and behind, `commits` the page of them, oldest first."""
        ahead, behind = count
        name = f"{base.sha}...{head}"
        status = {(True, True): "diverged", (True, False): "ahead", (False, True): "behind"}.get(
            (ahead > 0, behind > 0), "identical"
        )
        return {
            "url": f"{self.repo}/compare/{name}", "html_url": f"{self.html}/compare/{name}",
            "permalink_url": f"{self.html}/compare/{name}", "diff_url": f"{self.html}/compare/{name}.diff",
            "patch_url": f"{self.html}/compare/{name}.patch", "base_commit": self.commit(base),
            "merge_base_commit": self.commit(parted), "status": status, "ahead_by": ahead,
            "behind_by": behind, "total_commits": ahead, "commits": [self.commit(one) for one in commits],
            "files": [self.file(one, head) for one in files],
        }  # fmt: skip

    def pull_simple(self, pull: Pull) -> Json:
        """A pull request as lists have it."""
        url = f"{self.repo}/pulls/{pull.number}"
        html = f"{self.html}/pull/{pull.number}"
        issue = f"{self.repo}/issues/{pull.number}"
        links = {
            "self": url, "html": html, "issue": issue, "comments": f"{issue}/comments",
            "review_comments": f"{url}/comments", "review_comment": f"{self.repo}/pulls/comments{{/number}}",
            "commits": f"{url}/commits", "statuses": f"{self.repo}/statuses/{pull.head_sha}",
        }  # fmt: skip
        return {
            "url": url, "id": 800_000 + pull.number, "node_id": f"PR_{pull.number}", "html_url": html,
            "diff_url": f"{html}.diff", "patch_url": f"{html}.patch", "issue_url": issue,
            "commits_url": links["commits"], "review_comments_url": links["review_comments"],
            "review_comment_url": links["review_comment"], "comments_url": links["comments"],
            "statuses_url": links["statuses"], "number": pull.number,
            "state": "open" if pull.open else "closed", "locked": False, "title": pull.title,
            "user": self.user(pull.author), "body": pull.body or None,
            "labels": [self.label(name) for name in pull.labels], "milestone": None,
            "created_at": moment(pull.created_at), "updated_at": moment(pull.updated_at),
            "closed_at": moment(pull.closed_at), "merged_at": moment(pull.merged_at),
            "merge_commit_sha": pull.merge_commit, "assignee": None, "assignees": [],
            "requested_reviewers": [self.user(login) for login in pull.reviewers], "requested_teams": [],
            "head": self._end(pull.head, pull.head_sha), "base": self._end(pull.base, pull.base_sha),
            "_links": {name: {"href": href} for name, href in links.items()},
            "author_association": "MEMBER", "auto_merge": None, "draft": pull.draft,
        }  # fmt: skip

    def pull(self, pull: Pull, commits: int, files: list[File], mergeable: bool | None) -> Json:
        """A pull request asked for by its number."""
        state = "unknown" if mergeable is None else "clean" if mergeable else "dirty"
        return {
            **self.pull_simple(pull), "merged": pull.merged_at is not None, "mergeable": mergeable,
            "rebaseable": None, "mergeable_state": state,
            "merged_by": self.user(pull.merged_by) if pull.merged_by else None, "comments": 0,
            "review_comments": 0, "maintainer_can_modify": False, "commits": commits,
            "additions": sum(file.additions for file in files),
            "deletions": sum(file.deletions for file in files), "changed_files": len(files),
        }  # fmt: skip

    def review(self, pull: Pull, review: Review) -> Json:
        """A review."""
        html = f"{self.html}/pull/{pull.number}#pullrequestreview-{review.id}"
        url = f"{self.repo}/pulls/{pull.number}"
        return {
            "id": review.id, "node_id": f"PRR_{review.id}", "user": self.user(review.author),
            "body": review.body, "state": review.state, "html_url": html, "pull_request_url": url,
            "_links": {"html": {"href": html}, "pull_request": {"href": url}},
            "submitted_at": moment(review.at), "commit_id": review.commit, "author_association": "MEMBER",
        }  # fmt: skip

    def label(self, name: str) -> Json:
        """A label."""
        number = crc32(name.encode()) % 1_000_000
        return {
            "id": number, "node_id": f"LA_{number}", "url": f"{self.repo}/labels/{quote(name)}",
            "name": name, "description": "", "color": f"{number % 0xFFFFFF:06x}", "default": False,
        }  # fmt: skip

    def branch(self, name: str, commit: Commit, *, protected: bool) -> Json:
        """A branch."""
        url = f"{self.repo}/branches/{quote(name)}"
        return {
            "name": name, "commit": self.commit(commit),
            "_links": {"self": url, "html": f"{self.html}/tree/{quote(name)}"}, "protected": protected,
            "protection": {"enabled": protected}, "protection_url": f"{url}/protection",
        }  # fmt: skip

    def combined_status(self, sha: str) -> Json:
        """GitHub says pending where there are no statuses; here there never are."""
        url = f"{self.repo}/commits/{sha}"
        return {
            "state": "pending", "statuses": [], "sha": sha, "total_count": 0,
            "repository": self.minimal_repository(), "commit_url": url, "url": f"{url}/status",
        }  # fmt: skip

    def check_run(self, run: CheckRun) -> Json:
        """A check that the drill has seeded."""
        url = f"{self.repo}/check-runs/{run.id}"
        return {
            "id": run.id, "node_id": f"CR_{run.id}", "head_sha": run.sha, "name": run.name, "url": url,
            "html_url": f"{self.html}/runs/{run.id}", "details_url": f"{self.html}/runs/{run.id}",
            "external_id": "", "status": run.status, "conclusion": run.conclusion,
            "started_at": moment(run.started_at), "completed_at": moment(run.completed_at),
            "check_suite": {"id": run.id}, "app": None, "pull_requests": [],
            "output": {
                "title": None, "summary": None, "text": None, "annotations_count": 0,
                "annotations_url": f"{url}/annotations",
            },
        }  # fmt: skip

    def _end(self, branch: str, sha: str) -> Json:
        owner = REPOSITORY.split("/", maxsplit=1)[0]
        return {
            "label": f"{owner}:{branch}", "ref": branch, "sha": sha, "user": self.user(owner),
            "repo": self.repository(),
        }  # fmt: skip
