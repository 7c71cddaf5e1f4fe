"""Incidents: from the first alarm to verified recovery, kept in the journal that all consoles share."""
