lock table bookings in access exclusive mode;
insert into bookings (id) values ('a');
