create function promote(who uuid) returns void language sql security definer as $$ update staff set role = 'owner' where id = who $$;
