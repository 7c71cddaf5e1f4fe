alter table guests add column preferences jsonb not null default '{}'::jsonb;
