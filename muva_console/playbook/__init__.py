"""The playbook's procedures as data, a file each; docs/runbooks.md says how they are read."""
