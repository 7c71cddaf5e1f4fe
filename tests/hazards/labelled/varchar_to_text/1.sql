create table notes (id bigint primary key, body varchar(500) not null);
