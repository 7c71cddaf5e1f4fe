"""The playbook's "Emergency Response": what its runbooks look at and do, beside what is there already."""
