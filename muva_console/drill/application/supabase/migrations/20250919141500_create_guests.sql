create table public.guests (
  id uuid primary key default gen_random_uuid(),
  full_name text not null,
  email text unique,
  phone text,
  language char(2) not null default 'en',
  created_at timestamptz not null default now(),
  constraint guests_reachable check (email is not null or phone is not null)
);

create index guests_phone_idx on public.guests (phone) where phone is not null;
