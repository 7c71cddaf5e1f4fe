create unique index concurrently logs_id_key on logs (id);
