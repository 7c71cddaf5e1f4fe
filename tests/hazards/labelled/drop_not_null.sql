alter table guests alter column email drop not null;
