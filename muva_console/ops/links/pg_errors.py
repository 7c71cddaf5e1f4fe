"""What a failure of Postgres means: by SQLSTATE where the server spoke, by errno where it did not.

SQLSTATEs: PostgreSQL 18 documentation, appendix A. Supavisor, Supabase's pooler, says most things under
XX000 and in words.
"""

from __future__ import annotations

import errno
import socket
import ssl

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.text import sanitise_line


class DatabaseError(LinkError):
    """A database that could not be used. `sqlstate` is empty when the server did not get to speak; `way`
    is true when the host through which it is reached failed, which tells nothing of the database.
    """

    def __init__(
        self,
        fault: Fault,
        what: str,
        *,
        where: str = "",
        means: str = "",
        next: str = "",
        sqlstate: str = "",
        way: bool = False,
    ) -> None:
        super().__init__(fault, what, where=where, means=means, next=next)
        self.sqlstate = sqlstate
        self.way = way


TOO_MANY = "53300"
STARTING = "57P03"
QUERY_CANCELED = "57014"

# SQLSTATE: (fault, what, means, next)
_STATES: dict[str, tuple[Fault, str, str, str]] = {
    "28P01": (
        Fault.AUTH,
        "the password is not accepted",
        "",
        "Look at the secret that [database] refers to.",
    ),
    "28000": (
        Fault.AUTH,
        "this user may not log in from here",
        "",
        "pg_hba.conf or the provider's network restrictions decide that; some want TLS (sslmode=require).",
    ),
    "53300": (
        Fault.REFUSED,
        "no connection is left: the server has as many as it takes",
        "The application may be unable to connect too.",
        "Look for idle connections; a restart of the application frees its own.",
    ),
    "57P03": (Fault.REFUSED, "the server is starting up, recovering or shutting down", "", "Wait a moment."),
    "57P01": (Fault.CLOSED, "the server is being shut down", "", ""),
    "57P02": (Fault.CLOSED, "the server crashed", "", ""),
    "57P05": (Fault.CLOSED, "the server ended an idle session", "", ""),
    "3D000": (Fault.MISSING, "there is no such database", "", "Look at the database's name in [database]."),
    "57014": (Fault.TIMEOUT, "the server ended the query: it took too long", "", ""),
    "42501": (Fault.AUTH, "this user may not read that", "", ""),
    "08P01": (Fault.PROTOCOL, "server and client do not understand each other", "", ""),
}


def explain(error: BaseException, *, where: str, timeout: float, hide: str | None = None) -> DatabaseError:
    """An exception of asyncpg, of a socket or of TLS as what it means; `hide` (the password) is taken out
    of whatever text is quoted.
    """
    import asyncpg

    def told(fault: Fault, what: str, means: str = "", next: str = "", state: str = "") -> DatabaseError:
        return DatabaseError(fault, what, where=where, means=means, next=next, sqlstate=state)

    said = sanitise_line(str(error), cap=300)
    if hide:
        said = said.replace(hide, "***")
    match error:
        case DatabaseError():
            return error
        case LinkError():
            return told(error.fault, str(error), error.means, error.next)
        case asyncpg.PostgresError():
            return _explain_state(error, said, where)
        case TimeoutError():
            return told(
                Fault.TIMEOUT,
                f"no answer within {timeout:g} s",
                "Either the server hangs or something on the way swallows the packets.",
            )
        case ConnectionRefusedError():
            return told(
                Fault.REFUSED, "connection refused: nothing listens there", "Postgres is not running."
            )
        case socket.gaierror():
            return told(Fault.DNS, "the host's name is not known")
        case ssl.SSLCertVerificationError():
            return told(
                Fault.TLS, f"certificate not accepted: {sanitise_line(error.verify_message, cap=200)}"
            )
        case ssl.SSLError():
            return told(Fault.TLS, f"TLS failed: {sanitise_line(error.reason or 'handshake', cap=200)}")
        case ConnectionError() if "SSL" in str(error) or "TLS" in str(error):
            return told(
                Fault.TLS, "the server offers no TLS", next="sslmode of the database's URL asks for it."
            )
        case OSError() if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return told(Fault.UNREACHABLE, "no route to the database's host from here")
        case asyncpg.ClientConfigurationError():
            return told(Fault.CONFIG, "the settings of the connection contradict each other")
        # InternalClientError: the server hung up while asyncpg was about to ask
        case ConnectionError() | asyncpg.InterfaceError() | asyncpg.InternalClientError() | EOFError():
            return told(Fault.CLOSED, "the connection was lost")
        case _:
            return told(Fault.OTHER, f"{type(error).__name__}: {said}")


def _explain_state(error: Exception, said: str, where: str) -> DatabaseError:
    state = str(getattr(error, "sqlstate", "") or "")
    low = said.lower()
    if state == "XX000" and "tenant or user not found" in low:
        return DatabaseError(
            Fault.AUTH,
            "the pooler knows no such project or user",
            where=where,
            next="Behind Supabase's pooler the user reads postgres.PROJECT.",
            sqlstate=state,
        )
    if "max client" in low or "max_client" in low:
        state = TOO_MANY
    if state in _STATES:
        fault, what, means, step = _STATES[state]
        detail = f"{what} ({said})" if said and state in ("28000", "3D000", "08P01") else what
        return DatabaseError(fault, detail, where=where, means=means, next=step, sqlstate=state)
    if state.startswith("08"):
        return DatabaseError(Fault.CLOSED, f"the connection was lost ({said})", where=where, sqlstate=state)
    return DatabaseError(Fault.OTHER, f"{said} (SQLSTATE {state})", where=where, sqlstate=state)
