-- Bookings: one accommodation, one guest, a range of nights.
create type public.booking_status as enum ('pending', 'confirmed', 'cancelled', 'completed');

create table public.bookings (
  id uuid primary key default gen_random_uuid(),
  accommodation_id uuid not null references public.accommodations (id),
  guest_id uuid not null references public.guests (id),
  check_in date not null,
  check_out date not null,
  status public.booking_status not null default 'pending',
  total_cents integer not null check (total_cents >= 0),
  created_at timestamptz not null default now(),
  constraint bookings_nights check (check_out > check_in)
);

create index bookings_accommodation_idx on public.bookings (accommodation_id, check_in);
create index bookings_guest_idx on public.bookings (guest_id);
