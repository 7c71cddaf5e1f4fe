"""Dependencies: what changed in the manifest and the lock file."""
