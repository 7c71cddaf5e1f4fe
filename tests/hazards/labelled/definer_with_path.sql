create function promote(who uuid) returns void language sql security definer set search_path = '' as $$ update public.staff set role = 'owner' where id = who $$;
