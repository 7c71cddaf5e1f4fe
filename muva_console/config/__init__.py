"""muva.toml: its typed model, how it is read, and how its secrets are resolved."""
