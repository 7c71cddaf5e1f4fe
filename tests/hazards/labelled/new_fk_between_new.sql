create table a (id bigint primary key);
create table b (id bigint primary key, a_id bigint);
create index on b (a_id);
alter table b add constraint b_a foreign key (a_id) references a (id);
