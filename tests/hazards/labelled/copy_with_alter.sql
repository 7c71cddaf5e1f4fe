alter table bookings add column archived boolean not null default false;
create table bookings_old as select * from bookings where check_out < '2020-01-01';
