"""Deployments: led step by step, and watched live."""
