create table secrets (id bigint primary key, value text);
alter table secrets enable row level security;
