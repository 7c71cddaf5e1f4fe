do $$ begin
  if not exists (select from information_schema.columns where table_name = 'guests' and column_name = 'number') then
    alter table guests add column number bigserial;
  end if;
end $$;
