alter table guests add constraint guests_email_nn not null email not valid;
