alter table guests alter column email set not null;
