alter table guests add constraint guests_email_key unique (email);
