alter table bookings
  add column source text not null default 'web',
  add column operator_id uuid not null;
