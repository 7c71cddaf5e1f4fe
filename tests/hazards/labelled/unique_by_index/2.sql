alter table guests add constraint guests_email_key unique using index guests_email_key;
