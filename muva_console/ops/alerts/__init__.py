"""Alerts: service failures and error patterns, told once, and again when they are over."""
