alter table guests rename constraint guests_email_key to guests_email_unique;
