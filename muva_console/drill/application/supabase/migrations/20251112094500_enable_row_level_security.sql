alter table public.accommodations enable row level security;
alter table public.guests enable row level security;
alter table public.staff enable row level security;
alter table public.bookings enable row level security;
alter table public.chat_conversations enable row level security;
alter table public.chat_messages enable row level security;

create policy "anyone sees active accommodations" on public.accommodations
  for select to anon, authenticated using (active);
create policy "staff see guests" on public.guests for select to authenticated using (true);
create policy "staff see staff" on public.staff for select to authenticated using (active);
create policy "staff manage bookings" on public.bookings for all to authenticated using (true) with check (true);
create policy "staff see conversations" on public.chat_conversations for select to authenticated using (true);
create policy "staff see messages" on public.chat_messages for select to authenticated using (true);
