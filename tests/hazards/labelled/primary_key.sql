alter table logs add primary key (id);
