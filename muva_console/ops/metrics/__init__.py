"""The figures of a team's deployments, from what the journal has of them."""
