"""How things are reached: SSH, HTTP, Postgres, the repository. A link never knows who asks."""
