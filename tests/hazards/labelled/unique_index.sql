create unique index guests_email on guests (lower(email));
