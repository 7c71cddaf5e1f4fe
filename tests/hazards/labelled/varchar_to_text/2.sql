alter table notes alter column body type text;
