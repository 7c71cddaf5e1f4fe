create table people (id bigint primary key, name varchar(50));
