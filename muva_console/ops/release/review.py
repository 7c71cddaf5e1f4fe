"""Code review: every commit that goes out belongs to a merged, approved pull request."""
