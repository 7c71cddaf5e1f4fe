-- Rooms and houses that guests can book.
create type public.accommodation_kind as enum ('room', 'suite', 'bungalow', 'apartment');

create table public.accommodations (
  id uuid primary key default gen_random_uuid(),
  name text not null unique,
  kind public.accommodation_kind not null,
  guests smallint not null check (guests between 1 and 12),
  price_cents integer not null check (price_cents > 0),
  description text not null default '',
  active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create function public.touch_updated_at() returns trigger
language plpgsql as $$
begin
  new.updated_at := now();
  return new;
end;
$$;

create trigger accommodations_touch before update on public.accommodations
  for each row execute function public.touch_updated_at();
