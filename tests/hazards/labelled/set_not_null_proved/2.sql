alter table guests validate constraint guests_email_there;
