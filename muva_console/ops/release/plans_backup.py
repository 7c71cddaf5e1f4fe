"""The check "backup-plan": a release to return to, a backup that is fresh, a way back for each migration."""
