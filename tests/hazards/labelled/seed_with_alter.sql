alter table roles add column rank int not null default 0;
insert into roles (name, rank) values ('auditor', 3);
