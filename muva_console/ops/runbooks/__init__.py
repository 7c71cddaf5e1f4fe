"""The playbook's procedures as data: what they are, how they are read, and what a walk through one is."""
