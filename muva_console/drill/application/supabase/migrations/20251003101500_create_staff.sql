create table public.staff (
  id uuid primary key default gen_random_uuid(),
  full_name text not null,
  email text not null unique,
  role text not null check (role in ('owner', 'manager', 'reception', 'housekeeping')),
  active boolean not null default true,
  created_at timestamptz not null default now()
);
