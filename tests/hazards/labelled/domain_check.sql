alter domain email_address add constraint has_at check (value like '%@%');
