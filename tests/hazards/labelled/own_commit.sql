alter table bookings add column note text;
commit;
insert into notes values (1);
