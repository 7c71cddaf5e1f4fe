delete from sessions where expires_at < now() - interval '90 days' and user_id = 'b';
