create table diaries (id bigint primary key, owner uuid not null);
alter table diaries enable row level security;
create policy own on diaries for all to authenticated using (owner = auth.uid());
create table diary_pages (id bigint primary key, body text);
