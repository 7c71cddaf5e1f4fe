alter table guests add column seen_at timestamptz not null default now();
