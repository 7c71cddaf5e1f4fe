"""After a deployment: the commit that is served, the processes since the restart, the users' flows."""
