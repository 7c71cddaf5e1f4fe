create table audits (id bigint primary key, at timestamptz not null default now());
create trigger audits_touch before update on audits for each row execute function touch();
