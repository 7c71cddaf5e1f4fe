alter table messages alter column id type bigint;
