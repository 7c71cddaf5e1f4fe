create policy anything on reviews for all using (true) with check (true);
