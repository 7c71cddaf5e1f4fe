"""The check "no-secrets": what is added, what is known, what is told of it."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Level
from muva_console.ops.release.diff_lines import added_lines
from muva_console.ops.release.secret_baseline import read_baseline
from muva_console.ops.release.secret_scan import File, Request, scan
from tests.release_content.conftest import World, said

# Put together here, so that no scanner of this repository takes them for real.
STRIPE = "sk_" + "live_" + "a1B2c3D4e5F6g7H8i9J0k1L2"
AWS = "AKIA" + "QYLPMN5HHHFPZAM2"
HEX = "4f3c2b1a09d8" + "e7f6a5b4c3d2e1f00112"


def jwt(role: str) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"role": role, "iss": "supabase"})
    coded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join((*coded, "c2lnbmF0dXJl"))


# --- the difference


_LINES = st.lists(
    st.sampled_from(["a", "+++ b/x", "--- a/x", "@@ -1 +1 @@", "diff --git a/x b/x", "-", "é\x0c", "r\r"]),
    max_size=6,
)


@settings(max_examples=8, deadline=None)
@given(_LINES, _LINES, st.sampled_from(["f", "a b", 'q"\t', "é\n", "-x", "a b/ b/c"]))
def test_added_lines_are_those_of_git(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str], name: str
) -> None:
    folder = tmp_path_factory.mktemp("diff")
    for side, lines in (("a", old), ("b", new)):
        path = folder / side / name
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{line}\n" for line in lines), newline="")
    words = ["git", "diff", "--no-index", "--no-prefix", "a", "b"]
    done = subprocess.run(words, cwd=folder, capture_output=True, timeout=60, check=False)
    files = added_lines(done.stdout.decode())
    assert len(files) == (old != new)
    if old == new:
        return
    file = files[0]
    assert file.path == name
    numbers = {number: line for number, line, _ in file.lines}
    assert all(new[number - 1].removesuffix("\r") == line for number, line in numbers.items())
    kept = [line for number, line in enumerate(new, 1) if number not in numbers]
    rest = iter(old)
    assert all(line in rest for line in kept)  # what was not added was there, in this order
    for number, _, before in file.lines:
        assert before in ("", new[number - 2].removesuffix("\r"))


# --- what is found


def found(line: str, path: str = "src/a.ts", before: str = "", **more: list[str]) -> list[tuple[str, str]]:
    answer = scan(Request([File(path, [(1, line, before)])], **more))  # type: ignore[arg-type]
    assert not any(value in str(answer) for value in (STRIPE, AWS, HEX))
    return [(hit.kind, hit.weak) for hit in answer.hits]


@pytest.mark.parametrize(
    ("line", "path", "kind", "weak"),
    [
        (f"const s = stripe('{STRIPE}')", "src/a.ts", "Stripe Access Key", ""),  # within a call
        (f"aws: {AWS}", "pnpm-lock.yaml", "AWS Access Key", ""),
        (f"x = '{jwt('service_role')}'", "a.css", "JSON Web Token", ""),
        (f"x = '{jwt('anon')}'", "a.ts", "JSON Web Token", "a key that every browser gets"),
        ("-----BEGIN " + "RSA PRIVATE KEY-----", "k.pem", "Private Key", ""),
        ("sb_" + "secret_" + "a" * 24, "a.md", "Supabase Secret Key", ""),
        ("sk-" + "ant-api03-" + "Ab1" * 10, "a.md", "Anthropic API Key", ""),
        ("password: 'Tr0ub4dor&3'", "a.ts", "Secret Keyword", ""),
        ("password: 'bananas'", "a.ts", "Secret Keyword", "a word"),
        ("const passwordLabel = 'Enter your password'", "a.ts", "Secret Keyword", "a placeholder"),
        (f"accessToken = '{HEX}'", "a.ts", "Hex High Entropy String", ""),
        (f"const signature = sign('{HEX}')", "a.ts", "Hex High Entropy String", ""),
        (f"etag = '{HEX}'", "a.ts", "Hex High Entropy String", "only random-looking"),
        (f"WHATSAPP_TOKEN={HEX}", ".env.production", "Hex High Entropy String", ""),
        ("postgres://app:s3cr3tx@db/x", "a.md", "Basic Auth Credentials", ""),
        ("postgres://postgres:postgres@localhost/x", "a.md", "Basic Auth Credentials", "a placeholder"),
    ],
)
def test_what_is_a_secret_and_what_is_weak(line: str, path: str, kind: str, weak: str) -> None:
    assert (kind, weak) in found(line, path)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("OPENAI_API_KEY = 'OPENAI_API_KEY'", "a.ts"),
        ("const password = process.env.PASSWORD", "a.ts"),
        ("const secret = getSecret('name')", "a.ts"),
        ("db_password = lookup(vault_1)", "a.ini"),
        ("postgres://app:${PASSWORD}@db/x", "a.sh"),
        (f"integrity: 'sha-{HEX}'", "pnpm-lock.yaml"),
        (f"resolution = '{HEX}'", "apps/web/pnpm-lock.yaml"),
        ("id = '123e4567-e89b-12d3-a456-426614174000'", "a.ts"),
    ],
)
def test_what_is_none(line: str, path: str) -> None:
    assert not found(line, path)


def test_comments_and_exclusions_allow() -> None:
    line = f"key = f('{STRIPE}')"
    assert not found(f"{line} // pragma: allowlist secret")
    assert not found(line, before="// pragma: allowlist nextline secret")
    assert not found(line, exclude_files=["^src/"])
    assert not found(line, exclude_lines=["key ="])
    assert not found(line, exclude_secrets=["^sk_live"])
    answer = scan(
        Request([File("a.ts", [(7, f"{line} // pragma: allowlist secret", ""), (8, "x" * 30_000, "")])])
    )
    assert (answer.allowed, answer.long) == ([("a.ts", 7)], [("a.ts", 8)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{\n\n x", "line 3"),
        ("[]", "no results"),
        ('{"results": {"a": [{}]}}', "hashed_secret"),
        ("[" * 99_999, "JSON"),
    ],
)
def test_a_baseline_that_is_none_says_where(text: str, words: str) -> None:
    with pytest.raises(OpsError, match=words):
        read_baseline(text.encode(), ".secrets.baseline")


# --- the check


def baseline(*entries: tuple[str, str, bool | None]) -> str:
    results: dict[str, list[dict[str, object]]] = {}
    for path, value, is_secret in entries:
        entry: dict[str, object] = {
            "type": "x",
            "hashed_secret": hashlib.sha1(value.encode()).hexdigest(),
            "is_secret": is_secret,
        }
        results.setdefault(path, []).append(entry)
    return json.dumps(
        {"version": "1.5.0", "results": results, "plugins_used": [{"name": "X", "path": "file:///x"}]}
    )


async def test_a_planted_secret_is_told_without_its_value(world: World) -> None:
    world.release(
        {"a.ts": "1\n", "old.ts": f"'{AWS}'\n"},
        {"src/$(id) ü.ts": f"\nx\nconst k = s('{STRIPE}')\n"},
        {
            "logo.png": b"\x89PNG\0\1",
            "big.txt": "x y\n" * 400_000,
            ".env.local": "A=1\n",
            "old.ts": f"'{AWS}'\n1\n",
        },
    )
    (one,) = await world.check("no-secrets")
    assert one.level is Level.FAIL
    planted = world.git("rev-parse", "staging~1")[:7]
    assert one.summary == f"Stripe Access Key in src/$(id) ü.ts:3, added by {planted}"
    told = said(one)
    assert STRIPE not in told
    assert AWS not in told  # and it was there before
    for words in (
        "logo.png is binary",
        "big.txt adds 1,200,000 characters",
        "environment file goes out: .env.local",
    ):
        assert words in told


async def test_the_baseline_accepts_what_was_looked_at(world: World) -> None:
    known = baseline(("a.ts", STRIPE, False), ("b.ts", AWS, False))
    world.release({"x": "1\n", ".secrets.baseline": known}, {"a.ts": f"'{STRIPE}'\n", "b.ts": f"'{AWS}'\n"})
    (one,) = await world.check("no-secrets")
    assert one.level is Level.OK, said(one)
    assert "knows 2 findings, 2 of them here" in said(one)


async def test_the_baseline_of_the_release_itself_is_told(world: World) -> None:
    files = {"a.ts": f"'{STRIPE}'\n", "b.ts": f"'{AWS}'\n"}
    known = baseline(("a.ts", STRIPE, None), ("b.ts", AWS, True))
    world.release({"x": "1\n"}, {**files, ".secrets.baseline": known})
    (one,) = await world.check("no-secrets")
    assert one.level is Level.FAIL
    assert "AWS Access Key in b.ts:1" in one.summary
    assert "audited as a secret" in one.summary
    world.git("checkout", "-q", "-f", "staging")
    (Path(world.folder) / "checkout" / "b.ts").unlink()
    world.git("-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "-a", "-m", "x")
    (one,) = await world.check("no-secrets")
    assert one.level is Level.WARN
    assert "accepts 1 in its own baseline" in one.summary


async def test_a_broken_baseline_fails(world: World) -> None:
    world.release({"x": "1\n"}, {".secrets.baseline": "{\n oops"})
    (one,) = await world.check("no-secrets")
    assert one.level is Level.FAIL
    assert ".secrets.baseline line 2" in one.summary
