alter table bookings drop constraint bookings_pkey cascade;
