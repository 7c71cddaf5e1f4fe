"""Error patterns in the logs: critical ones, new ones, against before."""
