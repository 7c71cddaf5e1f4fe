do $$ begin delete from sessions; end $$;
