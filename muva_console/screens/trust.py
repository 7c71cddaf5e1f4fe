"""The question whether a host's key is to be trusted: asked of a person, who is shown the fingerprint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from muva_console.widgets.dialog import DEAF_FOR, Dialog, Words
from muva_console.widgets.level import muted, strong

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.links.ssh_trust import HostKeyOffer

WORD = "trust"
"""What must be typed."""


async def settle_host_key(app: MuvaApp, host: str) -> None:
    """Ask about a host's key when it is not trusted yet, and record the answer. Raises OpsError."""
    link = app.workspace.host(host)
    offer = await app.ask_ops(link.unknown_host_key)
    if offer is None:
        app.tell(f"The key of {host} is trusted.")
        return
    if await app.push_screen_wait(TrustDialog(offer)):
        await app.ask_ops(lambda: link.accept_host_key(offer))
        app.tell(f"The key of {host} is recorded in {offer.file}.")
        app.action_refresh()


class TrustDialog(Dialog[bool]):
    """Shows a host key. The answer is True only when the word was typed; a changed key is never accepted."""

    DEAF = DEAF_FOR
    HELP = (
        "The host shows a key that is not on record. Compare the fingerprint with one you got another way "
        "(from whoever runs the host, or `ssh-keygen -lf` on its console). Only then type the word."
    )
    DEFAULT_CSS = """
    TrustDialog #asking { height: 1; margin: 1 0 0 0; }
    TrustDialog #asking Words { width: auto; min-width: 44; }
    TrustDialog Input { border: none; height: 1; padding: 0; width: 1fr; background: $panel; }
    TrustDialog Input:focus { border: none; }
    """

    def __init__(self, offer: HostKeyOffer) -> None:
        super().__init__()
        self._offer = offer

    def heading(self) -> str:
        """What it is about."""
        if self._offer.changed:
            return f"The key of {self._offer.host} has CHANGED"
        return f"The key of {self._offer.host} is not known"

    def content(self) -> Iterable[Widget]:
        """The key, and the question."""
        offer = self._offer
        lines = [
            Content.assemble(muted("address      "), offer.address),
            Content.assemble(muted("key          "), offer.algorithm),
            Content.assemble(muted("fingerprint  "), strong(offer.fingerprint)),
        ]
        lines += [muted(f"             {line}") for line in offer.randomart.splitlines()]
        if offer.changed:
            lines += [Content.assemble(muted("on record    "), known) for known in offer.recorded]
            lines += [
                Content(""),
                Content.styled(
                    "✖ Somebody may be between you and the host, or it was set up anew.", "$t-fail"
                ),
                Content(
                    "The console does not connect. When you know that the new key is right, remove the old:"
                ),
                strong(f"ssh-keygen -f {offer.file} -R '{offer.address}'"),
            ]
        else:
            lines += [Content(""), muted(f"It would be recorded in {offer.file}.")]
        yield Words(lines)
        if not offer.changed:
            label = Content.assemble("Type ", strong(WORD), " when the fingerprint is right:")
            yield Horizontal(Words([label]), Input(id="word"), id="asking")

    def on_mount(self) -> None:
        """Ready to type."""
        if not self._offer.changed:
            self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Only the word itself."""
        if event.value.strip().lower() == WORD:
            self.dismiss(True)
