"""Walking a runbook: items sense themselves side by side, people answer the rest, the journal keeps it."""
