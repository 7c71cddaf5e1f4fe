"""A team's own runbooks and changes: what they do, and how their mistakes are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.errors import ConfigError
from muva_console.ops.runbooks import load as loader
from muva_console.ops.runbooks.document import Document, Known, read_document
from muva_console.ops.runbooks.keys import ADD, FILE, LISTS, WITH
from muva_console.ops.runbooks.load import find_runbook, load_runbooks
from muva_console.ops.runbooks.model import Basis, Runbook, Step, StepKind
from muva_console.ops.runbooks.overlay import assemble
from muva_console.ops.text import sanitise_line

ESTATE = {"dev": False, "staging": False, "production": True}
OWN = """
id = "warm-up"
title = "Warm up"
environments = ["@staging", "dev"]

[[step]]
id = "smoke"
title = "Smoke test"
why = '''
Two lines
of one thought.'''
section = "First"
who = "Tech Lead"
environments = ["dev"]
run = '''
set -e
./scripts/smoke.sh --password "$SMOKE_PASSWORD"'''
on = "host"
exit = 3
output = "all \\\\d+ passed"
attest = "Did it pass?"
expires = "1h30m"
depends = ["outgoing", "serving"]
timeout = "250ms"

[[step]]
id = "slow"
title = "Slow"
check = "performance"
of = "dev"
with = { probes = 3, names = ["a"] }

[[step]]
id = "read"
title = "Read"
text = "Line one\\nline two"
"""


def put(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name.replace('_', '-')}.toml").write_text(text)
    return folder


def loaded(folder: Path) -> tuple[Runbook, ...]:
    return load_runbooks(folder, environments=ESTATE)


def mistakes(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder)
    told = list(caught.value.mistakes)
    assert all(line.startswith(str(folder)) for line in told), told
    return [line.removeprefix(f"{folder}/") for line in told]


def changed(folder: Path, text: str, id: str = "pre-deploy-production") -> list[str]:
    """The ids of the runbook's steps once this is laid over it."""
    return [step.id for step in find_runbook(loaded(put(folder, x=text)), id).steps]


# --- what is read --------------------------------------------------------------------------------------


def test_every_key_is_read(tmp_path: Path) -> None:
    book = find_runbook(loaded(put(tmp_path, own=OWN)), "warm-up")
    assert book.environments == ("staging", "dev")
    assert book.source == f"{tmp_path}/own.toml"
    assert book.steps[0] == Step(
        id="smoke",
        title="Smoke test",
        why="Two lines of one thought.",
        section="First",
        who="Tech Lead",
        environments=("dev",),
        run='set -e\n./scripts/smoke.sh --password "$SMOKE_PASSWORD"',
        on="host",
        exit=3,
        output=r"all \d+ passed",
        attest="Did it pass?",
        expires=5400.0,
        depends=(Basis.OUTGOING, Basis.SERVING),
        timeout=0.25,
    )
    assert (book.steps[1].of, book.steps[1].parameters) == ("dev", {"probes": 3, "names": ["a"]})
    assert (book.steps[2].kind, book.steps[2].text) == (StepKind.TEXT, "Line one\nline two")
    assert [each.id for each in loaded(tmp_path)][-1] == "warm-up"


def test_only_files_of_toml_that_are_not_hidden_are_read(tmp_path: Path) -> None:
    put(tmp_path, own=OWN)
    (tmp_path / ".own.toml").write_text("an editor's own")
    (tmp_path / "README.md").write_text("no TOML")
    assert len(loaded(tmp_path)) == len(load_runbooks()) + 1


# --- what is changed -----------------------------------------------------------------------------------

ONE = '\nid = "one"\ntitle = "One"\nattest = "One?"\n'


def test_steps_are_added_replaced_and_removed(tmp_path: Path) -> None:
    before = [step.id for step in find_runbook(load_runbooks(), "pre-deploy-production").steps]
    head = 'id = "pre-deploy-production"\n'
    assert changed(tmp_path, head + "[[add]]" + ONE) == [*before, "one"]
    assert changed(tmp_path, head + "[[add]]\nafter = 'backup-plan'" + ONE)[5:7] == ["backup-plan", "one"]
    first = changed(tmp_path, head + "[[add]]\nbefore = 'staging-validated'" + ONE)
    assert first == ["one", *before]
    chain = "[[add]]" + ONE + "[[add]]\nid = 'two'\ntitle = 'Two'\ntext = 'x'\nafter = 'one'"
    assert changed(tmp_path, head + chain)[-2:] == ["one", "two"]
    assert changed(tmp_path, head + "remove = ['database-sync', 'backup-plan']") == [
        name for name in before if name not in ("database-sync", "backup-plan")
    ]
    other = head + "title = 'Ours'\n[[replace]]\nid = 'backup-plan'\ntitle = 'Ours too'\nattest = 'Well?'"
    assert changed(tmp_path, other) == before
    book = find_runbook(loaded(tmp_path), "pre-deploy-production")
    step = book.step("backup-plan")
    assert step is not None
    assert (step.kind, step.title, step.check, step.depends) == (StepKind.ATTEST, "Ours too", "", ())
    assert (book.title, book.environments, book.source) == ("Ours", ("production",), f"{tmp_path}/x.toml")
    after = "[[add]]\nafter = 'health'" + ONE
    changed(tmp_path, 'id = "post-rollback"\n' + after, "post-rollback")
    added = find_runbook(loaded(tmp_path), "post-rollback").step("one")
    assert added is not None
    assert added.section == "1. Verify system health", "it stands under the heading of the step beside it"


def test_a_whole_runbook_stands_in_the_place_of_the_playbooks(tmp_path: Path) -> None:
    text = 'id = "notify"\ntitle = "Ours"\nreplace = true\n[[step]]' + ONE
    assert changed(tmp_path, text, "notify") == ["one"]
    assert [book.id for book in loaded(tmp_path)] == [book.id for book in load_runbooks()]
    put(tmp_path, y='id = "notify"\n[[add]]\nid = "two"\ntitle = "Two"\ntext = "x"')
    assert [step.id for step in find_runbook(loaded(tmp_path), "notify").steps] == ["one", "two"]


# --- mistakes ------------------------------------------------------------------------------------------


def test_all_mistakes_of_all_files_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    put(
        tmp_path,
        a="""\
id = "pre-deploy-production"
remove = ["database-sink"]
[[add]]
id = "smoke"
title = "Smoke"
run = "x"
expires = 30
comand = "x"
after = "staging-valid"
[[replace]]
id = "nothing-like-it"
title = "x"
text = "x"
""",
        b="""\
id = "Own"
colour = 1
environments = ["stagin"]
[[step]]
id = "one"
title = "One"
[[step]]
id = "one"
title = ""
check = "api-helth"
run = "x"
operation = "notifi"
of = "@production"
on = "here"
depends = ["outgoing", "moon"]
[[step]]
title = "Three"
run = "x"
output = "("
on = "laptop"
timeout = "3h"
exit = 256
[[step]]
id = "four"
title = "Four"
text = "x"
attest = "y"
expires = "1h"
with = 1
""",
        c='id = "x"\n= 1\n',
    )
    (tmp_path / "d.toml").write_bytes(b'id = "x"\n# \xff\n')
    told = "\n".join(mistakes(tmp_path))
    for line in (
        'a.toml:7: step "smoke", expires: expected a duration such as "250ms"',
        'a.toml:8: step "smoke", comand: unknown key; did you mean command?',
        'a.toml:9: step "smoke", after: there is no step "staging-valid" in pre-deploy-production; did you',
        'a.toml:11: step "nothing-like-it", id: there is no step "nothing-like-it" in pre-deploy-production;',
        'a.toml:2: remove: there is no step "database-sink" in pre-deploy-production; did you mean data',
        "b.toml:1: id: expected a name of lower-case letters, digits and hyphens, such as",
        "b.toml:2: colour: unknown key; known are id, title",
        'b.toml:3: environments: there is no environment "stagin"; did you mean staging?',
        "b.toml: title: missing",
        'b.toml:4: step "one": nothing says what it is; expected one of check, run, operation, attest, text',
        'b.toml:8: step "one", id: there is a step of that name already',
        'b.toml:9: step "one", title: expected a text that is not empty',
        'b.toml:10: step "one", check: there is no check "api-helth"; did you mean api-health?',
        'b.toml:12: step "one", operation: there is no operation "notifi"; did you mean notify?',
        "attest may stand beside the first three, operation beside check), found check and run and operation",
        'b.toml:13: step "one", of: expected "source" or an environment\'s name',
        'b.toml:15: step "one", depends, item 2: expected one of "outgoing", "target", "serving", found',
        "b.toml:16: [[step]] number 3, id: missing",
        "b.toml:19: [[step]] number 3, output: expected a regular expression",
        'b.toml:20: [[step]] number 3, on: expected one of "here", "host", found "laptop"',
        "b.toml:21: [[step]] number 3, timeout: expected a duration",
        "b.toml:22: [[step]] number 3, exit: expected a whole number, at least 0 and at most 255, found 256",
        'b.toml:23: step "four": expected one of',
        'b.toml:29: step "four", with: expected a table',
        "c.toml:2:1: not TOML",
        "d.toml:2: expected UTF-8 text, found byte 0xff",
    ):
        assert line in told, told


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            'id = "notify"\ntitle = "x"\n[[step]]' + ONE,
            "id: there is a runbook of that name already, in notify.toml",
        ),
        ('id = "notifi"\nremove = ["team"]', "did you mean notify?; a new one has [[step]]"),
        ('id = "mine"\ntitle = "x"\nreplace = true\n[[step]]' + ONE, 'there is no runbook "mine" to change'),
        ('id = "notify"\nreplace = true', "replace: expected [[step]], the steps of the whole runbook"),
        ('id = "mine"\ntitle = "x"\nstep = []', "there are no steps"),
        ('id = "notify"\nremove = ["team", "release-notes", "close-issues"]', "no step is left"),
        (
            'id = "notify"\n[[add]]\nid = "team"\ntitle = "x"\ntext = "x"',
            "there is a step of that name in notify already",
        ),
        ('id = "notify"\n[[add]]\nafter = "team"\nbefore = "team"' + ONE, "goes not together with `after`"),
        ('id = "mine"\ntitle = "x"\nremove = ["a"]\n[[step]]' + ONE, "is a whole runbook"),
        ('id = "notify"\nstep = 1', "step: expected tables, [[step]]; found a number"),
        ('id = "notify"\nreplace = "yes"', "replace: expected tables, [[replace]] or true; found a text"),
        ('id = "notify"\n[[add]]\nwith = {a = 1979-05-27}' + ONE, "found a date or time"),
        ('id = "notify"\n[[add]]\nwith = {a = inf}' + ONE, "found one that is none or has no end"),
        ('id = "notify"\n[[add]]\nwith = {a = "x\\u202e"}' + ONE, "without control characters"),
        ('id = "notify"\n[[add]]\nwith = {a = 0x' + "f" * 20 + "}" + ONE, "expected a smaller number"),
        ('id = "notify"\n[[add]]\nwhy = "a\\u001b[2J"' + ONE, "why: a control character is in it"),
        ('id = "notify"\n[[add]]\nwhy = "' + "x" * 4001 + '"' + ONE, "expected at most 4,000 characters"),
        ('id = "notify"\n[[add]]\n"a\\u001b" = 1' + ONE, "unknown key"),
        ('id = "notify"\ntitle = "ghp_' + "a1" * 18 + '"', "what looks like a literal secret"),
        (
            'id = "notify"\n[[add]]\nid = "a"\ntitle = "A"\nrun = "x"\noutput = "(a+)+$"',
            "would take for ever",
        ),
        ("", "id: missing"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, text: str, line: str) -> None:
    told = "\n".join(mistakes(put(tmp_path, x=text)))
    assert line in told
    assert "\x1b" not in told
    assert "a1a1a1" not in told


def test_two_files_of_one_new_name_are_a_mistake(tmp_path: Path) -> None:
    (line,) = mistakes(put(tmp_path, a=OWN, b=OWN))
    assert line.startswith("b.toml:2: id: there is a runbook of that name already, in ")


def test_a_thousand_mistakes_are_not_told_one_by_one(tmp_path: Path) -> None:
    put(tmp_path, a="\n".join(f"colour{n} = 1" for n in range(3000)))
    assert len(mistakes(tmp_path)) <= 110


# --- whose files ---------------------------------------------------------------------------------------


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    outside = tmp_path / "outside.toml"
    outside.write_text(OWN)
    (folder / "out.toml").symlink_to(outside)
    (folder / "gone.toml").symlink_to(folder / "nothing.toml")
    (folder / "circle.toml").symlink_to(folder / "circle.toml")
    (folder / "folder.toml").mkdir()
    os.mkfifo(folder / "pipe.toml")
    (folder / "large.toml").write_text("#" * 1024 * 1024 + "\n")
    told = mistakes(folder)
    assert [line.split(":")[0] for line in told] == [
        f"{name}.toml" for name in ("circle", "folder", "gone", "large", "out", "pipe")
    ]
    assert "outside of the folder" in told[4]
    for name in ("out", "gone", "circle", "large", "pipe"):
        (folder / f"{name}.toml").unlink()
    (folder / "folder.toml").rmdir()
    put(folder, own=OWN)
    (folder / "link.toml").symlink_to(folder / "other")
    (folder / "other").write_text('id = "notify"\nremove = ["team"]')
    assert len(find_runbook(loaded(folder), "notify").steps) == 2, "a link within the folder is followed"
    with pytest.raises(ConfigError, match="cannot be read"):
        loaded(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot be read"):
        loaded(outside)


def test_commands_that_others_could_have_written_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, own=OWN, calm='id = "notify"\nremove = ["team"]')
    (tmp_path / "own.toml").chmod(0o666)
    (line,) = mistakes(tmp_path)
    assert "anybody on this machine can change this file" in line
    assert f"next: chmod o-w {tmp_path}/own.toml" in line
    (tmp_path / "own.toml").chmod(0o644)
    (tmp_path / "calm.toml").chmod(0o666)
    assert find_runbook(loaded(tmp_path), "warm-up")
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="would run as you") as caught:
        loaded(tmp_path)
    assert "change this directory" in "\n".join(caught.value.lines())
    tmp_path.chmod(0o755)
    monkeypatch.setattr(loader, "of_another", lambda about: about.st_size > 300 and about.st_mode & 0o100000)
    (line,) = mistakes(tmp_path)
    assert "this file belongs to somebody else" in line
    (tmp_path / "own.toml").unlink()
    assert loaded(tmp_path), "without commands it can do no more than ask"


# --- anything ------------------------------------------------------------------------------------------

_NAMES = st.sampled_from([*ADD, *FILE, *LISTS, WITH, "x"])
_TEXTS = st.sampled_from(
    [
        "",
        "notify",
        "one",
        "staging",
        "@production",
        "source",
        "host",
        "outgoing",
        "1h",
        "(",
        "check",
        "api-health",
    ]
) | st.text(max_size=12)
_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | _TEXTS | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_NAMES | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=5,
)
_STEPS = st.lists(st.dictionaries(_NAMES, _VALUES, max_size=6), max_size=3)
_DOCUMENTS = st.dictionaries(_NAMES, _VALUES, max_size=5).flatmap(
    lambda document: st.fixed_dictionaries(
        {}, optional={"step": _STEPS, "add": _STEPS, "replace": _STEPS | st.booleans(), "id": _TEXTS}
    ).map(lambda more: document | more)
)
_BASE = f'id = "notify"\ntitle = "x"\n[[step]]{ONE}'.encode()
_KNOWN = Known(checks=frozenset({"x"}), operations=frozenset({"notify"}), environments=tuple(ESTATE))


def _loads(data: bytes) -> None:
    """Read and laid over another; anything but mistakes, which a ConfigError tells, is a defect."""
    document = read_document(data, "x.toml", _KNOWN, team=True)
    books = assemble([read_document(_BASE, "base.toml", Known(), team=False)], [document])
    assert all(isinstance(book, Runbook) for book in books)
    assert all(text == sanitise_line(text) for _, text in document.mistakes)
    if not document.mistakes:
        assert document.id in [book.id for book in books]
        assert all(book.steps for book in books)


@settings(max_examples=40, deadline=None)
@given(_DOCUMENTS)
def test_no_document_breaks_the_loader(document: dict[str, object]) -> None:
    try:
        data = tomli_w.dumps(document).encode()
    except UnicodeEncodeError:
        return
    _loads(data)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_break_the_loader(data: bytes) -> None:
    _loads(data)


def test_a_document_that_is_none_still_has_a_name() -> None:
    assert read_document(b"[" * 5000, "x.toml", Known(), team=True).mistakes
    assert isinstance(read_document(b"", "x.toml", Known(), team=True), Document)
