alter table bookings enable row level security;
create policy own on bookings for select to authenticated using (guest_id = auth.uid());
alter table payments enable row level security;
create policy own on payments for select to authenticated using (guest_id = auth.uid());
