do $$ begin
  create type shade as enum ('light', 'dark');
exception when duplicate_object then null;
end $$;
