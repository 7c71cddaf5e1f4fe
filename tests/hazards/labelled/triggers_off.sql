alter table bookings disable trigger all;
insert into bookings select * from bookings_import;
alter table bookings enable trigger all;
