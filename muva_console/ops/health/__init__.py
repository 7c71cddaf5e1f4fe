"""Health: the playbook's checks, the memory of what they found, and the report of all of them."""
