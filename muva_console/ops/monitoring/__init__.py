"""What an environment has been like over days: kept samples, their roll-ups, and how they are told."""
