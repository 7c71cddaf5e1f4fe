alter table guests add constraint guests_email_there check (email is not null) not valid;
