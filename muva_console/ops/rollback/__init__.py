"""Going back to a release that was good: what would go back, whether the schema allows it, and the job on the
host that does it.
"""
