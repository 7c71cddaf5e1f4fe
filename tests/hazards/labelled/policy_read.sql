create policy anyone_reads on reviews for select using (true);
