create table logs (id bigint, line text);
