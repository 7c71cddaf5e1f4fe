delete from sessions where expires_at < '2020-01-01';
vacuum sessions;
