alter table people alter column name type varchar(200);
