alter table guests add column full_name text;
update guests set full_name = first_name || ' ' || last_name where full_name is null;
