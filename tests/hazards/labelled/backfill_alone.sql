update guests set full_name = first_name || ' ' || last_name where id in (select id from guests where full_name is null limit 5000);
