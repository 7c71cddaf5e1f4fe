create or replace function forget() returns void language plpgsql as $$ begin delete from sessions; truncate logs; end $$;
