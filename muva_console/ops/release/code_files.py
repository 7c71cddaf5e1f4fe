"""Which files of the application are its own code, and what one of them imports."""

from __future__ import annotations

from collections.abc import Iterator

from muva_console.ops.release.js_tokens import Kind, Token

SUFFIXES = (".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts")
"""What is read as JavaScript or TypeScript."""

NOT_OURS = frozenset(["node_modules", "dist", ".next", "build", "out", "coverage", "vendor", ".git"])
"""Folders of what others wrote or a build made."""

TESTS = frozenset(["__tests__", "__mocks__", "test", "tests", "e2e", "cypress", "playwright", "spec"])
"""Folders of tests: they run with variables and packages of their own, never on a host."""

_TEST_MARKS = (".test.", ".spec.", ".stories.", ".cy.")
_TEST_TOOLS = ("vitest.", "jest.", "playwright.", "cypress.", "karma.", "wdio.")


def is_code(path: str, *, tests: bool = False) -> bool:
    """Whether a path of the repository is code that runs on a host or builds what runs there; with `tests`,
    also code that tests it. Declarations (``.d.ts``) are none.
    """
    *folders, name = path.split("/")
    if not name.endswith(SUFFIXES) or name.endswith((".d.ts", ".d.mts", ".d.cts")):
        return False
    if not NOT_OURS.isdisjoint(folders):
        return False
    if tests:
        return True
    marked = any(mark in name for mark in _TEST_MARKS) or name.startswith(_TEST_TOOLS)
    return not marked and TESTS.isdisjoint(folders)


def imports(tokens: list[Token]) -> Iterator[tuple[str, int]]:
    """What a file imports, with the line: ``import``, ``export … from``, ``require`` and ``import()`` of a
    name in quotes.
    """
    for index, token in enumerate(tokens):
        if token.kind is not Kind.STRING or index == 0:
            continue
        before = tokens[index - 1]
        if before.kind is Kind.WORD and before.text in ("from", "import"):
            yield token.text, token.line
        elif before.text == "(" and index > 1:
            caller = tokens[index - 2]
            if caller.kind is Kind.WORD and caller.text in ("require", "import", "resolve"):
                yield token.text, token.line


def package_of(specifier: str) -> str:
    """The package that an import names (``pg`` of ``pg/lib/x``, ``@a/b`` of ``@a/b/c``); "" for a path, a
    module of Node itself or an alias such as ``@/lib``.
    """
    if not specifier or specifier[0] in "./#~" or specifier.startswith(("node:", "@/")):
        return ""
    parts = specifier.split("/")
    return "/".join(parts[:2]) if specifier[0] == "@" else parts[0]
