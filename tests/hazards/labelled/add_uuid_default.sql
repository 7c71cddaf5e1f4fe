alter table guests add column public_id uuid not null default gen_random_uuid();
