"""What the repository's settings give to its workflows: variables, and secrets that no log shows."""

from __future__ import annotations

from muva_console.drill.state import Estate, Site


def variables(estate: Estate) -> dict[str, str]:
    """The `vars` context."""
    found = {
        "VPS_ADDRESS": f"{estate.user}@127.0.0.1:{estate.ssh_port}",
        "VPS_KNOWN_HOSTS": estate.known_hosts.read_text().strip(),
    }
    for site in estate.sites.values():
        found[f"{site.environment.upper()}_URL"] = f"http://127.0.0.1:{site.port}"
        found[f"{site.environment.upper()}_DIRECTORY"] = str(site.directory)
    return found


def secrets(estate: Estate) -> dict[str, str]:
    """The `secrets` context."""
    found = {"VPS_SSH_KEY": estate.identity.read_text().strip()}
    for site in estate.sites.values():
        found[f"{site.environment.upper()}_DATABASE_URL"] = database_url(estate, site)
    return found


def database_url(estate: Estate, site: Site) -> str:
    """Where a site's migrations are applied, by the role that owns its tables."""
    place = f"127.0.0.1:{estate.postgres_port}/{site.database}"
    return f"postgresql://{site.role}:{estate.password(site.role)}@{place}"
