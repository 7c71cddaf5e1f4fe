alter table rooms alter column number type text;
