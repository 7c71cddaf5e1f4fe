create unique index concurrently guests_email_key on guests (email);
