"""What is read of JavaScript: code, not comments, strings, templates and regular expressions."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.release.code_files import imports, is_code, package_of
from muva_console.ops.release.env_names import reads_of
from muva_console.ops.release.js_tokens import Kind, tokenise


def names(text: str) -> list[str]:
    return [read.name for read in reads_of(text).reads]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "process.env.A; process.env['B']; process.env[`C`]; process?.env?.D; "
            "process.env!.E; process.env?.['F']",
            "ABCDEF",
        ),
        ("const {A, B: b, 'C': c = f({x, y}), D = {q: 1}, ...rest} = process.env", "ABCD"),
        ("const env = process.env; env.A; env.lower; other.env.B", "A"),
        ("const { env } = process; env.A", "A"),
        ("import.meta.env.A; import.meta.env.MODE; globalThis.process.env.B; my.process.env.C", "AB"),
        ("// process.env.A\n/* process.env.B\n */ 'process.env.C'; process.env.E", "E"),
        (
            "`process.env.A ${process.env.B + `${process.env.C} process.env.D`} process.env.E`; "
            "process.env.F",
            "BCF",
        ),
        (
            r"x = /[/'`]process.env.A/g; s.replace(/'/g, process.env.B); "
            "if (x) /`/.test(y); a / process.env.C / b; x.in / process.env.D / b",
            "BCD",
        ),
        (
            "<p>Don't {process.env.A} it's https://x {process.env.B}</p>; <img src='x' />; process.env.C",
            "ABC",
        ),
        ("process.env.A = 'x'; delete process.env.B; process.env.C === 'x'; process.env.D ??= 1", "CD"),
        ("process.env.NODE_ENV; process.env.npm_package_name; process.env.VERCEL_URL; process.env.PORT", ""),
        ("'it\\'s process.env.A'; process.env.B; 'open\nprocess.env.C", "BC"),
        ("const f = () => { return /process.env.A/ }\n/'/.test(x); process.env.B", "B"),
    ],
)
def test_only_code_reads_variables(text: str, expected: str) -> None:
    assert names(text) == list(expected)


def test_what_cannot_be_told_is_said() -> None:
    found = reads_of("parse(process.env);\n\nconst x = process.env[name];\n`never closed\nprocess.env.A")
    assert found.whole == (1, 3)
    assert found.lost == 4
    assert not found.reads


def test_lines_are_those_of_the_file() -> None:
    found = reads_of("/*\n\n*/ `a\nb ${\nprocess.env.A}\n`; 'x\\\ny'; process.env.B\r\nprocess.env.C")
    assert [(read.name, read.line) for read in found.reads] == [("A", 5), ("B", 7), ("C", 8)]


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet="ab'\"`/\\*${}()[]<>=.\n ", max_size=60))
def test_any_text_is_read_to_its_end(text: str) -> None:
    found = tokenise(text)
    assert all(1 <= token.line <= text.count("\n") + 1 for token in found.tokens)
    assert [token.line for token in found.tokens] == sorted(token.line for token in found.tokens)
    for token in found.tokens:
        if token.kind is not Kind.STRING:
            assert token.text in text


_PIECE = st.text(alphabet="ab \t$./*'\"#", max_size=12)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["//", "/*", "'", '"', "`", "${"]), _PIECE), max_size=6))
def test_what_is_no_code_hides_nothing_behind_it(pieces: list[tuple[str, str]]) -> None:
    """After any comments, strings and templates, each closed, the code is still seen, and nothing of them."""
    text = ""
    for kind, piece in pieces:
        inner = f"process.env.HIDDEN {piece}"
        match kind:
            case "//":
                text += f"x;//{inner}\n"
            case "/*":
                text += f"/*{inner.replace('*/', '')} */"
            case "${":
                text += f";`{inner.replace('${', '')} ${{process.env.SEEN}} `\n"
            case quote:
                text += f";{quote}{inner.replace(quote, '').replace('${', '').replace(chr(92), '')}{quote};"
    found = names(f"{text}\n;process.env.LAST")
    assert found == ["SEEN"] * sum(kind == "${" for kind, _ in pieces) + ["LAST"]


@pytest.mark.parametrize("hostile", ['"\\', "=/[", "`${", "'", "https://", "/*", "{"])
def test_time_is_in_proportion_to_the_length(hostile: str) -> None:
    def took(times: int) -> float:
        spent = []
        for _ in range(3):
            began = time.process_time()
            tokenise(hostile * times)
            spent.append(time.process_time() - began)
        return min(spent)

    # four times as much takes far less than the sixteen times of a quadratic search
    assert took(8000) < 10 * max(took(2000), 0.002)


def test_imports_and_their_packages() -> None:
    text = """import a from 'a/deep'; import '@s/b/c'; const c = require("c"); export * from 'node:fs';
    await import(`d`); // import 'e'
    const s = "import 'f'"; foo('g'); import type { T } from './h'; import i from '@/lib'"""
    found = [package_of(name) for name, _ in imports(tokenise(text).tokens)]
    assert [name for name in found if name] == ["a", "@s/b", "c", "d"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("src/a.ts", True),
        ("a b/$(x).tsx", True),
        ("next.config.mjs", True),
        ("node_modules/a/i.js", False),
        ("apps/web/.next/x.js", False),
        ("src/a.test.ts", False),
        ("src/__tests__/a.ts", False),
        ("vitest.config.ts", False),
        ("types/a.d.ts", False),
        ("src/a.css", False),
    ],
)
def test_which_files_are_code(path: str, code: bool) -> None:
    assert is_code(path) is code
