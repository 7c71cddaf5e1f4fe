drop owned by old_team;
