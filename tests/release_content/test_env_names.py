"""The names in templates and environment files; what a host tells of them, and what it never tells."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muva_console.ops.release.env_host import ask_host
from muva_console.ops.release.env_names import assignments, read_template
from tests.conftest import in_thread
from tests.logs.local_link import LocalLink

TEMPLATE = """# Copy to .env.production; A = prose
A=
export B=1
#C=x
# D=
E=  # optional: for mail
F="one
G=not a name of its own
"
H='open
# I= is needed for = signs
A=2  # Optional
"""


def test_a_template_names_what_is_needed_and_what_is_not() -> None:
    template = read_template(TEMPLATE.replace("\n", "\r\n"))
    assert template.required == {"B", "F", "H"}
    assert template.optional == {"A", "C", "D", "E"}


_LINE = st.one_of(
    st.sampled_from(
        ["A=", "B=1", " export A='x' ", 'C="', "D=`x`", "A=''", "E=# c", "B =x\r", "A=\\", "-A=1", '"', "'"]
    ),
    st.text(alphabet="AB=\"'\\ #`x\r", max_size=8),
)


@settings(max_examples=1, deadline=None)
@example(
    [
        ['C="', "B=1"],
        ["A='", "A=`x", "B='y", "C=1", "x`"],
        ['A="\\"', 'B="', "C=1"],
        ["A=1\r", "E='", "'", "D"],
    ]
)
@given(st.lists(st.lists(_LINE, max_size=8), min_size=25, max_size=25))
def test_the_host_reads_as_we_do(tmp_path_factory: pytest.TempPathFactory, files: list[list[str]]) -> None:
    """awk on the host against our own reading, over many files at once."""
    folder = tmp_path_factory.mktemp("env")

    async def look() -> None:
        link = LocalLink()
        for number, lines in enumerate(files):
            text = "\n".join(lines)
            (folder / f"f{number}").write_bytes(text.encode())
            found = await ask_host(link, str(folder), f"f{number}", "ABCDE")
            mine = assignments(text)
            assert found.has == set("ABCDE") & mine.keys(), text
            assert found.lacks == set("ABCDE") - mine.keys(), text
            assert found.others == len(mine.keys() - set("ABCDE")), text

    in_thread(look)


async def test_values_never_leave_the_host(tmp_path: Path) -> None:
    """Whatever the file holds, the answer has the names that were asked for and nothing else."""
    secret = "s3cr3t"
    (tmp_path / "odd $(id) 'name'").write_text(
        f'A={secret}\nB=\nC="{secret}\nD={secret}\n{secret}=x\n"\n'
        f"E='' # {secret}\n{secret}==\nF={secret}=\n"
    )
    link = LocalLink()
    answers: list[bytes] = []
    run = link.run

    async def heard(*words: object, **more: object) -> object:
        result = await run(*words, **more)  # type: ignore[arg-type]
        answers.append(result.stdout + result.stderr)
        return result

    link.run = heard  # type: ignore[method-assign,assignment]
    found = await ask_host(link, str(tmp_path), "odd $(id) 'name'", "ABCDEF")
    assert found.has == {"A", "B", "C", "E", "F"}
    assert found.empty == {"B", "E"}
    assert found.lacks == {"D"}
    assert found.others == 1
    assert answers and secret.encode() not in b"".join(answers)


@pytest.mark.parametrize(
    ("name", "trouble"), [("none", "missing"), ("folder", "no file"), ("large", "too large")]
)
async def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, trouble: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"A=1\n" * 300_000)
    assert (await ask_host(LocalLink(), str(tmp_path), name, "A")).trouble == trouble
