"""No secrets in what goes out."""
