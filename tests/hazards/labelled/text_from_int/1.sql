create table rooms (id bigint primary key, number integer not null);
