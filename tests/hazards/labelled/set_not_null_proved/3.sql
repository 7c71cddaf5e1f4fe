alter table guests alter column email set not null;
alter table guests drop constraint guests_email_there;
