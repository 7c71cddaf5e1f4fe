grant all on all tables in schema public to anon;
