alter table logs add constraint logs_pkey primary key using index logs_id_key;
